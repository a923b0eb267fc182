/* SPDX-License-Identifier: MIT */
#include "fuse/transport/uring_queue.h"

#include "base/err.h"
#include "base/log.h"
#include "fuse/transport/uring_worker.h"

#include <errno.h>
#include <stdlib.h>

int fuse_uring_queue_init(struct fuse_uring_queue *q, unsigned cpu, unsigned n_entries, int fuse_fd,
                          int stop_fd, const struct fuse_handler *handler)
{
        int r = 0;

        q->cpu = cpu;
        q->fuse_fd = fuse_fd;
        q->stop_fd = stop_fd;
        q->handler = *handler;
        lock_init(&q->lock);
        sem_init(&q->tried, 0, 0);
        q->workers = calloc(n_entries, sizeof(*q->workers));
        if (!q->workers)
                return -ENOMEM;
        while (q->n_workers < n_entries && r >= 0)
                r = fuse_uring_entry_init(&q->workers[q->n_workers++], q);
        return r;
}

void fuse_uring_queue_monitor(struct fuse_uring_queue *q, struct fuse_cpu_monitor *monitor, bool may_return)
{
        q->monitor = monitor;
        q->in_pairs = !may_return;
}

/* Starts workers until one fails, and waits until those have tried to register. */
static int start_workers(struct fuse_uring_queue *q)
{
        unsigned n_started = 0;
        int r = 0;

        while (n_started < q->n_workers && (r = fuse_uring_worker_start(&q->workers[n_started])) >= 0)
                n_started++;
        while (n_started > 0)
                if (sem_wait(&q->tried) == 0)
                        n_started--;
        return r;
}

int fuse_uring_queue_start(struct fuse_uring_queue *q)
{
        int r = start_workers(q);

        fuse_uring_queue_set_class(q, atomic_load(&q->class));
        if (atomic_load(&q->n_registered) == q->n_workers)
                return 0;
        r = r < 0 ? r : atomic_load(&q->register_error);
        if (atomic_load(&q->n_registered) == 0)
                return r;
        log_warning("the ring of CPU %u has %u entries instead of %u: %s", q->cpu,
                    atomic_load(&q->n_registered), q->n_workers, err_str(r));
        return 0;
}

void fuse_uring_queue_stop(struct fuse_uring_queue *q)
{
        for (unsigned i = 0; i < q->n_workers; i++)
                fuse_uring_worker_stop(&q->workers[i]);
}

void fuse_uring_queue_destroy(struct fuse_uring_queue *q)
{
        for (unsigned i = 0; i < q->n_workers; i++)
                fuse_uring_entry_destroy(&q->workers[i]);
        free(q->workers);
        sem_destroy(&q->tried);
        lock_destroy(&q->lock);
}

/* SPDX-License-Identifier: MIT */
#include "fuse/transport/uring_worker.h"

#include "base/err.h"
#include "base/futex.h"
#include "base/log.h"

/* Operations use some ten KiB. */
#define STACK_BYTES (512u << 10)

/* ---- pairs of threads ---------------------------------------------------------------------------------- */

/* Waits until thread NUMBER owns the entry. False: the end. */
static bool wait_until_active(struct uring_worker *w, int number)
{
        int active;

        while ((active = atomic_load(&w->active)) != number && active != URING_NO_THREAD)
                futex_wait(&w->active, active, NULL);
        return active == number;
}

static void set_active(struct uring_worker *w, int number)
{
        atomic_store(&w->active, number);
        futex_wake(&w->active);
}

/* Passes the entry to the other thread of the pair, and waits until it comes back. False: the end. */
static bool hand_over(struct uring_worker *w, int number)
{
        set_active(w, 1 - number);
        return wait_until_active(w, number);
}

/* ---- serving ------------------------------------------------------------------------------------------- */

/* Waits for a request, unless the other thread has left one. As fuse_uring_entry_wait. */
static int take_request(struct uring_worker *w)
{
        int r;

        if (w->has_request)
                return 1;
        r = fuse_uring_entry_wait(w);
        if (r > 0)
                fuse_uring_sched_arrived(w);
        return r;
}

static void serve_request(struct uring_worker *w, int number)
{
        struct fuse_uring_queue *q = w->queue;

        fuse_uring_sched_pin(w, number);
        atomic_store_explicit(&w->used, true, memory_order_relaxed);
        fuse_uring_entry_serve(w);
        if (q->monitor)
                fuse_cpu_monitor_count(q->monitor, q->cpu);
}

/* Serves requests until the end: 0, or a negative error if the ring has failed. */
static int serve(struct uring_worker *w, int number)
{
        int r;

        for (;;) {
                r = take_request(w);
                if (r <= 0)
                        return r;
                w->has_request = fuse_uring_sched_is_for_other(w, number);
                if (!w->has_request)
                        serve_request(w, number);
                else if (!hand_over(w, number))
                        return 0;
        }
}

static int register_entry(struct uring_worker *w)
{
        struct fuse_uring_queue *q = w->queue;
        int r = fuse_uring_entry_register(w);

        if (r < 0)
                atomic_store(&q->register_error, r);
        else
                atomic_fetch_add(&q->n_registered, 1);
        sem_post(&q->tried);
        return r;
}

/* ---- threads ------------------------------------------------------------------------------------------- */

/* Makes the thread's class changeable by fuse_uring_queue_set_class; TID 0: not any more. */
static void set_tid(struct uring_worker *w, pid_t tid)
{
        LOCK_GUARD(&w->queue->lock);
        w->tid = tid;
}

static void enter_class(struct uring_worker *w, int number)
{
        fuse_sched_pin(w->queue->cpu);
        if (w->queue->in_pairs)
                fuse_sched_set(0, (enum fuse_sched_class)number);
        else
                set_tid(w, gettid());
}

static void leave_class(struct uring_worker *w)
{
        if (w->queue->in_pairs)
                return;
        fuse_sched_set(0, FUSE_SCHED_NORMAL); /* an idle thread would hold the queue's lock for long */
        set_tid(w, 0);                        /* the kernel may reuse the number */
}

static void *worker_main(void *arg)
{
        const struct uring_thread *t = arg;
        struct uring_worker *w = t->worker;
        struct fuse_uring_queue *q = w->queue;
        bool was_active;
        int r = 0;

        pthread_setname_np(pthread_self(), "fuse-ring");
        enter_class(w, t->number);
        if (t->number == URING_FIRST_THREAD)
                r = register_entry(w);
        was_active = r >= 0 && wait_until_active(w, t->number);
        if (was_active)
                r = serve(w, t->number);
        set_active(w, URING_NO_THREAD);
        leave_class(w);
        if (!was_active)
                return NULL;
        if (r < 0)
                log_error("the ring of CPU %u failed: %s", q->cpu, err_str(r));
        q->handler.ended(q->handler.arg, r);
        return NULL;
}

static int start_thread(struct uring_worker *w, unsigned number)
{
        pthread_attr_t attr;
        int r;

        w->thread_args[number] = (struct uring_thread){ .worker = w, .number = (int)number };
        pthread_attr_init(&attr);
        pthread_attr_setstacksize(&attr, STACK_BYTES);
        r = pthread_create(&w->threads[number], &attr, worker_main, &w->thread_args[number]);
        pthread_attr_destroy(&attr);
        w->started[number] = r == 0;
        return -r;
}

int fuse_uring_worker_start(struct uring_worker *w)
{
        unsigned n_threads = w->queue->in_pairs ? 2 : 1;
        int r = 0;

        /* The first thread last: the others do nothing before it has registered the entry. */
        for (unsigned i = n_threads; i-- > 0 && r >= 0;)
                r = start_thread(w, i);
        if (r < 0)
                set_active(w, URING_NO_THREAD);
        return r;
}

void fuse_uring_worker_stop(struct uring_worker *w)
{
        for (unsigned i = 0; i < 2; i++)
                if (w->started[i])
                        pthread_join(w->threads[i], NULL);
}

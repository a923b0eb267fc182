/* SPDX-License-Identifier: MIT */
/* A queue of FUSE over io_uring: the requests of one CPU and the threads that serve them.
 *
 * The kernel passes a request to an entry that waits in the queue of the caller's CPU, preferably the one
 * used last. If none waits, the request is taken when another entry of the queue sends its reply; an entry
 * that is registered in the meantime does not get it. So all entries are registered at the start, and a
 * request must not wait for another one. Each entry has its own thread, ring and buffers: it waits
 * exactly when its thread is idle, and no request is bound to a busy thread.
 *
 * The scheduling class of the threads follows the load of the CPU (cpu_monitor.h). Where a thread may not
 * leave the idle class, an entry has two threads, one of each class. One of them owns the entry at a time,
 * and passes it on when a request arrives that the other one must serve.
 */
#ifndef FUSE_TRANSPORT_URING_QUEUE_H
#define FUSE_TRANSPORT_URING_QUEUE_H

#include "base/lock.h"
#include "fuse/transport/cpu_monitor.h"
#include "fuse/transport/transport.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

/* The fewest entries of a queue. */
#define FUSE_URING_ENTRIES_MIN 4u

struct uring_worker;

/* Fields are private to uring_*.c. */
struct fuse_uring_queue {
        unsigned cpu;
        int fuse_fd;
        int stop_fd; /* an eventfd, readable when the threads have to end */
        struct fuse_handler handler;
        struct uring_worker *workers; /* one for each entry */
        unsigned n_workers;
        sem_t tried; /* posted once for each entry, registered or failed */
        atomic_uint n_registered;
        atomic_int register_error;           /* of an entry that failed */
        struct fuse_cpu_monitor *monitor;    /* counts requests; NULL: the class does not change */
        bool in_pairs;                       /* threads cannot leave the idle class */
        struct lock lock;                    /* serializes changes of threads' classes */
        _Atomic enum fuse_sched_class class; /* of its threads, except for long operations */
};

/* Allocates N_ENTRIES entries, which is the number of requests of CPU that are served at a time. Does not
 * involve the kernel. FUSE_FD and STOP_FD stay the caller's. Q is zeroed before, and destroyed also after
 * an error. */
int fuse_uring_queue_init(struct fuse_uring_queue *q, unsigned cpu, unsigned n_entries, int fuse_fd,
                          int stop_fd, const struct fuse_handler *handler);

/* Reports requests to MONITOR. MAY_RETURN: threads may leave the idle class. Before
 * fuse_uring_queue_start. */
void fuse_uring_queue_monitor(struct fuse_uring_queue *q, struct fuse_cpu_monitor *monitor, bool may_return);

/* Starts the threads, and returns when the kernel has accepted at least one entry. On an error it has
 * accepted none, and the connection waits for this queue: see uring.c. */
int fuse_uring_queue_start(struct fuse_uring_queue *q);

/* Changes the class in which requests are served. Any thread. */
void fuse_uring_queue_set_class(struct fuse_uring_queue *q, enum fuse_sched_class class);

/* Waits for the threads, after STOP_FD has become readable. */
void fuse_uring_queue_stop(struct fuse_uring_queue *q);
void fuse_uring_queue_destroy(struct fuse_uring_queue *q);

#endif

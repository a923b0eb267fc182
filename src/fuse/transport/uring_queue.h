/* SPDX-License-Identifier: MIT */
/* One queue of rings: the requests of one CPU, and the threads that serve them.
 *
 * The kernel gives a request to an entry that waits in the queue of the CPU on which the caller runs. Each
 * entry here has a thread, a ring and buffers of its own, so that an entry waits exactly when its thread is
 * idle: a request is never bound to a thread that is busy. (The kernel takes the entry that was used last, so
 * the same thread goes on as long as one is enough.) A request that finds no entry waiting is taken when
 * another one of its queue is answered, and not before: an entry that is registered meanwhile does not get
 * it. So all entries are there from the beginning, and requests must not wait for each other.
 *
 * In which scheduling class the threads run changes (ring_sched.h). Where a thread may not come back from the
 * idle class an entry has a pair of threads, one of each class, of which one drives it at a time. The entry
 * changes hands when a request has come that is for the other one.
 */
#ifndef FUSE_TRANSPORT_URING_QUEUE_H
#define FUSE_TRANSPORT_URING_QUEUE_H

#include "fuse/transport/ring_sched.h"
#include "fuse/transport/transport.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

struct uring_worker;

struct fuse_uring_queue {
        unsigned cpu;
        int fuse_fd, stop_fd; /* stop_fd: an eventfd that is readable once all shall end */
        struct fuse_handler handler;
        struct uring_worker *workers; /* one for each entry */
        unsigned n_workers;
        sem_t tried; /* posted for each one when it was registered, or that failed */
        atomic_uint n_registered;
        atomic_int register_error; /* of one that failed */
        struct fuse_sched *sched;  /* told of each request; NULL: nobody is */
        bool in_pairs;             /* threads cannot change their class: each entry has one of each */
        pthread_mutex_t lock;      /* held while a thread's class changes */
        _Atomic enum fuse_sched_class class; /* of its threads, but while they do what takes long */
};

/* Makes N_ENTRIES entries with all that they need but threads, without telling the kernel. That many
 * requests of the CPU are served at a time: an operation that answers later keeps its entry and thread.
 * FUSE_FD and STOP_FD stay the caller's. Q is zeroed before, and to be destroyed also after an error. */
int fuse_uring_queue_init(struct fuse_uring_queue *q, unsigned cpu, unsigned n_entries, int fuse_fd,
                          int stop_fd, const struct fuse_handler *handler);

/* Has SCHED told of each request. MAY_RETURN: threads may come back from the idle class. Before the start. */
void fuse_uring_queue_schedule(struct fuse_uring_queue *q, struct fuse_sched *sched, bool may_return);

/* Starts threads that register the entries and serve. Returns when the kernel has taken all of them, or
 * some. After an error, with none, the connection may wait for rings that do not come: see uring.c. */
int fuse_uring_queue_start(struct fuse_uring_queue *q);

/* Changes the class in which its requests are served. Any thread. */
void fuse_uring_queue_set_class(struct fuse_uring_queue *q, enum fuse_sched_class class);

/* After STOP_FD became readable: waits for the threads. */
void fuse_uring_queue_stop(struct fuse_uring_queue *q);
void fuse_uring_queue_destroy(struct fuse_uring_queue *q);

#endif

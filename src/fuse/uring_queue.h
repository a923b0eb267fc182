/* One queue of rings: the requests of one CPU, and the threads that serve them.
 *
 * The kernel gives a request to an entry that waits in the queue of the CPU on which the caller runs. Each
 * entry here has a thread, a ring and buffers of its own, so that an entry waits exactly when its thread is
 * idle: a request is never bound to a thread that is busy, whatever the others wait for. An entry is added
 * when the last idle one takes a request, up to a bound. (The kernel takes the entry that was used last, so
 * the same thread goes on as long as one is enough.)
 *
 * In which scheduling class they run changes (ring_sched.h). Where a thread may not come back from the idle
 * class an entry has a pair of threads, one of each class, of which one drives it at a time. The entry
 * changes hands when a request has come that is for the other one.
 */
#ifndef FUSE_URING_QUEUE_H
#define FUSE_URING_QUEUE_H

#include "ring_sched.h"
#include "transport.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* Entries of one queue. Also the number of requests of one CPU that may wait for an answer at a time: an
 * operation that answers later keeps its entry and thread. */
#define AF_URING_ENTRIES_MAX 32u

struct uring_worker;

struct af_uring_queue {
        unsigned cpu;
        int fuse_fd, stop_fd; /* stop_fd: an eventfd that is readable once all shall end */
        struct af_handler handler;
        void (*on_full)(void *arg); /* no entry is idle; whoever tells it goes on */
        void *on_full_arg;
        struct uring_worker *first; /* until it is started */
        pthread_mutex_t lock; /* protects what follows */
        struct uring_worker *workers;
        unsigned n_workers;
        bool stopping;
        struct af_sched *sched; /* told of each request; NULL: nobody is */
        bool in_pairs;          /* threads cannot change their class: each entry has one of each */
        _Atomic enum af_sched_class class; /* of its threads, but while they do what takes long */
        atomic_uint n_idle;
};

/* Makes the first entry with all that it needs, without telling the kernel. FUSE_FD and STOP_FD stay the
 * caller's. Q is zeroed before, and to be destroyed also after an error. */
int af_uring_queue_init(struct af_uring_queue *q, unsigned cpu, int fuse_fd, int stop_fd,
                        const struct af_handler *handler, void (*on_full)(void *arg), void *on_full_arg);

/* Begins in the idle class, with SCHED told of each request. MAY_RETURN: threads may come back from it.
 * Before the start. */
void af_uring_queue_schedule(struct af_uring_queue *q, struct af_sched *sched, bool may_return);

/* Starts a thread that registers the entry and serves. Returns when the kernel has taken it. After an error
 * the connection may wait for rings that do not come: see uring.c. */
int af_uring_queue_start(struct af_uring_queue *q);

/* Adds an entry if none is idle. From a thread of the normal class, which its threads inherit. */
void af_uring_queue_grow(struct af_uring_queue *q);

/* Changes the class in which its requests are served. Any thread. */
void af_uring_queue_set_class(struct af_uring_queue *q, enum af_sched_class class);

/* After STOP_FD became readable: waits for the threads. */
void af_uring_queue_stop(struct af_uring_queue *q);
void af_uring_queue_destroy(struct af_uring_queue *q);

#endif

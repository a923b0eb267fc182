/* SPDX-License-Identifier: MIT */
/* A worker: one entry of a queue, with its ring, its buffers and the thread, or pair of threads, that
 * serves it. Private to uring_*.c. */
#ifndef FUSE_TRANSPORT_URING_WORKER_H
#define FUSE_TRANSPORT_URING_WORKER_H

#include "fuse/transport/kernel_abi.h"
#include "fuse/transport/ring.h"
#include "fuse/transport/uring_queue.h"

/* Values of `active` besides the number of a thread. */
#define URING_NO_THREAD (-1)

/* The thread that registers the entry, and the only one without a pair. In a pair a thread's number is its
 * class. */
#define URING_FIRST_THREAD 0

struct uring_thread {
        struct uring_worker *worker;
        int number;
};

struct uring_worker {
        struct fuse_channel channel;
        struct fuse_uring_queue *queue;

        /* The entry (uring_entry.c). */
        struct fuse_ring ring;
        struct abi_uring_header header __attribute__((aligned(8))); /* written and read by the kernel */
        struct iovec iov[2];                                        /* header and payload, for the kernel */
        void *buffer;                                               /* HEADROOM_BYTES, then the payload */
        uint8_t *payload;                                           /* of FUSE_IO_BYTES */
        atomic_int replied;                                         /* a futex */
        pthread_t server;                                           /* the thread that serves the request */

        /* Threads (uring_worker.c). */
        pthread_t threads[2];
        bool started[2];
        struct uring_thread thread_args[2];
        atomic_int active; /* the thread that owns the entry; URING_NO_THREAD: the end. A futex */
        bool has_request;  /* the other thread took a request and left it to this one */

        /* Scheduling (uring_sched.c). */
        unsigned n_bulk;      /* consecutive bulk reads, up to the current request */
        atomic_bool unpinned; /* URING_FIRST_THREAD runs on any CPU, in the normal class */
        atomic_bool used;     /* has served a request since the queue's class changed */
        pid_t tid;            /* of a thread without a pair; 0: not running. Protected by the queue's lock */
};

/* ---- uring_entry.c: called by the active thread only --------------------------------------------------- */

/* Allocates ring and buffers. W is zeroed before, and destroyed also after an error. */
int fuse_uring_entry_init(struct uring_worker *w, struct fuse_uring_queue *q);
void fuse_uring_entry_destroy(struct uring_worker *w);

/* Registers the entry with the kernel, which may pass requests to it from then on. */
int fuse_uring_entry_register(struct uring_worker *w);

/* Waits for the next request. 1: there is one; 0: the transport stops or the connection has ended;
 * negative: the ring has failed. */
int fuse_uring_entry_wait(struct uring_worker *w);

/* Serves the request and waits for its reply, which the next fuse_uring_entry_wait sends to the kernel. */
void fuse_uring_entry_serve(struct uring_worker *w);

/* ---- uring_worker.c ------------------------------------------------------------------------------------ */

/* Starts the threads. Each worker posts queue->tried once its entry is registered or has failed, unless this
 * fails. */
int fuse_uring_worker_start(struct uring_worker *w);
/* Waits for the threads. */
void fuse_uring_worker_stop(struct uring_worker *w);

/* ---- uring_sched.c: where a request is served ---------------------------------------------------- */

/* Updates w->n_bulk for a request that has arrived. */
void fuse_uring_sched_arrived(struct uring_worker *w);

/* Whether the request must be served by the other thread of the pair than NUMBER. */
bool fuse_uring_sched_is_for_other(const struct uring_worker *w, int number);

/* Pins or unpins the calling thread, NUMBER, as the request requires. */
void fuse_uring_sched_pin(struct uring_worker *w, int number);

#endif

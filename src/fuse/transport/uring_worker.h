/* SPDX-License-Identifier: MIT */
/* A worker of a queue of rings: an entry with its thread, or pair of threads. Private to uring_queue.c and
 * uring_place.c, which says where its threads run. */
#ifndef FUSE_TRANSPORT_URING_WORKER_H
#define FUSE_TRANSPORT_URING_WORKER_H

#include "fuse/transport/kernel_abi.h"
#include "fuse/transport/ring.h"
#include "fuse/transport/uring_queue.h"

#define DRIVER_NONE  (-1)
#define FIRST_DRIVER 0

/* One of a worker's threads. */
struct uring_thread {
        struct uring_worker *worker;
        int number;
};

struct uring_worker {
        struct fuse_channel channel;
        struct fuse_uring_queue *queue;
        struct fuse_ring ring;
        struct abi_uring_header header __attribute__((aligned(8))); /* what the kernel writes and reads */
        struct iovec iov[2];                                        /* the buffers, as the kernel is told */
        void *buffer;                                               /* ROOM_BYTES, and payload */
        uint8_t *payload;                                           /* of FUSE_IO_BYTES */
        atomic_int replied;                                         /* a futex */
        pthread_t threads[2]; /* by class; without pairs only the first, whatever its class */
        bool started[2];
        atomic_int driver; /* which of them drives the entry; DRIVER_NONE: the end has come. A futex */
        bool has_request;  /* which the other thread took and left to this one */
        unsigned bulk_row; /* reads of bulk in a row, with the one that has come */
        atomic_bool roams; /* FIRST_DRIVER is not pinned, and in the normal class */
        pthread_t self;    /* the one that serves a request */
        atomic_bool used;  /* since the class of the queue changed last */
        pid_t tid;         /* of the only thread; 0: does not run; protected by the queue's lock */
        struct uring_thread thread_args[2];
};

/* A request has come, and is not served yet. */
void fuse_uring_note_request(struct uring_worker *w);

/* Whether it is for the other thread of the pair than NUMBER. */
bool fuse_uring_is_for_other(const struct uring_worker *w, int number);

/* By thread NUMBER, which is to serve it: takes it where it is best served. */
void fuse_uring_choose_place(struct uring_worker *w, int number);

#endif

/* SPDX-License-Identifier: MIT */
/* How requests come from the kernel and replies go back: one interface, two transports (classic.c reads and
 * writes the device, uring.c has rings). What is in a request is codec.c's business, what it means the
 * operations'; neither knows which transport carries it.
 */
#ifndef FUSE_TRANSPORT_TRANSPORT_H
#define FUSE_TRANSPORT_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Where a request came from and its reply goes. It outlives the request, up to fuse_transport_free. */
struct fuse_channel {
        /* Sends the reply to UNIQUE: ERROR (positive errno, no data) or the data in IOV, at most
         * FUSE_REPLY_IOV_MAX ranges, which may be reused once this returns. Any thread; once per request. A
         * reply that cannot be delivered means that nobody waits for it any more. */
        void (*send)(struct fuse_channel *c, uint64_t unique, int error, const struct iovec *iov, int n);
};

#define FUSE_REPLY_IOV_MAX 1000

/* Told by a transport; any thread. */
struct fuse_handler {
        /* A request, complete and contiguous, LEN bytes from an address that is a multiple of 8, valid until
         * this returns. */
        void (*request)(void *arg, struct fuse_channel *c, const void *data, size_t len);
        /* The connection is over: 0 after an unmount or an abort, else a negative error. May come more than
         * once; requests may still be under way. */
        void (*ended)(void *arg, int result);
        void *arg;
};

struct fuse_transport;

struct fuse_transport_ops {
        void (*stop)(struct fuse_transport *t);
        void (*free)(struct fuse_transport *t);
};

struct fuse_transport {
        const struct fuse_transport_ops *ops;
};

/* Takes no more requests, and returns when those being handled are. Once, not from a handler. */
static inline void fuse_transport_stop(struct fuse_transport *t)
{
        t->ops->stop(t);
}

/* After fuse_transport_stop, and after the last reply. Does not close the device. */
static inline void fuse_transport_free(struct fuse_transport *t)
{
        if (t)
                t->ops->free(t);
}

/* ---- classic.c: the device, by threads of which each has its own clone of it ------------------------- */

/* Serves FUSE_FD, which stays the caller's, with at most MAX_THREADS threads; more than one only when
 * requests come while all others are busy. */
int fuse_classic_start(int fuse_fd, unsigned max_threads, const struct fuse_handler *handler,
                       struct fuse_transport **ret);

/* ---- uring.c: FUSE over io_uring (Linux 6.14) ------------------------------------------------------ */

/* It runs beside the classic transport, on which FORGET, INTERRUPT and notifications stay. */

/* Makes rings and buffers for every CPU that there may ever be. Before the reply to INIT, which promises
 * them. ENOSYS, EPERM: io_uring cannot be used; ENOMEM, EMFILE, ... */
int fuse_uring_prepare(int fuse_fd, const struct fuse_handler *handler, struct fuse_transport **ret);

/* Registers them, after that reply. After an error there are no rings on this connection, and all requests
 * come the classic way; T is to be stopped and freed nevertheless. */
int fuse_uring_start(struct fuse_transport *t);

/* How many queues it has. */
unsigned fuse_uring_queues(const struct fuse_transport *t);

#endif

/* SPDX-License-Identifier: MIT */
/* Transports: they receive requests from the kernel and send replies. classic.c reads and writes /dev/fuse,
 * uring.c uses io_uring. A transport does not interpret requests beyond what it needs to schedule them.
 */
#ifndef FUSE_TRANSPORT_TRANSPORT_H
#define FUSE_TRANSPORT_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* The most data of one request, read or write, in bytes: the kernel's limit of 256 pages. */
#define FUSE_IO_BYTES (UINT32_C(1) << 20)

/* The most ranges of one reply. */
#define FUSE_REPLY_IOV_MAX 1000

/* Takes the reply to a request. Valid until fuse_transport_free. */
struct fuse_channel {
        /* Sends the reply to request UNIQUE: ERROR (a positive errno; no data) or, with ERROR 0, the data
         * of N ranges, which may be reused once this returns. Any thread; once for each request. A reply
         * that cannot be delivered is dropped: the caller has ended. */
        void (*send)(struct fuse_channel *c, uint64_t unique, int error, const struct iovec *iov, int n);

        /* How many requests of the connection may wait at a time for the replies to later requests. More
         * would occupy what serves those. 0: no limit. */
        unsigned deferred_max;
};

/* The functions that a transport calls. Any thread. */
struct fuse_handler {
        /* Serves a request of LEN contiguous bytes at an address that is a multiple of 8; they are valid
         * until this returns. The reply may come later. */
        void (*request)(void *arg, struct fuse_channel *c, const void *data, size_t len);
        /* The connection has ended: RESULT is 0 after an unmount or an abort, else a negative error. May be
         * called several times, and while requests are still in progress. */
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

/* Takes no more requests and waits for those being served. Once; not from a handler. */
static inline void fuse_transport_stop(struct fuse_transport *t)
{
        t->ops->stop(t);
}

/* Frees T, after fuse_transport_stop and the last reply. Does not close the device. Takes NULL. */
static inline void fuse_transport_free(struct fuse_transport *t)
{
        if (t)
                t->ops->free(t);
}

/* ---- classic.c -------------------------------------------------------------------------------------- */

/* Serves FUSE_FD, which stays the caller's, with 1 to MAX_THREADS threads: one is added when a request
 * arrives while all others are busy. */
int fuse_classic_start(int fuse_fd, unsigned max_threads, const struct fuse_handler *handler,
                       struct fuse_transport **ret);

/* ---- uring.c: FUSE over io_uring (Linux 6.14) --------------------------------------------------------- */

/* Runs beside the classic transport, which still carries FORGET, INTERRUPT and notifications. */

/* Allocates rings and buffers for every possible CPU. Must precede the reply to INIT that enables the
 * feature. Errors: ENOSYS, EPERM (io_uring is not available), ENOMEM, EMFILE, ... */
int fuse_uring_prepare(int fuse_fd, const struct fuse_handler *handler, struct fuse_transport **ret);

/* Registers the rings with the kernel, after that reply. On an error all requests arrive by the classic
 * transport; T must be stopped and freed nevertheless. */
int fuse_uring_start(struct fuse_transport *t);

/* Returns the number of queues: one for each possible CPU. */
unsigned fuse_uring_queues(const struct fuse_transport *t);

#endif

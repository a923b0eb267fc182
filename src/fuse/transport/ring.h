/* SPDX-License-Identifier: MIT */
/* The part of io_uring that FUSE needs: commands of 128 bytes, submitted and waited for in one system
 * call. One thread at a time uses a ring. */
#ifndef FUSE_TRANSPORT_RING_H
#define FUSE_TRANSPORT_RING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct fuse_ring {
        int fd;
        unsigned *sq_head, *sq_tail, *cq_head, *cq_tail; /* shared with the kernel */
        unsigned sq_mask, cq_mask, to_submit;
        struct io_uring_sqe *sqes;
        struct io_uring_cqe *cqes;
        void *rings;
        size_t rings_bytes, sqes_bytes;
};

/* ENTRIES: the most commands in progress, a power of two. ENOSYS, EPERM: io_uring is not available. */
int fuse_ring_init(struct fuse_ring *r, unsigned entries);
/* Also after a failed fuse_ring_init. */
void fuse_ring_destroy(struct fuse_ring *r);

/* Adds a zeroed command of 128 bytes, to be filled in; the next submission or wait passes it to the
 * kernel. At most ENTRIES of them. */
struct io_uring_sqe *fuse_ring_command(struct fuse_ring *r);

/* Submits commands and waits for a completion. EINTR, EAGAIN, EBUSY: call again; other errors: the ring has
 * failed. */
int fuse_ring_wait(struct fuse_ring *r);

/* Submits without waiting. */
int fuse_ring_submit(struct fuse_ring *r);

/* Takes the next completion; fuse_ring_peek leaves it in the ring. False: there is none. */
bool fuse_ring_peek(const struct fuse_ring *r, uint64_t *ret_user_data, int *ret_result);
bool fuse_ring_completion(struct fuse_ring *r, uint64_t *ret_user_data, int *ret_result);

#endif

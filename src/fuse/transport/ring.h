/* SPDX-License-Identifier: MIT */
/* An io_uring as far as it is needed for FUSE: commands of 128 bytes, submitted and waited for in one system
 * call by the one thread that owns the ring. */
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

/* ENTRIES: commands under way at most, a power of two. ENOSYS, EPERM: io_uring cannot be used here. */
int fuse_ring_init(struct fuse_ring *r, unsigned entries);
/* Takes one that was not initialized if it is zeroed and its fd is -1. */
void fuse_ring_destroy(struct fuse_ring *r);

/* An empty command of 128 bytes, submitted by the next fuse_ring_wait. There is room for ENTRIES of them. */
struct io_uring_sqe *fuse_ring_command(struct fuse_ring *r);

/* Submits, and waits until there is a completion. 0, or EINTR (nothing is lost; call again), or what is
 * wrong with the ring. */
int fuse_ring_wait(struct fuse_ring *r);

/* Submits without waiting. */
int fuse_ring_submit(struct fuse_ring *r);

/* The next completion: true, and what it says; false if there is none now. Peek leaves it there. */
bool fuse_ring_peek(const struct fuse_ring *r, uint64_t *ret_user_data, int *ret_result);
bool fuse_ring_completion(struct fuse_ring *r, uint64_t *ret_user_data, int *ret_result);

#endif

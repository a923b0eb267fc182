/* An io_uring as far as it is needed for FUSE: commands of 128 bytes, submitted and waited for in one system
 * call by the one thread that owns the ring. */
#ifndef FUSE_RING_H
#define FUSE_RING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct af_ring {
        int fd;
        unsigned *sq_head, *sq_tail, *cq_head, *cq_tail; /* shared with the kernel */
        unsigned sq_mask, cq_mask, to_submit;
        struct io_uring_sqe *sqes;
        struct io_uring_cqe *cqes;
        void *rings;
        size_t rings_bytes, sqes_bytes;
};

/* ENTRIES: commands under way at most, a power of two. ENOSYS, EPERM: io_uring cannot be used here. */
int af_ring_init(struct af_ring *r, unsigned entries);
/* Takes one that was not initialized if it is zeroed and its fd is -1. */
void af_ring_destroy(struct af_ring *r);

/* An empty command of 128 bytes, submitted by the next af_ring_wait. There is room for ENTRIES of them. */
struct io_uring_sqe *af_ring_command(struct af_ring *r);

/* Submits, and waits until there is a completion. 0, or EINTR (nothing is lost; call again), or what is
 * wrong with the ring. */
int af_ring_wait(struct af_ring *r);

/* Submits without waiting. */
int af_ring_submit(struct af_ring *r);

/* The next completion: true, and what it says; false if there is none now. Peek leaves it there. */
bool af_ring_peek(const struct af_ring *r, uint64_t *ret_user_data, int *ret_result);
bool af_ring_completion(struct af_ring *r, uint64_t *ret_user_data, int *ret_result);

#endif

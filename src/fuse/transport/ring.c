/* SPDX-License-Identifier: MIT */
#include "fuse/transport/ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SQE_BYTES 128u

static int enter(struct fuse_ring *r, unsigned min_complete, unsigned flags)
{
        long n = syscall(SYS_io_uring_enter, r->fd, r->to_submit, min_complete, flags, NULL, 0);

        if (n < 0)
                return -errno;
        r->to_submit -= (unsigned)n;
        return 0;
}

static void *map(int fd, size_t bytes, off_t what)
{
        void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);

        return p == MAP_FAILED ? NULL : p;
}

int fuse_ring_init(struct fuse_ring *r, unsigned entries)
{
        struct io_uring_params p = { .flags = IORING_SETUP_SQE128 };
        unsigned *array;
        char *base;
        int fd = (int)syscall(SYS_io_uring_setup, entries, &p);

        *r = (struct fuse_ring){ .fd = fd };
        if (fd < 0)
                return -errno;
        if (!(p.features & IORING_FEAT_SINGLE_MMAP)) {
                fuse_ring_destroy(r);
                return -ENOSYS;
        }
        r->rings_bytes = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
        if (r->rings_bytes < p.sq_off.array + p.sq_entries * sizeof(unsigned))
                r->rings_bytes = p.sq_off.array + p.sq_entries * sizeof(unsigned);
        r->sqes_bytes = p.sq_entries * SQE_BYTES;
        r->rings = map(fd, r->rings_bytes, IORING_OFF_SQ_RING);
        r->sqes = r->rings ? map(fd, r->sqes_bytes, IORING_OFF_SQES) : NULL;
        if (!r->sqes) {
                int err = errno;

                fuse_ring_destroy(r);
                return -err;
        }
        base = r->rings;
        r->sq_head = (unsigned *)(base + p.sq_off.head);
        r->sq_tail = (unsigned *)(base + p.sq_off.tail);
        r->sq_mask = *(unsigned *)(base + p.sq_off.ring_mask);
        r->cq_head = (unsigned *)(base + p.cq_off.head);
        r->cq_tail = (unsigned *)(base + p.cq_off.tail);
        r->cq_mask = *(unsigned *)(base + p.cq_off.ring_mask);
        r->cqes = (struct io_uring_cqe *)(base + p.cq_off.cqes);
        /* Commands are always submitted in the order of their slots. */
        array = (unsigned *)(base + p.sq_off.array);
        for (unsigned i = 0; i < p.sq_entries; i++)
                array[i] = i;
        return 0;
}

void fuse_ring_destroy(struct fuse_ring *r)
{
        if (r->sqes)
                munmap(r->sqes, r->sqes_bytes);
        if (r->rings)
                munmap(r->rings, r->rings_bytes);
        if (r->fd >= 0)
                close(r->fd);
        *r = (struct fuse_ring){ .fd = -1 };
}

struct io_uring_sqe *fuse_ring_command(struct fuse_ring *r)
{
        unsigned tail = *r->sq_tail; /* written by this thread only */
        struct io_uring_sqe *sqe = (void *)((char *)r->sqes + (size_t)(tail & r->sq_mask) * SQE_BYTES);

        memset(sqe, 0, SQE_BYTES);
        /* The kernel reads the command in io_uring_enter, after the caller has filled it in. */
        __atomic_store_n(r->sq_tail, tail + 1, __ATOMIC_RELEASE);
        r->to_submit++;
        return sqe;
}

int fuse_ring_wait(struct fuse_ring *r)
{
        if (r->to_submit == 0 && __atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE) != *r->cq_head)
                return 0;
        return enter(r, 1, IORING_ENTER_GETEVENTS);
}

int fuse_ring_submit(struct fuse_ring *r)
{
        return enter(r, 0, 0);
}

bool fuse_ring_peek(const struct fuse_ring *r, uint64_t *ret_user_data, int *ret_result)
{
        unsigned head = *r->cq_head; /* written by this thread only */
        const struct io_uring_cqe *cqe = &r->cqes[head & r->cq_mask];

        if (__atomic_load_n(r->cq_tail, __ATOMIC_ACQUIRE) == head)
                return false;
        *ret_user_data = cqe->user_data;
        *ret_result = cqe->res;
        return true;
}

bool fuse_ring_completion(struct fuse_ring *r, uint64_t *ret_user_data, int *ret_result)
{
        if (!fuse_ring_peek(r, ret_user_data, ret_result))
                return false;
        __atomic_store_n(r->cq_head, *r->cq_head + 1, __ATOMIC_RELEASE);
        return true;
}

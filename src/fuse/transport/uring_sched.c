/* SPDX-License-Identifier: MIT */
/* In which scheduling class, by which thread of a pair and on which CPU a request is served. */
#include "fuse/transport/uring_worker.h"

/* A read of this size is a bulk read, and this many in a row are a stream. */
#define BULK_BYTES  (64u << 10)
#define STREAM_BULK 2u

/* ---- class --------------------------------------------------------------------------------------- */

static enum fuse_sched_class class_of(const struct uring_worker *w)
{
        return atomic_load(&w->unpinned) ? FUSE_SCHED_NORMAL : atomic_load(&w->queue->class);
}

/* Moves thread TID (w->tid, or 0: the calling one) to its class. Two threads may do so at the same time:
 * the loop makes the last change win without a lock, which a thread of the idle class could hold for long. */
static void apply_class(const struct uring_worker *w, pid_t tid)
{
        enum fuse_sched_class class;

        do {
                class = class_of(w);
                fuse_sched_set(tid, class);
        } while (class != class_of(w));
}

/* Changes the threads that have served requests since the last change (USED), or the others. */
static void apply_class_locked(struct fuse_uring_queue *q, bool used)
{
        lock_assert_held(&q->lock);
        for (unsigned i = 0; i < q->n_workers; i++) {
                struct uring_worker *w = &q->workers[i];

                if (w->tid != 0 && atomic_load_explicit(&w->used, memory_order_relaxed) == used)
                        apply_class(w, w->tid);
        }
}

void fuse_uring_queue_set_class(struct fuse_uring_queue *q, enum fuse_sched_class class)
{
        LOCK_GUARD(&q->lock);
        q->class = class;
        if (!q->in_pairs) {
                /* Used threads probably have a request or get the next one, and this thread may lose its CPU
                 * before it has changed all. */
                apply_class_locked(q, true);
                apply_class_locked(q, false);
        }
        for (unsigned i = 0; i < q->n_workers; i++)
                atomic_store_explicit(&q->workers[i].used, false, memory_order_relaxed);
}

/* ---- the request --------------------------------------------------------------------------------- */

/* Long operations must not run in the idle class where a thread cannot leave it: others could keep the
 * thread, and the locks that it holds, from running for any time. */
static bool is_long(const struct uring_worker *w)
{
        const struct fuse_in_header *in = (const void *)w->header.in_out;

        switch (in->opcode) {
        case FUSE_FSYNC:
        case FUSE_FSYNCDIR:
        case FUSE_SYNCFS:
        case FUSE_FALLOCATE:
        case FUSE_COPY_FILE_RANGE:
        case ABI_OPCODE_COPY_FILE_RANGE_64:
                return true;
        }
        return false;
}

/* Writes do not count: their caller waits. */
static bool is_bulk(const struct uring_worker *w)
{
        const struct fuse_in_header *in = (const void *)w->header.in_out;
        const struct fuse_read_in *read = (const void *)w->header.op_in;

        return in->opcode == FUSE_READ && read->size >= BULK_BYTES;
}

static bool is_in_stream(const struct uring_worker *w)
{
        return w->n_bulk >= STREAM_BULK;
}

void fuse_uring_sched_arrived(struct uring_worker *w)
{
        w->n_bulk = is_bulk(w) ? w->n_bulk + 1 : 0;
}

bool fuse_uring_sched_is_for_other(const struct uring_worker *w, int number)
{
        int wanted;

        if (!w->queue->in_pairs)
                return false;
        if (is_long(w) || is_in_stream(w))
                wanted = FUSE_SCHED_NORMAL;
        else
                wanted = (int)atomic_load(&w->queue->class);
        return number != wanted;
}

/* In a stream the caller copies data while this thread reads what the kernel prefetches, which takes two
 * CPUs. The thread is then not pinned, and has the normal class, since it may run where others want to. A
 * single bulk read is served by a pinned thread: many files are read by one. */
void fuse_uring_sched_pin(struct uring_worker *w, int number)
{
        bool unpin = is_in_stream(w);

        /* The other thread of a pair gets no stream. */
        if (number != URING_FIRST_THREAD || unpin == atomic_load_explicit(&w->unpinned, memory_order_relaxed))
                return;
        if (unpin)
                fuse_sched_unpin();
        else
                fuse_sched_pin(w->queue->cpu);
        atomic_store(&w->unpinned, unpin);
        if (!w->queue->in_pairs)
                apply_class(w, 0);
}

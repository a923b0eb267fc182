/* SPDX-License-Identifier: MIT */
/* In which class, by which of a pair and on which CPU a request is served. */
#include "fuse/transport/uring_worker.h"

/* A read of so much is bulk, and so many in a row are a stream. */
#define BULK_BYTES (64u << 10)
#define STREAM_ROW 2u

static enum fuse_sched_class class_of(const struct uring_worker *w)
{
        return atomic_load(&w->roams) ? FUSE_SCHED_NORMAL : atomic_load(&w->queue->class);
}

/* TID is w->tid, or 0 for the thread itself. The one who changed something last has the last word, without a
 * lock, which a thread of the idle class would keep for too long. */
static void apply_class(const struct uring_worker *w, pid_t tid)
{
        enum fuse_sched_class class;

        do {
                class = class_of(w);
                fuse_sched_set(tid, class);
        } while (class != class_of(w));
}

/* With the lock held. */
static void set_class_of(struct fuse_uring_queue *q, bool used)
{
        for (unsigned i = 0; i < q->n_workers; i++) {
                struct uring_worker *w = &q->workers[i];

                if (w->tid != 0 && atomic_load_explicit(&w->used, memory_order_relaxed) == used)
                        apply_class(w, w->tid);
        }
}

/* First those that probably have a request or get the next one: this thread may be kept from running, too. */
void fuse_uring_queue_set_class(struct fuse_uring_queue *q, enum fuse_sched_class class)
{
        pthread_mutex_lock(&q->lock);
        q->class = class;
        if (!q->in_pairs) {
                set_class_of(q, true);
                set_class_of(q, false);
        }
        for (unsigned i = 0; i < q->n_workers; i++)
                atomic_store_explicit(&q->workers[i].used, false, memory_order_relaxed);
        pthread_mutex_unlock(&q->lock);
}

/* A thread that cannot leave the idle class while it serves must not do what takes long there: others would
 * keep it from running for as long as they like, and it may hold locks. */
static bool takes_long(const struct uring_worker *w)
{
        const struct fuse_in_header *in = (const void *)w->header.in_out;

        switch (in->opcode) {
        case FUSE_FSYNC:
        case FUSE_FSYNCDIR:
        case FUSE_SYNCFS:
        case FUSE_FALLOCATE:
                return true;
        }
        return false;
}

/* No write is: its caller does nothing meanwhile. */
static bool is_bulk(const struct uring_worker *w)
{
        const struct fuse_in_header *in = (const void *)w->header.in_out;
        const struct fuse_read_in *read = (const void *)w->header.op_in;

        return in->opcode == FUSE_READ && read->size >= BULK_BYTES;
}

void fuse_uring_note_request(struct uring_worker *w)
{
        w->bulk_row = is_bulk(w) ? w->bulk_row + 1 : 0;
}

static bool is_in_stream(const struct uring_worker *w)
{
        return w->bulk_row >= STREAM_ROW;
}

/* In a stream the thread roams: the caller copies what came while this thread fetches what the kernel reads
 * ahead, and that takes two CPUs. Normal, because it may be where others want to run. One read is served
 * where it came, since many files are no longer; so is all else, by a thread that is pinned again. */
void fuse_uring_choose_place(struct uring_worker *w, int number)
{
        bool roams = is_in_stream(w);

        /* Of a pair, the other one is given no stream. */
        if (number != FIRST_DRIVER || roams == atomic_load_explicit(&w->roams, memory_order_relaxed))
                return;
        if (roams)
                fuse_sched_unpin();
        else
                fuse_sched_pin(w->queue->cpu);
        atomic_store(&w->roams, roams);
        if (!w->queue->in_pairs)
                apply_class(w, 0);
}

/* Whether the request that has come is for the other thread of the pair. */
bool fuse_uring_is_for_other(const struct uring_worker *w, int number)
{
        int wanted =
                takes_long(w) || is_in_stream(w) ? FUSE_SCHED_NORMAL : (int)atomic_load(&w->queue->class);

        return w->queue->in_pairs && number != wanted;
}

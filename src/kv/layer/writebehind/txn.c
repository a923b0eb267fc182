/* SPDX-License-Identifier: MIT */
/* Transactions: begin takes the view and the snapshot below as a pair, commit publishes the number under
 * which the transaction wrote. */
#include "kv/layer/writebehind/internal.h"

#include <stdlib.h>

/* ---- begin --------------------------------------------------------------------------------------- */

/* Whether a writer may proceed in spite of the last batch's error: one that frees space may, if space is
 * missing. */
static bool passes_error(const struct wb_store *wb, unsigned flags)
{
        return wb->error >= 0 || (wb->error == -ENOSPC && (flags & KV_RESERVE));
}

/* Memory in use and the size of the next batches below are both bounded: the store below may keep a whole
 * transaction in memory, too. */
static bool is_full(const struct wb_store *wb)
{
        return wb->memory_used > wb->memory_bytes || wb->pending.bytes > wb->pending_max ||
               wb->view->tables[0]->load.bytes > wb->table_load;
}

/* Whether a writer waits before it begins. In a store that is nearly full it also waits until what is pending
 * is written below (reservation.c). */
static bool must_wait(const struct wb_store *wb)
{
        return is_full(wb) || wb->durable < wb->drain;
}

/* Whether a writer that frees space may exceed the bounds, within limits, because batches fail for lack of
 * space. */
static bool may_exceed(const struct wb_store *wb, unsigned flags)
{
        return wb->error < 0 && passes_error(wb, flags) && wb->memory_used < 2 * wb->memory_bytes &&
               wb->view->tables[0]->load.bytes <= wb->table_load / 4 * 5;
}

/* Waits while the writer must wait; returns the error that prevents an end of the wait. */
static int wait_for_batch_locked(struct wb_store *wb, unsigned flags)
{
        const struct wb_view *requested = NULL;
        int r;

        lock_assert_held(&wb->lock);
        while (must_wait(wb)) {
                if (may_exceed(wb, flags))
                        return 0;
                if (wb->error < 0)
                        return wb->error;
                /* Once for each state of the tables: if a batch has nothing to write, a reader still holds
                 * tables that were written, and another batch would not change that. */
                if (wb->view != requested) {
                        requested = wb->view;
                        wb->batch_wanted = true;
                        pthread_cond_signal(&wb->committer_wake);
                }
                r = waitlist_wait(&wb->batch_done, &wb->lock);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Waits while a snapshot of the store below may include a transaction that is not published yet. */
static int wait_for_write_through(struct wb_store *wb)
{
        int r = 0;

        LOCK_GUARD(&wb->lock);
        while (r >= 0 && wb->writing_through)
                r = waitlist_wait(&wb->batch_done, &wb->lock);
        return r;
}

/* Takes a snapshot of the store below, and the lock such that no batch was retired in between: the current
 * view and the snapshot are a pair. (What a batch wrote below in between is still in the view's tables, too.)
 * Nor is a transaction being written through: the snapshot might include it, and the view does not.
 * The snapshot is not taken under the lock: the store below may have to wait for readers to end, which need
 * the lock for that. For the same reason nothing is waited for with a snapshot. */
static int snapshot_and_lock(struct wb_store *wb, struct kv_txn **ret)
{
        for (;;) {
                uint64_t batches = wb->batches;
                int r = kv_begin(wb->below, KV_READ | KV_RECENT, ret);

                if (r < 0)
                        return r;
                lock_acquire(&wb->lock);
                if (wb->batches == batches && !wb->writing_through)
                        return 0;
                lock_release(&wb->lock);
                kv_end(*ret);
                r = wait_for_write_through(wb);
                if (r < 0)
                        return r;
        }
}

/* Takes the writer's lock; waits until the store is within its bounds. */
static int lock_writer(struct wb_store *wb, unsigned flags)
{
        int r;

        lock_acquire(&wb->writer);
        lock_acquire(&wb->lock);
        if (!must_wait(wb)) {
                lock_release(&wb->lock);
                return 0;
        }
        /* Without the writer's lock, which freezing takes: the batch that is waited for may have to
         * freeze. */
        lock_release(&wb->writer);
        r = wait_for_batch_locked(wb, flags);
        lock_release(&wb->lock);
        if (r < 0)
                return r;
        lock_acquire(&wb->writer);
        return 0;
}

static struct wb_txn *txn_take_locked(struct wb_store *wb)
{
        struct wb_txn *t = list_pop(&wb->free_txns, struct wb_txn, link);

        return t ? t : calloc(1, sizeof(*t));
}

/* The version that all active readers see, or an older one. */
static uint64_t oldest_reader_locked(const struct wb_store *wb)
{
        const struct wb_txn *oldest = list_first(&wb->active, struct wb_txn, link);

        return oldest && oldest->number < wb->published ? oldest->number : wb->published;
}

static int begin(struct wb_store *wb, bool write, struct kv_txn **ret)
{
        struct kv_txn *below;
        struct wb_txn *t;
        int r = snapshot_and_lock(wb, &below);

        if (r < 0)
                return r;
        t = txn_take_locked(wb);
        if (!t) {
                lock_release(&wb->lock);
                kv_end(below);
                return -ENOMEM;
        }
        t->below = below;
        t->view = wb->view;
        t->view->refs++;
        t->number = wb->published + write;
        t->durable = wb->durable;
        t->load = (struct wb_load){ 0 };
        t->committed = false;
        t->oldest_reader = oldest_reader_locked(wb);
        list_append(&wb->active, &t->link);
        lock_release(&wb->lock);
        *ret = &t->base;
        return 0;
}

int wb_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret)
{
        struct wb_store *wb = wb_of(s);
        bool write = flags & KV_WRITE;
        int r = write ? lock_writer(wb, flags) : 0;

        if (r < 0)
                return r;
        r = begin(wb, write, ret);
        if (r < 0 && write)
                lock_release(&wb->writer);
        return r;
}

/* ---- commit -------------------------------------------------------------------------------------- */

static void publish_locked(struct wb_store *wb, struct wb_txn *t)
{
        struct wb_table *active = wb_active(t);

        lock_assert_held(&wb->lock);
        wb->published = t->number;
        wb_load_add(&active->load, &t->load);
        wb_load_add(&wb->pending, &t->load);
        if (wb->active_since_ns == 0) {
                wb->active_since_ns = clock_system.monotonic_ns(&clock_system);
                /* A committer that sleeps until a time looks soon enough by itself: so an fsync after each
                 * write does not wake it each time. */
                if (wb->committer_idle)
                        pthread_cond_signal(&wb->committer_wake);
        }
        if (active->bytes >= wb->batch_bytes || active->load.bytes >= wb->batch_load)
                wb_batch_request_locked(wb);
}

static int reserve_and_publish(struct wb_store *wb, struct wb_txn *t)
{
        int r;
        LOCK_GUARD(&wb->lock);

        if (!passes_error(wb, t->base.flags))
                return wb->error;
        r = wb_reserve_txn_locked(wb, t);
        if (r == 0)
                publish_locked(wb, t);
        return r;
}

int wb_commit(struct kv_txn *base)
{
        struct wb_txn *t = wb_txn_of(base);
        struct wb_store *wb = wb_of(base->store);
        int r;

        if (!(base->flags & KV_WRITE) || wb->touched_n == 0) {
                t->committed = true;
                return 0;
        }
        if (t->load.bytes > base->store->limits.txn_bytes)
                return -E2BIG;
        r = reserve_and_publish(wb, t);
        if (r < 0)
                return r;
        t->committed = true;
        if (atomic_load_explicit(&wb->watch_count, memory_order_relaxed) > 0)
                wb_watch_touched(wb);
        wb->touched_n = 0;
        return 0;
}

/* ---- end ----------------------------------------------------------------------------------------- */

static void scratch_free(struct wb_scratch *s)
{
        while (s) {
                struct wb_scratch *next = s->next;

                free(s);
                s = next;
        }
}

/* Takes back what T wrote. No effect after a commit, which emptied `touched`. */
static void undo(struct wb_store *wb, struct wb_txn *t)
{
        for (size_t i = 0; i < wb->touched_n; i++)
                mt_undo(wb_active(t)->mt, wb->touched[i], t->number);
        wb->touched_n = 0;
}

void wb_end(struct kv_txn *base)
{
        struct wb_txn *t = wb_txn_of(base);
        struct wb_store *wb = wb_of(base->store);
        struct wb_table *dead[WB_TABLES_MAX], *active = wb_active(t);
        struct kv_txn *below = t->below;
        struct wb_scratch *scratch = t->scratch;
        bool write = base->flags & KV_WRITE;
        bool watching = atomic_load_explicit(&wb->watch_count, memory_order_relaxed) > 0;
        size_t bytes = 0;
        int n;

        if (write) {
                undo(wb, t);
                bytes = mt_bytes(active->mt);
        }
        lock_acquire(&wb->lock);
        if (write) {
                wb->memory_used += bytes - active->bytes;
                active->bytes = bytes;
        }
        list_remove(&t->link);
        t->scratch = NULL;
        n = wb_view_unref_locked(wb, t->view, dead);
        if (!watching)
                list_prepend(&wb->free_txns, &t->link);
        lock_release(&wb->lock);
        if (write)
                lock_release(&wb->writer);
        kv_end(below);
        scratch_free(scratch);
        wb_tables_free(wb, dead, n);
        if (!watching)
                return;
        wb_watch_settle(wb, t, t->committed);
        lock_acquire(&wb->lock);
        list_prepend(&wb->free_txns, &t->link);
        lock_release(&wb->lock);
}

/* SPDX-License-Identifier: MIT */
#include "fs/writeback/budget.h"
#include "fs/writeback/cache.h"
#include "fs/writeback/entry.h"
#include "fs/writeback/flush.h"

/* Whether one more block of E fits. An inode without blocks may always have one, and so may the whole
 * cache. */
static bool fits_locked(const struct writeback *wb, const struct writeback_entry *e)
{
        lock_assert_held(&wb->lock);
        return (e->bytes == 0 || e->bytes + wb->block_bytes <= wb->inode_bytes) &&
               (wb->bytes == 0 || wb->bytes + wb->block_bytes <= wb->total_bytes);
}

/* Requests flushes and waits until one has ended. FAILURES: how many had failed when the wait began. */
static int wait_for_space_locked(struct writeback *wb, struct writeback_entry *e, uint64_t failures)
{
        bool own = e->bytes + wb->block_bytes > wb->inode_bytes;

        lock_assert_held(&wb->lock);
        if (wb->failures != failures && (!own || e->error))
                return own ? e->error : wb->last_failure;
        if (own)
                flush_request_locked(e);
        else
                flush_request_all_locked(wb);
        return waitlist_wait(&wb->space, &wb->lock);
}

static void take_locked(struct writeback *wb, struct writeback_entry *e)
{
        lock_assert_held(&wb->lock);
        e->bytes += wb->block_bytes;
        wb->bytes += wb->block_bytes;
        if (e->dirty_since_ns == 0) {
                e->dirty_since_ns = writeback_now_ns(wb);
                pthread_cond_signal(&wb->tick);
        }
}

int budget_take_locked(struct writeback_entry *e)
{
        struct writeback *wb = e->cache;
        uint64_t failures;
        int r = 0;

        lock_assert_held(&e->lock);
        lock_acquire(&wb->lock);
        if (fits_locked(wb, e)) {
                take_locked(wb, e);
                lock_release(&wb->lock);
                return 0;
        }

        lock_release(&e->lock);
        failures = wb->failures;
        while (r >= 0 && !fits_locked(wb, e))
                r = wait_for_space_locked(wb, e, failures);
        if (r >= 0)
                take_locked(wb, e);
        lock_release(&wb->lock);
        lock_acquire(&e->lock);
        return r < 0 ? r : 1;
}

void budget_give_back_locked(struct writeback_entry *e, size_t n)
{
        struct writeback *wb = e->cache;

        lock_assert_held(&e->lock);
        LOCK_GUARD(&wb->lock);
        e->bytes -= n * wb->block_bytes;
        wb->bytes -= n * wb->block_bytes;
        if (e->bytes == 0)
                e->dirty_since_ns = 0;
        waitlist_wake_all(&wb->space);
}

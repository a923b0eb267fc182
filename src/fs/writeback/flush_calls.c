/* SPDX-License-Identifier: MIT */
/* Flushes that the other folders of src/fs request. */
#include "fs/writeback/budget.h"
#include "fs/writeback/cache.h"
#include "fs/writeback/entry.h"
#include "fs/writeback/flush.h"

/* Result for callers that do not report lost data; fsync and close do. */
static int without_loss_locked(const struct writeback_entry *e, int r)
{
        return r == e->lost ? 0 : r;
}

/* Result for fsync and close: a loss is reported once. */
static int with_loss_locked(struct writeback_entry *e, int r)
{
        if (!e->lost)
                return r;
        r = e->lost;
        e->lost = 0;
        return r;
}

static int flush_inode(struct fs *fs, uint64_t ino, bool report_loss)
{
        struct writeback_entry *e = fs->writeback ? entry_get(fs->writeback, ino) : NULL;
        int r;

        if (!e)
                return 0;
        lock_acquire(&e->lock);
        r = flush_locked(e, FLUSH_SMALL_HERE);
        r = report_loss ? with_loss_locked(e, r) : without_loss_locked(e, r);
        lock_release(&e->lock);
        entry_put(e);
        return r;
}

int fs_writeback_flush(struct fs *fs, uint64_t ino)
{
        return flush_inode(fs, ino, false);
}

int fs_writeback_flush_report(struct fs *fs, uint64_t ino)
{
        return flush_inode(fs, ino, true);
}

/* Drops all bytes from SIZE on, when no attempt is under way. */
static void cut_locked(struct writeback_entry *e, uint64_t size)
{
        struct writeback *wb = e->cache;
        bool was_dirty = !batch_is_empty(&e->dirty);
        size_t n = batch_cut(&e->frozen, size) + batch_cut(&e->dirty, size);

        lock_assert_held(&e->lock);
        /* Callers that wait for the dirty batch still wait for the frozen one. */
        if (was_dirty && batch_is_empty(&e->dirty))
                e->batch++;
        budget_give_back_locked(e, n);
        lock_acquire(&wb->lock);
        e->retired = atomic_fetch_add(&wb->epoch, 1) + 1; /* readers may have seen the old end */
        lock_release(&wb->lock);
        if (batch_is_empty(&e->frozen)) {
                enum flush_state to = batch_is_empty(&e->dirty) ? FLUSH_CLEAN : FLUSH_DIRTY;

                if (e->state != to)
                        entry_set_state_locked(e, to, 0);
                e->batches_done = e->batch;
        }
        waitlist_wake_all(&e->flushed);
}

/* Flushes after dropping the bytes beyond SIZE, once no attempt is under way. */
static int flush_shortened_locked(struct writeback_entry *e, uint64_t size)
{
        while (flush_state_is_active(e->state)) {
                int r = waitlist_wait(&e->flushed, &e->lock);

                if (r < 0)
                        return r;
        }
        cut_locked(e, size);
        return flush_locked(e, FLUSH_SMALL_HERE);
}

int fs_writeback_flush_cut(struct fs *fs, uint64_t ino, uint64_t size)
{
        struct writeback_entry *e = fs->writeback ? entry_get(fs->writeback, ino) : NULL;
        int r;

        if (!e)
                return 0;
        lock_acquire(&e->lock);
        r = flush_locked(e, FLUSH_SMALL_HERE);
        if (r == -ENOSPC || r == -EDQUOT)
                r = flush_shortened_locked(e, size);
        r = without_loss_locked(e, r);
        lock_release(&e->lock);
        entry_put(e);
        return r;
}

/* Requests flushes of all dirty entries and takes references to them: their number, or ENOMEM. */
static int get_dirty(struct writeback *wb, struct writeback_entry ***ret)
{
        struct writeback_entry **all, *e;
        int n = 0;

        LOCK_GUARD(&wb->lock);
        all = calloc(wb->n_entries + 1, sizeof(struct writeback_entry *));
        if (!all)
                return -ENOMEM;
        list_each(e, &wb->entries, link) {
                if (e->bytes == 0)
                        continue;
                e->refs++;
                all[n++] = e;
                flush_request_locked(e);
        }
        *ret = all;
        return n;
}

int fs_writeback_flush_all(struct fs *fs)
{
        struct writeback *wb = fs->writeback;
        _cleanup_free_ struct writeback_entry **all = NULL;
        int n, first = 0;

        if (!wb)
                return 0;
        n = get_dirty(wb, &all);
        if (n < 0)
                return n;
        for (int i = 0; i < n; i++) {
                int r;

                lock_acquire(&all[i]->lock);
                r = flush_locked(all[i], FLUSH_ELSEWHERE);
                lock_release(&all[i]->lock);
                entry_put(all[i]);
                /* The loss of an inode that is gone is reported to callers that have it open. An error with
                 * which data was dropped comes before one after which it is kept. */
                if (r < 0 && r != -ESTALE && (first == 0 || flush_is_final(r)))
                        first = r;
        }
        return first;
}

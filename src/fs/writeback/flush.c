/* SPDX-License-Identifier: MIT */
/* When and by whom what is dirty is committed, and what becomes of it then. */
#include "fs/writeback/internal.h"

#include <stdlib.h>

/* How long an inode that others extend too is written in order. */
#define CONTENDED_NS UINT64_C(10000000000)

/* Whether trying again cannot help: the inode or the mount is gone, or damaged. */
static bool is_final(int r)
{
        switch (r) {
        case -ENOENT:
        case -EISDIR:
        case -EINVAL:
        case -EFBIG:
        case -EROFS:
        case -ERR_CORRUPT:
        case -ERR_FENCED:
                return true;
        default:
                return false;
        }
}

/* Frees the first N blocks of a batch, which are not needed any more. Under E's lock. */
static void blocks_retire(struct writeback *g, struct writeback_entry *e, struct flush_batch *b, size_t n)
{
        size_t bytes = n * g->block_bytes;

        dirty_blocks_drop(&b->blocks, n);
        lock_acquire(&g->lock);
        e->bytes -= bytes;
        g->bytes -= bytes;
        e->retired = atomic_fetch_add(&g->epoch, 1) + 1;
        e->dirty_since_ns = e->bytes > 0 ? writeback_now_ns(g) : 0;
        waitlist_wake_all(&g->room);
        lock_release(&g->lock);
}

/* There is nothing in it any more. */
static void batch_end(struct flush_batch *b)
{
        dirty_blocks_free(&b->blocks);
        b->change = (struct extent_change){ .written = false };
}

static void batch_retire(struct writeback *g, struct writeback_entry *e, struct flush_batch *b)
{
        blocks_retire(g, e, b, b->blocks.count);
        batch_end(b);
}

/* Under E's lock: what a flush of its frozen batch gave. */
static void flush_done(struct writeback *g, struct writeback_entry *e, int r)
{
        lock_acquire(&g->lock);
        /* Interrupted by its caller is not failed. */
        e->failing = r < 0 && r != -EINTR && !is_final(r) ? r : 0;
        if (e->failing) {
                g->failures++;
                g->last_failure = r;
                waitlist_wake_all(&g->room);
        }
        if (e->bytes > 0)
                e->dirty_since_ns = writeback_now_ns(g);
        lock_release(&g->lock);
        if (r >= 0) {
                batch_retire(g, e, &e->frozen);
                e->retires = e->freezes;
        } else if (is_final(r)) {
                e->lost = r == -ENOENT ? -ESTALE : r;
                batch_retire(g, e, &e->frozen);
                batch_retire(g, e, &e->dirty);
                e->retires = e->freezes;
        }
}

/* Under E's lock, behind a flush: has done what was asked for meanwhile. */
static void kick_again(struct writeback *g, struct writeback_entry *e)
{
        lock_acquire(&g->lock);
        if (e->again)
                writeback_kick(g, e);
        e->again = false;
        lock_release(&g->lock);
}

/* Under E's lock. */
static void set_flushing(struct writeback *g, struct writeback_entry *e, bool flushing)
{
        lock_acquire(&g->lock);
        e->flushing = flushing;
        lock_release(&g->lock);
}

/* How many of the dirty blocks are not being written any more: a file that is written from the beginning to
 * the end fills one after the other. */
static size_t filled(const struct writeback_entry *e)
{
        const struct dirty_blocks *dirty = &e->dirty.blocks;
        const struct dirty_block *last = dirty_blocks_last(dirty);

        if (!last || (dirty_block_solid(last) && dirty_block_end(last) == e->writeback->fs->block_size))
                return dirty->count;
        return dirty->count - 1;
}

/* Moves the first N of the dirty blocks to the frozen ones, which lie before them: 0, or ENOMEM unless it is
 * all and there are none. */
static int freeze(struct writeback_entry *e, size_t n)
{
        struct dirty_blocks *dirty = &e->dirty.blocks, *frozen = &e->frozen.blocks;

        if (frozen->count == 0 && n == dirty->count) {
                *frozen = *dirty;
                *dirty = (struct dirty_blocks){ .count = 0 };
        } else if (dirty_blocks_move(frozen, dirty, n) < 0) {
                return -ENOMEM;
        }
        extent_change_merge(&e->frozen.change, &e->dirty.change);
        if (dirty->count == 0) {
                batch_end(&e->dirty);
                e->freezes++;
        }
        return 0;
}

/* Begins a batch: with all that is dirty, if somebody waits or it is little. */
static void freeze_first(struct writeback_entry *e)
{
        bool all = waitlist_is_waited_for(&e->flushed) || writeback_is_small(e->writeback->fs, &e->dirty);

        if (all || freeze(e, filled(e)) < 0)
                (void)freeze(e, e->dirty.blocks.count);
}

/* How many of the dirty blocks a flush under way takes: as many as are worth it, but all of them once
 * somebody waits. */
static size_t wanted_by_flush(const struct writeback_entry *e, bool waited_for)
{
        const struct dirty_blocks *dirty = &e->dirty.blocks;
        size_t n = waited_for ? dirty->count : filled(e);

        if (dirty->count == 0 || dirty->at[0]->offset <= dirty_blocks_last(&e->frozen.blocks)->offset ||
            (e->dirty.change.kill_priv && !e->frozen.change.kill_priv))
                return 0;
        return waited_for || n >= extent_max_blocks(e->writeback->fs) ? n : 0;
}

/* Under E's lock. */
static bool freeze_more(struct writeback_entry *e)
{
        bool waited_for = waitlist_is_waited_for(&e->flushed);
        size_t n = e->full ? 0 : wanted_by_flush(e, waited_for);

        e->full = waited_for; /* or it would have to wait for whatever others write meanwhile */
        return n > 0 && freeze(e, n) >= 0;
}

static bool feed_more(struct writeback_entry *e)
{
        bool more;

        lock_acquire(&e->lock);
        more = freeze_more(e);
        lock_release(&e->lock);
        return more;
}

static void feed_done(struct writeback_entry *e, size_t n)
{
        lock_acquire(&e->lock);
        blocks_retire(e->writeback, e, &e->frozen, n);
        lock_release(&e->lock);
}

/* Under E's lock, which is released meanwhile: commits what is frozen, or else what is dirty. */
static int flush_once(struct writeback *g, struct writeback_entry *e)
{
        struct writeback_feed feed = {
                .entry = e, .more = feed_more, .done = feed_done, .step = g->inode_bytes / 4 / g->block_bytes
        };
        struct writeback_writer writer;
        bool in_order = writeback_now_ns(g) < e->in_order_until_ns, contended;
        int r;

        if (e->frozen.blocks.count == 0)
                freeze_first(e);
        memcpy(writer.pid, g->pid, sizeof(writer.pid));
        writer.writing = atomic_fetch_add(&g->writing, 1) + 1;
        set_flushing(g, e, true);
        e->full = false;
        lock_release(&e->lock);
        r = flush_commit(g->fs, g->workers, e->ino, &e->frozen, &feed, &writer, in_order, &contended);
        lock_acquire(&e->lock);
        set_flushing(g, e, false);
        if (contended)
                e->in_order_until_ns = writeback_now_ns(g) + CONTENDED_NS;
        flush_done(g, e, r);
        e->attempts++;
        e->last_result = r;
        waitlist_wake_all(&e->flushed);
        kick_again(g, e);
        return r;
}

void writeback_kick(struct writeback *g, struct writeback_entry *e)
{
        if (e->queued || e->bytes == 0)
                return;
        if (e->flushing) {
                e->again = true;
                return;
        }
        e->queued = true;
        e->refs++;
        pool_submit(g->workers, &e->job);
}

/* Under E's lock. */
static bool is_for_others(const struct writeback *g, const struct writeback_entry *e, enum flusher who)
{
        const struct flush_batch *next = e->frozen.blocks.count > 0 ? &e->frozen : &e->dirty;

        return who == WRITEBACK_ELSEWHERE ||
               (who == WRITEBACK_SMALL_HERE && !writeback_is_small(g->fs, next));
}

/* Has the next batch committed by a thread of ours, or waits for the one under way. Under E's lock, which
 * is released meanwhile. */
static int wait_for_others(struct writeback *g, struct writeback_entry *e)
{
        uint64_t attempts = e->attempts;
        bool under_way = e->flushing;
        int r = 0;

        if (!under_way) {
                lock_acquire(&g->lock);
                writeback_kick(g, e);
                lock_release(&g->lock);
        }
        while (r >= 0 && e->attempts == attempts &&
               (e->flushing || e->frozen.blocks.count > 0 || e->dirty.blocks.count > 0))
                r = waitlist_wait(&e->flushed, &e->lock);
        /* What was under way may be somebody else's who lost deadline. */
        return r < 0 || under_way ? r : e->last_result < 0 && e->last_result != -EINTR ? e->last_result : 0;
}

int writeback_flush(struct writeback *g, struct writeback_entry *e, enum flusher who)
{
        uint64_t wanted = e->freezes + (e->dirty.blocks.count > 0);
        int r = 0;

        while (r >= 0 && e->retires < wanted) {
                /* Cut meanwhile. */
                if (!e->flushing && e->frozen.blocks.count == 0 && e->dirty.blocks.count == 0)
                        break;
                if (e->flushing || is_for_others(g, e, who))
                        r = wait_for_others(g, e);
                else
                        r = flush_once(g, e);
        }
        return r < 0 && is_final(r) ? e->lost : r;
}

void flush_job(struct pool_job *job)
{
        struct writeback_entry *e =
                (struct writeback_entry *)((char *)job - offsetof(struct writeback_entry, job));
        struct writeback *g = e->writeback;

        lock_acquire(&e->lock);
        /* From here on it may be submitted again, for what comes meanwhile. Not before it has E's lock:
         * whoever waits for this flush would submit another one, which nobody waits for, and which would
         * commit what is written later as soon as that is there. */
        lock_acquire(&g->lock);
        e->queued = false;
        e->again |= e->flushing; /* threads are few: they do not wait for each other */
        lock_release(&g->lock);
        if (!e->flushing && (e->frozen.blocks.count > 0 || e->dirty.blocks.count > 0))
                (void)flush_once(g, e); /* the error is kept; who waits asks again for what is left */
        lock_release(&e->lock);
        writeback_entry_put(g, e);
}

void writeback_kick_all(struct writeback *g)
{
        struct writeback_entry *e;

        list_each(e, &g->all, link)
                writeback_kick(g, e);
}

/* ---- from outside ------------------------------------------------------------------------------ */

/* What to tell who does not ask for losses: these are told by fsync and close. */
static int but_for_loss(const struct writeback_entry *e, int r)
{
        return r == e->lost ? 0 : r;
}

/* TELL: whether something was lost. */
static int flush_inode(struct fs *fs, uint64_t ino, bool tell)
{
        struct writeback_entry *e = fs->writeback ? writeback_entry_get(fs->writeback, ino) : NULL;
        int r;

        if (!e)
                return 0;
        lock_acquire(&e->lock);
        r = writeback_flush(fs->writeback, e, WRITEBACK_SMALL_HERE);
        if (!tell) {
                r = but_for_loss(e, r);
        } else if (e->lost) {
                r = e->lost;
                e->lost = 0;
        }
        lock_release(&e->lock);
        writeback_entry_put(fs->writeback, e);
        return r;
}

int fs_writeback_flush(struct fs *fs, uint64_t ino)
{
        return flush_inode(fs, ino, false);
}

int fs_writeback_flush_tell(struct fs *fs, uint64_t ino)
{
        return flush_inode(fs, ino, true);
}

/* How many blocks' room that gives back. */
static size_t cut_batch(struct flush_batch *b, uint64_t size)
{
        size_t n = dirty_blocks_cut(&b->blocks, size);

        if (b->blocks.count == 0)
                batch_end(b);
        return n;
}

/* Under E's lock, and nothing is being flushed. */
static void cut(struct writeback *g, struct writeback_entry *e, uint64_t size)
{
        bool had_dirty = e->dirty.blocks.count > 0;
        size_t n = cut_batch(&e->frozen, size) + cut_batch(&e->dirty, size);

        /* Or what is frozen would not be waited for: its freeze counts when nothing is left behind it. */
        if (had_dirty && e->dirty.blocks.count == 0)
                e->freezes++;
        writeback_budget_give_back(g, e, n);
        lock_acquire(&g->lock);
        /* Who is reading may have seen how long it was. */
        e->retired = atomic_fetch_add(&g->epoch, 1) + 1;
        if (e->frozen.blocks.count == 0)
                e->failing = 0;
        lock_release(&g->lock);
        if (e->frozen.blocks.count == 0)
                e->retires = e->freezes;
        waitlist_wake_all(&e->flushed);
}

int fs_writeback_flush_cut(struct fs *fs, uint64_t ino, uint64_t size)
{
        struct writeback *g = fs->writeback;
        struct writeback_entry *e = g ? writeback_entry_get(g, ino) : NULL;
        int r;

        if (!e)
                return 0;
        lock_acquire(&e->lock);
        r = writeback_flush(g, e, WRITEBACK_SMALL_HERE);
        if (r == -ENOSPC || r == -EDQUOT) {
                r = 0;
                while (r >= 0 && e->flushing)
                        r = waitlist_wait(&e->flushed, &e->lock);
                if (r >= 0) {
                        cut(g, e, size);
                        r = writeback_flush(g, e, WRITEBACK_SMALL_HERE);
                }
        }
        r = but_for_loss(e, r);
        lock_release(&e->lock);
        writeback_entry_put(g, e);
        return r;
}

/* References to all of which something is dirty: their number, or ENOMEM. */
static int get_all(struct writeback *g, struct writeback_entry ***ret)
{
        struct writeback_entry **all, *e;
        int n = 0;

        lock_acquire(&g->lock);
        all = calloc(g->entries + 1, sizeof(*all));
        list_each(e, &g->all, link)
                if (all && e->bytes > 0) {
                        e->refs++;
                        all[n++] = e;
                        writeback_kick(g, e);
                }
        lock_release(&g->lock);
        *ret = all;
        return all ? n : -ENOMEM;
}

int fs_writeback_flush_all(struct fs *fs)
{
        struct writeback *g = fs->writeback;
        struct writeback_entry **all;
        int n, first = 0;

        if (!g)
                return 0;
        n = get_all(g, &all);
        for (int i = 0; i < n; i++) {
                int r;

                lock_acquire(&all[i]->lock);
                r = writeback_flush(g, all[i], WRITEBACK_ELSEWHERE);
                lock_release(&all[i]->lock);
                writeback_entry_put(g, all[i]);
                /* Of an inode that is gone, those who had it open are told. */
                if (r < 0 && r != -ESTALE && first == 0)
                        first = r;
        }
        free(all);
        return n < 0 ? n : first;
}

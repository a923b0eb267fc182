/* SPDX-License-Identifier: MIT */
#include "fs/writeback/flush.h"
#include "fs/writeback/cache.h"
#include "fs/writeback/commit.h"
#include "fs/writeback/entry.h"

/* How long an inode that other mounts extend too is written in order. */
#define CONTENDED_NS UINT64_C(10000000000)

bool flush_is_final(int r)
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

/* ---- the end of blocks and attempts -------------------------------------------------------------- */

/* Frees the first N blocks of a batch, which were committed or are dropped. Readers that began before read
 * again. */
static void retire_blocks_locked(struct writeback_entry *e, struct writeback_batch *b, size_t n)
{
        struct writeback *wb = e->cache;
        size_t bytes = n * wb->block_bytes;

        lock_assert_held(&e->lock);
        dirty_blocks_drop(&b->blocks, n);
        LOCK_GUARD(&wb->lock);
        e->bytes -= bytes;
        wb->bytes -= bytes;
        e->retired = atomic_fetch_add(&wb->epoch, 1) + 1;
        e->dirty_since_ns = e->bytes > 0 ? writeback_now_ns(wb) : 0;
        waitlist_wake_all(&wb->space);
}

static void retire_batch_locked(struct writeback_entry *e, struct writeback_batch *b)
{
        retire_blocks_locked(e, b, b->blocks.count);
        batch_clear(b);
}

/* Both batches are kept; the timer tries again later. */
static void keep_failed_locked(struct writeback_entry *e, int r)
{
        struct writeback *wb = e->cache;

        entry_set_state_locked(e, FLUSH_FAILING, r);
        LOCK_GUARD(&wb->lock);
        e->dirty_since_ns = writeback_now_ns(wb);
        wb->failures++;
        wb->last_failure = r;
        waitlist_wake_all(&wb->space);
}

static void keep_interrupted_locked(struct writeback_entry *e)
{
        struct writeback *wb = e->cache;

        entry_set_state_locked(e, FLUSH_FROZEN, 0);
        LOCK_GUARD(&wb->lock);
        e->dirty_since_ns = writeback_now_ns(wb);
}

static void drop_all_locked(struct writeback_entry *e, int r)
{
        e->lost = r == -ENOENT ? -ESTALE : r;
        e->batch += !batch_is_empty(&e->dirty);
        retire_batch_locked(e, &e->frozen);
        retire_batch_locked(e, &e->dirty);
        entry_set_state_locked(e, FLUSH_CLEAN, 0);
        e->batches_done = e->batch;
}

static void finish_committed_locked(struct writeback_entry *e)
{
        retire_batch_locked(e, &e->frozen);
        entry_set_state_locked(e, batch_is_empty(&e->dirty) ? FLUSH_CLEAN : FLUSH_DIRTY, 0);
        e->batches_done = e->batch;
}

/* Queues the job that was requested during the attempt. */
static void queue_requested_locked(struct writeback_entry *e)
{
        LOCK_GUARD(&e->cache->lock);
        if (e->request != FLUSH_REQUESTED_AGAIN)
                return;
        e->request = FLUSH_NOT_REQUESTED;
        flush_request_locked(e);
}

/* Ends an attempt with the result R. */
static void end_attempt_locked(struct writeback_entry *e, int r)
{
        if (r >= 0)
                finish_committed_locked(e);
        else if (flush_is_final(r))
                drop_all_locked(e, r);
        else if (r == -EINTR)
                keep_interrupted_locked(e);
        else
                keep_failed_locked(e, r);
        e->attempts++;
        e->last_result = r;
        waitlist_wake_all(&e->flushed);
        queue_requested_locked(e);
}

/* ---- freezing ------------------------------------------------------------------------------------ */

/* Moves the first N dirty blocks to the frozen batch: 0 or ENOMEM. */
static int freeze_locked(struct writeback_entry *e, size_t n)
{
        int r = batch_move(&e->frozen, &e->dirty, n);

        if (r >= 0 && batch_is_empty(&e->dirty))
                e->batch++;
        return r;
}

/* Fills an empty frozen batch: with all dirty blocks if a thread waits or they are few, else with the
 * complete ones. */
static void freeze_first_locked(struct writeback_entry *e)
{
        struct fs *fs = e->cache->fs;
        bool all = waitlist_is_waited_for(&e->flushed) || flush_is_small(fs, &e->dirty);

        if (all || freeze_locked(e, batch_filled(&e->dirty, fs->block_size)) < 0)
                (void)freeze_locked(e, e->dirty.blocks.count); /* all of them need no memory */
}

/* How many dirty blocks the attempt under way adds: enough for a transaction, or all once a thread waits. */
static size_t count_to_add_locked(const struct writeback_entry *e, bool waited_for)
{
        const struct fs *fs = e->cache->fs;
        const struct dirty_blocks *dirty = &e->dirty.blocks;
        size_t n = waited_for ? dirty->count : batch_filled(&e->dirty, fs->block_size);

        if (dirty->count == 0 || dirty->at[0]->offset <= dirty_blocks_last(&e->frozen.blocks)->offset ||
            (e->dirty.change.kill_priv && !e->frozen.change.kill_priv))
                return 0;
        return waited_for || n >= extent_max_blocks(fs) ? n : 0;
}

/* ---- the feed of an attempt ---------------------------------------------------------------------- */

static bool feed_more(void *arg)
{
        struct writeback_entry *e = arg;
        bool waited_for;
        size_t n;

        LOCK_GUARD(&e->lock);
        if (e->state == FLUSH_FINISHING)
                return false;
        waited_for = waitlist_is_waited_for(&e->flushed);
        n = count_to_add_locked(e, waited_for);
        /* Otherwise the waiting thread would also wait for later writes of other threads. */
        if (waited_for)
                entry_set_state_locked(e, FLUSH_FINISHING, 0);
        return n > 0 && freeze_locked(e, n) >= 0;
}

static void feed_done(void *arg, size_t n)
{
        struct writeback_entry *e = arg;

        LOCK_GUARD(&e->lock);
        retire_blocks_locked(e, &e->frozen, n);
}

/* ---- attempts ------------------------------------------------------------------------------------ */

/* Commits the frozen batch, or freezes the dirty blocks and commits them, with the lock released. */
static int attempt_locked(struct writeback_entry *e)
{
        struct writeback *wb = e->cache;
        struct flush_commit commit = {
                .fs = wb->fs,
                .workers = wb->workers,
                .ino = e->ino,
                .batch = &e->frozen,
                .feed = { .arg = e,
                          .more = feed_more,
                          .done = feed_done,
                          .step_blocks = wb->inode_bytes / 4 / wb->block_bytes },
                .in_order = writeback_now_ns(wb) < e->in_order_until_ns,
        };
        int r;

        lock_assert_held(&e->lock);
        if (batch_is_empty(&e->frozen))
                freeze_first_locked(e);
        memcpy(commit.writer.pid, wb->pid, sizeof(commit.writer.pid));
        commit.writer.writing = atomic_fetch_add(&wb->writing, 1) + 1;
        entry_set_state_locked(e, FLUSH_FLUSHING, 0);
        lock_release(&e->lock);
        r = flush_commit(&commit);
        lock_acquire(&e->lock);
        if (commit.contended)
                e->in_order_until_ns = writeback_now_ns(wb) + CONTENDED_NS;
        end_attempt_locked(e, r);
        return r;
}

static void flush_job(struct pool_job *job)
{
        struct writeback_entry *e =
                (struct writeback_entry *)((char *)job - offsetof(struct writeback_entry, job));

        lock_acquire(&e->lock);
        /* From here on the job may be submitted again, for later writes. That needs E's lock:
         * otherwise the thread that waits for this flush would submit another one, for which no thread
         * waits, and which would commit later writes at once. */
        lock_acquire(&e->cache->lock);
        e->request = flush_state_is_active(e->state) ? FLUSH_REQUESTED_AGAIN : FLUSH_NOT_REQUESTED;
        lock_release(&e->cache->lock);
        /* Threads are few: they do not wait for an attempt under way. The entry keeps the error, and a caller
         * that waits flushes what is left. */
        if (!flush_state_is_active(e->state) && e->state != FLUSH_CLEAN)
                (void)attempt_locked(e);
        lock_release(&e->lock);
        entry_put(e);
}

void flush_request_locked(struct writeback_entry *e)
{
        lock_assert_held(&e->cache->lock);
        if (e->request == FLUSH_QUEUED || e->bytes == 0)
                return;
        if (flush_state_is_active(e->state)) {
                e->request = FLUSH_REQUESTED_AGAIN;
                return;
        }
        e->request = FLUSH_QUEUED;
        e->refs++;
        e->job.fn = flush_job;
        pool_submit(e->cache->workers, &e->job);
}

void flush_request_all_locked(struct writeback *wb)
{
        struct writeback_entry *e;

        list_each(e, &wb->entries, link)
                flush_request_locked(e);
}

/* ---- waiting ------------------------------------------------------------------------------------- */

static bool is_for_cache_threads_locked(const struct writeback_entry *e, enum flush_thread thread)
{
        const struct writeback_batch *next = batch_is_empty(&e->frozen) ? &e->dirty : &e->frozen;

        return thread == FLUSH_ELSEWHERE || !flush_is_small(e->cache->fs, next);
}

/* Waits for the attempt under way: 0, since its result is that of another caller. Or has the next batch
 * committed by a thread of the cache, waits for that and returns the result. */
static int wait_for_attempt_locked(struct writeback_entry *e)
{
        struct writeback *wb = e->cache;
        uint64_t attempts = e->attempts;
        bool under_way = flush_state_is_active(e->state);
        int r = 0;

        if (!under_way) {
                lock_acquire(&wb->lock);
                flush_request_locked(e);
                lock_release(&wb->lock);
        }
        while (e->attempts == attempts && e->state != FLUSH_CLEAN) {
                r = waitlist_wait(&e->flushed, &e->lock);
                if (r < 0)
                        return r;
        }
        if (under_way || e->attempts == attempts || e->last_result == -EINTR)
                return 0;
        return e->last_result;
}

int flush_locked(struct writeback_entry *e, enum flush_thread thread)
{
        uint64_t wanted = e->batch + !batch_is_empty(&e->dirty);
        int r = 0;

        lock_assert_held(&e->lock);
        while (r >= 0 && e->batches_done < wanted && e->state != FLUSH_CLEAN) {
                if (flush_state_is_active(e->state) || is_for_cache_threads_locked(e, thread))
                        r = wait_for_attempt_locked(e);
                else
                        r = attempt_locked(e);
        }
        return r < 0 && flush_is_final(r) ? e->lost : r;
}

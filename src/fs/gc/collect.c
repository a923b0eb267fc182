/* SPDX-License-Identifier: MIT */
/* The collector's thread, its queue, and how it clears inodes: many small ones in one transaction, a large
 * one in many. */
#include "fs/gc/queue.h"
#include "fs/run.h"
#include "record/counter.h"
#include "record/garbage.h"
#include "record/inode.h"
#include "record/session.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/thread.h"
#include "fs/extent/extent.h"
#include "fs/inode/inode.h"
#include "record/block.h"

#include <assert.h>
#include <stdatomic.h>

#define BATCH        64u   /* inodes in one transaction */
#define WRITEBACK_MS 50u   /* else so long, so that a few inodes do not cost a transaction each */
#define RETRY_MS     1000u /* after an error of the store */
#define ALONE_S      5     /* between two looks whether other mounts have gone, if something was left */
#define SCAN_S       30    /* else */

/* ---- clearing inodes ---------------------------------------------------------------------------- */

enum verdict {
        JOB_DONE,   /* nothing is left to do, or nothing may be done yet */
        JOB_LEFT,   /* unlinked and unused here, but other mounts may use it */
        JOB_CLEAR,  /* unlinked and unused */
        JOB_TRIM,   /* has blocks beyond its end */
        JOB_STALE,  /* 'g' names it for no reason */
        JOB_BROKEN, /* cannot be read: left to fsck */
};

struct job {
        uint64_t ino;
        bool in_use;
        enum verdict verdict;
        bool one_block; /* has block 0 at most */
        bool no_blocks;
        bool more; /* run again: not all of its blocks are cleared */
};

struct batch {
        struct fs *fs;
        bool alone; /* no other mount is registered */
        unsigned count;
        struct job jobs[BATCH];
};

/* What other mounts have open cannot be seen yet, so that only who is alone collects. Whoever registers
 * meanwhile conflicts; and who registers later finds no name that leads to what is being cleared. */
static int look_for_others(const struct fs *fs, struct kv_txn *t, bool *ret_alone)
{
        int r = fs->shared ? rec_session_is_only(t, fs_session_pid(fs->session)) : 1;

        *ret_alone = r > 0;
        return r < 0 ? r : 0;
}

static int judge(const struct batch *b, struct kv_txn *t, struct rec_inode_read *read, struct job *job)
{
        const struct fs *fs = b->fs;
        struct rec_inode inode;
        int r = rec_inode_wait(t, read, &inode);

        job->more = false;
        if (r == -ENOENT)
                job->verdict = JOB_STALE;
        else if (r == -ERR_CORRUPT)
                job->verdict = JOB_BROKEN;
        else if (r < 0)
                return r;
        else if (inode.rec.nlink > 0)
                job->verdict = inode.rec.trim_from != 0 ? JOB_TRIM : JOB_STALE;
        else
                job->verdict = job->in_use ? JOB_DONE : b->alone ? JOB_CLEAR : JOB_LEFT;
        if (job->verdict == JOB_CLEAR) {
                /* Nothing else says so: blocks that are being written are not in `allocated`. */
                job->no_blocks = inode.rec.trim_from == 0 && inode.rec.size == 0;
                job->one_block = inode.rec.trim_from == 0 && inode.rec.size <= fs->block_size;
        }
        return 0;
}

/* Clears blocks of INO, as many as *BUDGET says, and counts them off it. 1 if more may remain. */
static int clear_blocks(struct fs *fs, struct kv_txn *t, uint64_t ino, unsigned *budget)
{
        uint64_t end = rec_block_up(fs->block_size, FMT_FILE_SIZE_MAX), unused = 0;
        struct rec_block_found found;
        struct rec_inode inode;
        int r;

        if (*budget == 0)
                return 1;
        r = rec_block_find(t, ino, 0, end, false, *budget, &found);
        if (r < 0)
                return r;
        if (found.count < *budget) {
                *budget -= found.count;
                return rec_block_clear(t, fs->block_size, ino, 0, end, &found, &unused);
        }
        *budget = 0;
        r = rec_inode_load(t, ino, REC_INODE_RECORD, 0, &inode);
        if (r >= 0)
                r = rec_block_clear(t, fs->block_size, ino, 0, found.last + fs->block_size, &found,
                                    &inode.rec.allocated);
        if (r >= 0)
                r = rec_inode_store_new(t, ino, &inode.rec);
        return r < 0 ? r : 1;
}

/* 'g' and 'i' go with the last block, so that an interrupted collection is taken up again. */
static int clear_inode(struct fs *fs, struct kv_txn *t, struct job *job, unsigned *budget)
{
        int r = 0;

        if (job->one_block && !job->no_blocks) {
                r = rec_block_clear_one(t, job->ino, 0);
        } else if (!job->no_blocks) {
                r = clear_blocks(fs, t, job->ino, budget);
        }
        job->more = r > 0;
        if (r != 0)
                return r;
        r = rec_inode_clear(t, job->ino);
        return r < 0 ? r : rec_garbage_clear(t, job->ino);
}

static int collect_body(struct kv_txn *t, void *arg)
{
        struct batch *b = arg;
        struct rec_inode_read reads[BATCH];
        unsigned budget = rec_block_step(b->fs->limits);
        int64_t cleared = 0;
        int r;

        for (unsigned i = 0; i < b->count; i++)
                rec_inode_start(t, &reads[i], b->jobs[i].ino, REC_INODE_RECORD, 0);
        r = look_for_others(b->fs, t, &b->alone);
        for (unsigned i = 0; r >= 0 && i < b->count; i++)
                r = judge(b, t, &reads[i], &b->jobs[i]);
        for (unsigned i = 0; r >= 0 && i < b->count; i++) {
                struct job *job = &b->jobs[i];

                if (job->verdict == JOB_CLEAR) {
                        r = clear_inode(b->fs, t, job, &budget);
                        cleared += r == 0;
                } else if (job->verdict == JOB_STALE) {
                        r = rec_garbage_clear(t, job->ino);
                }
        }
        if (r >= 0 && cleared > 0)
                r = rec_counter_add(t, FMT_COUNTER_INODES, -cleared);
        return r < 0 ? r : 0;
}

/* ---- batches ------------------------------------------------------------------------------------ */

static bool stopping(struct fs_gc *c)
{
        bool stop;

        pthread_mutex_lock(&c->lock);
        stop = c->stop;
        pthread_mutex_unlock(&c->lock);
        return stop;
}

/* Runs a job of its own until it is done; the last collection does not let itself be interrupted. */
static int finish_job(struct fs_gc *c, const struct job *job, bool last_collection)
{
        struct batch b = { .fs = c->fs, .count = 1, .jobs = { *job } };
        int r;

        do
                r = fs_run_write(c->fs, KV_RESERVE, collect_body, &b);
        while (r >= 0 && b.jobs[0].more && (last_collection || !stopping(c)));
        if (r >= 0 && b.jobs[0].verdict == JOB_LEFT)
                atomic_store(&c->left, true);
        if (r >= 0 && b.jobs[0].verdict == JOB_BROKEN)
                return -ERR_CORRUPT;
        return r < 0 || b.jobs[0].verdict != JOB_TRIM ? r : fs_trim_abandoned(c->fs, job->ino);
}

/* What a job's error means to the others: nothing, if only its own keys are damaged. */
static int forgive(const struct job *job, int r)
{
        if (r != -ERR_CORRUPT)
                return r;
        log_warning("inode %llu is damaged and cannot be collected; see ashlar fsck",
                    (unsigned long long)job->ino);
        return 0;
}

/* Collects up to BATCH inodes. The last collection takes those in use too. */
static int collect(struct fs_gc *c, const uint64_t *inos, unsigned n, bool last_collection)
{
        struct batch b = { .fs = c->fs, .count = n };
        bool apart;
        int r;

        assert(n <= BATCH);
        /* Before the table is looked at: see fs_gc_generation. */
        atomic_fetch_add(&c->generation, 1);
        for (unsigned i = 0; i < n; i++)
                b.jobs[i] = (struct job){
                        .ino = inos[i],
                        .in_use = !last_collection && fs_inuse_orphan(c->fs->inuse, inos[i]),
                };
        r = fs_run_write(c->fs, KV_RESERVE, collect_body, &b);
        if (r >= 0)
                atomic_store(&c->others, !b.alone);
        /* One that is damaged must not keep the others from being collected. */
        apart = r == -ERR_CORRUPT;
        if (apart)
                r = 0;
        for (unsigned i = 0; r >= 0 && i < n; i++) {
                struct job *job = &b.jobs[i];

                if (apart || job->verdict == JOB_TRIM || job->more)
                        r = forgive(job, finish_job(c, job, last_collection));
                else if (job->verdict == JOB_LEFT)
                        atomic_store(&c->left, true);
                else if (job->verdict == JOB_BROKEN)
                        r = forgive(job, -ERR_CORRUPT);
        }
        return r;
}

struct scan {
        uint64_t from;
        bool end; /* nothing is left */
        unsigned count;
        uint64_t inos[BATCH];
};

static int scan_body(struct kv_txn *t, void *arg)
{
        struct scan *s = arg;

        return rec_garbage_list(t, s->from, BATCH, s->inos, &s->count, &s->end);
}

/* Goes through all of 'g' once. */
static int collect_all(struct fs_gc *c, bool last_collection)
{
        struct scan s = { .from = 0 };

        do {
                int r = fs_run_read(c->fs, scan_body, &s);

                if (r >= 0 && s.count > 0)
                        r = collect(c, s.inos, s.count, last_collection);
                if (r < 0)
                        return r;
                if (!s.end)
                        s.from = s.inos[s.count - 1] + 1;
        } while (!s.end && (last_collection || !stopping(c)));
        return 0;
}

/* ---- what is left to others ----------------------------------------------------------------------- */

static int alone_body(struct kv_txn *t, void *arg)
{
        const struct fs *fs = arg;

        return rec_session_is_only(t, fs_session_pid(fs->session));
}

static bool is_alone(struct fs_gc *c)
{
        bool alone = fs_run_read(c->fs, alone_body, c->fs) > 0;

        atomic_store(&c->others, !alone);
        return alone;
}

/* ---- thread ------------------------------------------------------------------------------------- */

/* Waits for MS, unless there is much to do or somebody waits for it. */
static void wait_ms(struct fs_gc *c, unsigned ms)
{
        struct timespec until = thread_deadline(ms * UINT64_C(1000000));

        while (!c->stop && c->count < FS_GC_MANY && c->hurried == 0 &&
               pthread_cond_timedwait(&c->wake, &c->lock, &until) != ETIMEDOUT)
                ;
}

/* A shared mount: looks under 'g' again now and then, because others unlink too. */
static void wait_for_others(struct fs_gc *c)
{
        struct timespec until = c->looked;
        bool alone;

        if (atomic_load(&c->left) && !atomic_load(&c->others)) {
                /* The last pass found that they have gone. */
                atomic_store(&c->left, false);
                c->scan = true;
                return;
        }
        until.tv_sec += atomic_load(&c->left) ? ALONE_S : SCAN_S;
        if (pthread_cond_timedwait(&c->wake, &c->lock, &until) != ETIMEDOUT)
                return;
        pthread_mutex_unlock(&c->lock);
        alone = is_alone(c);
        pthread_mutex_lock(&c->lock);
        clock_gettime(CLOCK_MONOTONIC, &c->looked);
        if (alone) {
                atomic_store(&c->left, false);
                c->scan = true;
        }
}

/* Waits until there may be something to do. */
static void wait_for_work(struct fs_gc *c)
{
        if (c->fs->shared)
                wait_for_others(c);
        else
                pthread_cond_wait(&c->wake, &c->lock);
        if (!c->stop && c->count > 0 && !c->scan)
                wait_ms(c, WRITEBACK_MS);
}

static int collect_queue(struct fs_gc *c, const uint64_t *inos, size_t count)
{
        int r = 0;

        for (size_t done = 0; r >= 0 && done < count && !stopping(c); done += BATCH) {
                size_t left = count - done;

                r = collect(c, inos + done, left < BATCH ? (unsigned)left : BATCH, false);
        }
        return r;
}

static void *collector_main(void *arg)
{
        struct fs_gc *c = arg;
        uint64_t *spare = NULL;
        size_t spare_capacity = 0;
        bool failing = false;

        pthread_mutex_lock(&c->lock);
        while (!c->stop) {
                uint64_t *inos = c->queue;
                size_t count, capacity = c->capacity;
                bool scan;
                int r = 0;

                if (c->count == 0 && !c->scan) {
                        wait_for_work(c);
                        continue;
                }
                /* Take the whole queue, and leave an empty array to fill meanwhile. */
                count = c->count;
                scan = c->scan;
                c->queue = spare;
                c->capacity = spare_capacity;
                c->count = 0;
                c->scan = false;
                c->busy = true;
                pthread_mutex_unlock(&c->lock);

                if (scan)
                        r = collect_all(c, false);
                if (r >= 0)
                        r = collect_queue(c, inos, count);
                spare = inos;
                spare_capacity = capacity;
                if (r < 0 && !failing && !fs_is_fenced(c->fs))
                        log_warning("unlinked files wait to be collected: %s", err_str(r));
                failing = r < 0;

                pthread_mutex_lock(&c->lock);
                c->busy = false;
                c->passes++;
                pthread_cond_broadcast(&c->settled);
                if (r < 0) {
                        c->scan = true; /* finds all that is still to be done */
                        c->count = 0;
                        wait_ms(c, RETRY_MS);
                }
        }
        pthread_mutex_unlock(&c->lock);
        free(spare);
        return NULL;
}

int fs_gc_start(struct fs *fs)
{
        struct fs_gc *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        c->fs = fs;
        c->scan = true;
        clock_gettime(CLOCK_MONOTONIC, &c->looked);
        pthread_mutex_init(&c->lock, NULL);
        thread_cond_init(&c->wake);
        pthread_cond_init(&c->settled, NULL);
        fs->gc = c;
        r = thread_start(&c->thread, collector_main, c);
        if (r < 0) {
                fs->gc = NULL;
                pthread_cond_destroy(&c->settled);
                pthread_cond_destroy(&c->wake);
                pthread_mutex_destroy(&c->lock);
                free(c);
        }
        return r;
}

void fs_gc_stop(struct fs *fs)
{
        struct fs_gc *c = fs->gc;
        int r;

        pthread_mutex_lock(&c->lock);
        c->stop = true;
        pthread_cond_signal(&c->wake);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->thread, NULL);

        r = fs_is_fenced(fs) ? 0 : collect_all(c, true);
        if (r < 0)
                log_warning("unlinked files are left to be collected by the next mount: %s", err_str(r));
        fs->gc = NULL;
        pthread_cond_destroy(&c->settled);
        pthread_cond_destroy(&c->wake);
        pthread_mutex_destroy(&c->lock);
        free(c->queue);
        free(c);
}

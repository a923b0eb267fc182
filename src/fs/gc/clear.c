/* SPDX-License-Identifier: MIT */
#include "fs/gc/clear.h"

#include "base/log.h"
#include "fs/extent/extent.h"
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "record/block.h"
#include "record/counter.h"
#include "record/garbage.h"
#include "record/inode.h"
#include "record/session.h"

#include <assert.h>

/* The state in which a transaction found an inode, and what it did or leaves to do. */
enum state {
        IN_USE,  /* unlinked, but this mount refers to it: its last reference queues it again */
        SHARED,  /* unlinked and unused here, but another mount may use it: left alone */
        DEAD,    /* unlinked and unused: blocks, inode and entry are cleared */
        TRIM,    /* linked, with blocks beyond its end: these are cleared */
        STALE,   /* linked or missing, without such blocks: the entry is cleared */
        DAMAGED, /* cannot be read: left to fsck */
};

struct job {
        uint64_t ino;
        bool in_use;
        enum state state;
        unsigned blocks; /* of a DEAD one, at most: 0, 1 (the first) or MANY_BLOCKS */
        bool more;       /* not all blocks of a DEAD one fitted into the transaction: run it again */
};
#define MANY_BLOCKS 2u

struct group {
        struct fs *fs;
        bool only_mount; /* no other mount is registered */
        unsigned count;
        struct job jobs[GC_GROUP];
};

int gc_is_only_mount(const struct fs *fs, struct kv_txn *t)
{
        return rec_session_is_only(t, fs_session_pid(fs->session));
}

/* ---- one transaction ---------------------------------------------------------------------------- */

/* The inodes that another mount has open are not known, so a mount collects only while it is the only one.
 * A registration in the meantime conflicts, and a later one finds no name that leads to what is cleared
 * here. */
static int find_others(struct group *g, struct kv_txn *t)
{
        int r = g->fs->shared ? gc_is_only_mount(g->fs, t) : 1;

        g->only_mount = r > 0;
        return r < 0 ? r : 0;
}

static enum state state_of(const struct group *g, const struct job *job, const struct fmt_inode *rec)
{
        if (rec->nlink > 0)
                return rec->trim_from != 0 ? TRIM : STALE;
        if (job->in_use)
                return IN_USE;
        return g->only_mount ? DEAD : SHARED;
}

/* Only the size bounds the blocks: those that are being written are not in `allocated`. */
static unsigned blocks_of(const struct fs *fs, const struct fmt_inode *rec)
{
        if (rec->trim_from != 0 || rec->size > fs->block_size)
                return MANY_BLOCKS;
        return rec->size > 0 ? 1 : 0;
}

static int find_state(const struct group *g, struct kv_txn *t, struct rec_inode_read *read, struct job *job)
{
        struct rec_inode inode;
        int r = rec_inode_wait(t, read, &inode);

        job->more = false;
        if (r == -ENOENT || r == -ERR_CORRUPT) {
                job->state = r == -ENOENT ? STALE : DAMAGED;
                return 0;
        }
        if (r < 0)
                return r;
        job->state = state_of(g, job, &inode.rec);
        job->blocks = blocks_of(g->fs, &inode.rec);
        return 0;
}

/* Clears up to *BUDGET blocks of INO and subtracts them. 1: more may remain. */
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
        if (r < 0)
                return r;
        r = rec_block_clear(t, fs->block_size, ino, 0, found.last + fs->block_size, &found,
                            &inode.rec.allocated);
        if (r < 0)
                return r;
        r = rec_inode_store_new(t, ino, &inode.rec);
        return r < 0 ? r : 1;
}

/* The entry goes with the last block, so an interrupted collection is resumed. */
static int clear_inode(struct fs *fs, struct kv_txn *t, struct job *job, unsigned *budget)
{
        int r = 0;

        if (job->blocks == 1)
                r = rec_block_clear_one(t, job->ino, 0);
        else if (job->blocks > 1)
                r = clear_blocks(fs, t, job->ino, budget);
        job->more = r > 0;
        if (r != 0)
                return r;
        r = rec_inode_clear(t, job->ino);
        return r < 0 ? r : rec_garbage_clear(t, job->ino);
}

static int clear_all(struct group *g, struct kv_txn *t)
{
        unsigned budget = rec_block_step(g->fs->limits);
        int64_t cleared = 0;
        int r = 0;

        for (unsigned i = 0; r >= 0 && i < g->count; i++) {
                struct job *job = &g->jobs[i];

                if (job->state == DEAD) {
                        r = clear_inode(g->fs, t, job, &budget);
                        cleared += r == 0;
                } else if (job->state == STALE) {
                        r = rec_garbage_clear(t, job->ino);
                }
        }
        if (r < 0 || cleared == 0)
                return r < 0 ? r : 0;
        return rec_counter_add(t, FMT_COUNTER_INODES, -cleared);
}

static int clear_body(struct kv_txn *t, void *arg)
{
        struct group *g = arg;
        struct rec_inode_read reads[GC_GROUP];
        int r;

        for (unsigned i = 0; i < g->count; i++)
                rec_inode_start(t, &reads[i], g->jobs[i].ino, REC_INODE_RECORD, 0);
        r = find_others(g, t);
        for (unsigned i = 0; r >= 0 && i < g->count; i++)
                r = find_state(g, t, &reads[i], &g->jobs[i]);
        return r < 0 ? r : clear_all(g, t);
}

/* ---- groups ------------------------------------------------------------------------------------- */

/* Completes a job after its transaction. */
static int follow_up(struct fs_gc *c, const struct job *job)
{
        switch (job->state) {
        case SHARED:
                atomic_store(&c->left, true);
                return 0;
        case TRIM:
                return fs_trim_abandoned(c->fs, job->ino);
        case DAMAGED:
                return -ERR_CORRUPT;
        default:
                return 0;
        }
}

/* Runs a job in separate transactions until it is done. */
static int clear_by_itself(struct fs_gc *c, const struct job *job, bool at_unmount)
{
        struct group g = { .fs = c->fs, .count = 1, .jobs = { *job } };
        int r;

        do
                r = fs_run_write(c->fs, KV_RESERVE, clear_body, &g);
        while (r >= 0 && g.jobs[0].more && (at_unmount || !gc_stopping(c)));
        return r < 0 ? r : follow_up(c, &g.jobs[0]);
}

static int log_damaged(const struct job *job, int r)
{
        if (r != -ERR_CORRUPT)
                return r;
        log_warning("inode %llu is damaged and cannot be collected; see ashlar fsck",
                    (unsigned long long)job->ino);
        return 0;
}

int gc_clear(struct fs_gc *c, const uint64_t *inos, unsigned n, bool at_unmount)
{
        struct group g = { .fs = c->fs, .count = n };
        bool apart;
        int r;

        assert(n <= GC_GROUP);
        /* Before the table of references is read: see fs_gc_generation. */
        atomic_fetch_add(&c->generation, 1);
        for (unsigned i = 0; i < n; i++)
                g.jobs[i] = (struct job){
                        .ino = inos[i],
                        .in_use = !at_unmount && fs_inuse_orphan(c->fs->inuse, inos[i]),
                };
        r = fs_run_write(c->fs, KV_RESERVE, clear_body, &g);
        apart = r == -ERR_CORRUPT; /* damaged keys of one of them: each runs by itself */
        if (r < 0 && !apart)
                return r;
        if (!apart)
                atomic_store(&c->others, !g.only_mount);
        for (unsigned i = 0; i < n; i++) {
                struct job *job = &g.jobs[i];

                r = apart || job->more ? clear_by_itself(c, job, at_unmount) : follow_up(c, job);
                r = log_damaged(job, r);
                if (r < 0)
                        return r;
        }
        return 0;
}

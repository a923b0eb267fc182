/* SPDX-License-Identifier: MIT */
/* What the files of dirty writes share: what is held of which inode (writeback_entry.c), how much
 * (writeback_budget.c), and when it is committed (writeback_flush.c). */
#ifndef FS_WRITEBACK_INTERNAL_H
#define FS_WRITEBACK_INTERNAL_H

#include "base/list.h"
#include "base/pool.h"
#include "base/waitlist.h"
#include "fs/writeback/flush_commit.h"
#include "fs/writeback/writeback.h"

#include <stdatomic.h>

#define WRITEBACK_BUCKETS 1024u /* a power of two */

/* An inode of which something is or was dirty. Locks: its own, and inside of it the writeback's. */
struct writeback_entry {
        struct writeback *writeback;
        uint64_t ino;

        /* Under the writeback's lock. */
        struct writeback_entry *next_in_bucket;
        struct list_link link; /* in g->all */
        unsigned refs;
        size_t bytes;
        uint64_t dirty_since_ns; /* of the oldest write, or the last flush; 0: clean */
        bool queued;             /* JOB is submitted and holds a reference */
        struct pool_job job;
        bool again; /* asked for while it was FLUSHING */
        /* Changed under both locks. */
        bool flushing;
        uint64_t retired; /* when something of it was last committed or cut */
        int failing;      /* why FROZEN could not be committed */

        struct lock lock; /* protects what follows */
        struct waitlist flushed;
        bool checked;                     /* that it is a file */
        struct flush_batch dirty, frozen; /* frozen: being committed, or to be tried again; while it is
                                            * FLUSHING changed by that alone */
        bool full;                        /* the flush under way takes nothing more */
        uint64_t freezes, retires;
        uint64_t attempts; /* to commit */
        int last_result;   /* of the last one */
        int lost;          /* why something was dropped; 0 when that was told */
        uint64_t in_order_until_ns;
};

struct writeback {
        struct fs *fs;
        size_t inode_bytes, total_bytes, block_bytes;
        unsigned age_ms;
        uint8_t pid[FMT_PID_SIZE];
        _Atomic uint64_t writing;
        _Atomic uint64_t epoch; /* moves on with each commit */
        struct pool *workers;
        pthread_t timer;

        struct lock lock;     /* protects what follows */
        struct waitlist room; /* there may be some */
        pthread_cond_t tick;  /* for the timer */
        struct writeback_entry *buckets[WRITEBACK_BUCKETS];
        struct list_link all; /* entries, the oldest first */
        size_t entries, bytes;
        uint64_t floor; /* the last `retired` of entries that are gone */
        uint64_t failures;
        int last_failure;
        bool stop;
};

static inline uint64_t writeback_now_ns(const struct writeback *g)
{
        return g->fs->clock->monotonic_ns(g->fs->clock);
}

/* ---- entries (writeback_entry.c) ------------------------------------------------------------------- */

/* A reference to the entry of INO; NULL: there is none. */
struct writeback_entry *writeback_entry_get(struct writeback *g, uint64_t ino);
/* The same, and makes one. NULL: no memory. */
struct writeback_entry *writeback_entry_make(struct writeback *g, uint64_t ino);
/* Gives the reference back. */
void writeback_entry_put(struct writeback *g, struct writeback_entry *e);
/* At the end, when nobody else is there: all of them. */
void writeback_entries_free(struct writeback *g);
/* Whether an entry that is gone may have been committed since MARK. */
bool writeback_gone_since(struct writeback *g, fs_writeback_mark mark);

/* ---- flushing (writeback_flush.c) ------------------------------------------------------------------ */

/* Who does the work of a flush. */
enum flusher {
        WRITEBACK_SMALL_HERE, /* the caller, who may lose deadline, if it can stop at any point; else one of
                            * ours */
        WRITEBACK_ELSEWHERE,  /* one of ours, and the caller waits */
};

/* Commits what is there now. Under E's lock, which is released meanwhile. */
int writeback_flush(struct writeback *g, struct writeback_entry *e, enum flusher who);
/* Under the writeback's lock: has it flushed soon, by a thread of ours; of much, all but a last block that is
 * still being filled. Behind a flush that is under way: a job that waits for a thread would have it come to
 * an end, and then find nothing to do. */
void writeback_kick(struct writeback *g, struct writeback_entry *e);
void writeback_kick_all(struct writeback *g);
/* The job of an entry. */
void flush_job(struct pool_job *job);

/* ---- room (writeback_budget.c) ----------------------------------------------------------------------- */

/* Takes room for a block, once there is some. Under E's lock, which is released meanwhile: 0, 1 if it had
 * to be released, or why what takes the room cannot be flushed. */
int writeback_budget_take(struct writeback *g, struct writeback_entry *e);
/* Gives that of N blocks back. Under E's lock. */
void writeback_budget_give_back(struct writeback *g, struct writeback_entry *e, size_t n);

#endif

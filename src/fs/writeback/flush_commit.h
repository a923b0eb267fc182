/* SPDX-License-Identifier: MIT */
/* Committing what was dirty of one inode. Without locks: a batch does not change meanwhile, but
 * as struct writeback_feed says. */
#ifndef FS_WRITEBACK_FLUSH_COMMIT_H
#define FS_WRITEBACK_FLUSH_COMMIT_H

#include "base/pool.h"
#include "fs/state.h"
#include "fs/writeback/dirty_blocks.h"

/* What one flush commits. */
struct flush_batch {
        struct dirty_blocks blocks;
        struct extent_change change;
};

struct writeback_entry;

/* How the batch of a flush changes while it is under way: it grows at its end, so that a file that is written
 * from the beginning to the end is one flush without pauses, and what is done goes. Called by any thread, one
 * call at a time; between the calls the batch does not change. */
struct writeback_feed {
        struct writeback_entry *entry;
        size_t step; /* so many blocks are worth a transaction that makes them part of the file */
        /* Adds to the batch what was written behind it meanwhile. False: nothing, or not worth it. */
        bool (*more)(struct writeback_entry *e);
        /* The first N blocks of the batch are part of the file: takes them out. */
        void (*done)(struct writeback_entry *e, size_t n);
};

struct writeback_writer {
        uint8_t pid[FMT_PID_SIZE];
        uint64_t writing; /* number of this write: never used before by that pid */
};

/* Whether BATCH is committed by transactions of the caller's thread alone. */
bool writeback_is_small(const struct fs *fs, const struct flush_batch *batch);

/* Commits all of BATCH and of what FEED adds to it, or gives an error: then any part of it may be committed,
 * and all of it may be committed again. IN_ORDER: in transactions one after the other, each with the size up
 * to its end, because others extend the file too; sets *RET_CONTENDED if it found that so. */
int flush_commit(struct fs *fs, struct pool *workers, uint64_t ino, const struct flush_batch *batch,
                 const struct writeback_feed *feed, const struct writeback_writer *writer, bool in_order,
                 bool *ret_contended);

#endif

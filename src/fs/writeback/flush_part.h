/* SPDX-License-Identifier: MIT */
/* Some of the blocks of a flush in a transaction: what committing in order and in parallel share. */
#ifndef FS_WRITEBACK_FLUSH_PART_H
#define FS_WRITEBACK_FLUSH_PART_H

#include "fs/writeback/flush_commit.h"
#include "record/block.h"
#include "record/inode.h"

/* What a body returns that found the announcement gone, or blocks beyond the size. */
#define WRITEBACK_DISTURBED 2

/* A flush of one inode. */
struct flush_commit {
        struct fs *fs;
        struct pool *workers;
        uint64_t ino;
        const struct flush_batch *batch;
        const struct writeback_feed *feed;
        const struct writeback_writer *writer;
        struct extent_change change; /* the batch's, as of when it last changed */
        /* Found by the first transaction of those in parallel. */
        bool announced;
        /* Blocks within the size, and from the first block behind it on; what is between, the block with the
         * end, goes with the size. */
        size_t inside_end, outside_begin;
        bool was_empty;
        /* The record as this flush committed it last, and when: what the next step starts from, if nobody has
         * changed it since. */
        struct fmt_inode record;
        kv_version record_at;
};

/* COUNT blocks while a transaction writes them. */
struct flush_part {
        struct flush_commit *c;
        void *arg; /* of its function */
        struct extent_block blocks[EXTENT_BLOCKS];
        struct extent_write write; /* of them, without an inode */
};

/* Where the last block ends. */
static inline uint64_t flush_part_blocks_end(const struct flush_part *p)
{
        return p->blocks[p->write.count - 1].offset + p->c->fs->block_size;
}

/* What a transaction does with its part: a kv_body. */
typedef int (*flush_part_fn)(struct kv_txn *t, struct flush_part *p);

/* Runs FN with the COUNT blocks at AT. FLAGS: KV_IDEMPOTENT or 0. VERSION: as kv_run_since; NULL: none. */
int flush_part_run(struct flush_commit *c, struct dirty_block **at, size_t count, unsigned flags,
                   kv_version *version, flush_part_fn fn, void *arg);

/* Of what does not fit into a few transactions (writeback_parallel.c): 0, WRITEBACK_DISTURBED or an error. */
int flush_commit_in_parallel(struct flush_commit *c);

/* ---- the transactions of writeback_parallel.c (writeback_bodies.c) --------------------------------------
 */

/* A step: the size follows over blocks that are committed. */
struct writeback_step {
        uint64_t end; /* of them */
        struct extent_change change;
        bool last;          /* nothing is under way any more: takes the announcement out */
        uint64_t allocated; /* what they take, which was counted beside the record and is taken over into it;
                             * if it is the last one and looks, all that is counted there */
        struct fmt_inode record; /* as it was written */
        bool surprised;          /* somebody else took over some of it */
};

/* Announces that blocks behind the size will be written, if there are any, or finds that it cannot:
 * FS_TRIM_FIRST, WRITEBACK_DISTURBED. ARG: the struct flush_commit. */
int writeback_announce(struct kv_txn *t, void *arg);
/* Writes blocks within the size, or those behind it, which was announced: 0 or WRITEBACK_DISTURBED. ARG: a
 * uint64_t for what those behind it take. */
int writeback_write_inside(struct kv_txn *t, struct flush_part *p);
int writeback_write_outside(struct kv_txn *t, struct flush_part *p);
/* Writes the block with the old end, if it is in the batch, and does the struct writeback_step at ARG. A
 * blind attempt knows the record, and that there was no block. */
int writeback_write_step(struct kv_txn *t, struct flush_part *p);

#endif

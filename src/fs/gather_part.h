/* Some of the blocks of a flush in a transaction: what committing in order and in parallel share. */
#ifndef FS_GATHER_PART_H
#define FS_GATHER_PART_H

#include "fs/block.h"
#include "fs/gather_commit.h"
#include "fs/inode.h"

/* Blocks in one transaction at most. */
#define GATHER_PART_BLOCKS 80u

/* What a body returns that found the announcement gone, or blocks beyond the size. */
#define GATHER_DISTURBED 2

/* A flush of one inode. */
struct gather_commit {
        struct fs *fs;
        struct pool *workers;
        uint64_t ino;
        const struct gather_batch *batch;
        const struct gather_feed *feed;
        const struct gather_writer *writer;
        struct gather_change change; /* the batch's, as of when it last changed */
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
struct gather_part {
        struct gather_commit *c;
        void *arg; /* of its function */
        struct gather_block **at;
        unsigned count;
        struct fs_block_read reads[GATHER_PART_BLOCKS];
        bool existed[GATHER_PART_BLOCKS];
        size_t old_len[GATHER_PART_BLOCKS];
        uint8_t *merged; /* room for those that are put together with their old bytes */
        const uint8_t *data[GATHER_PART_BLOCKS];
        size_t len[GATHER_PART_BLOCKS];
};

/* What a transaction does with its part: a kv_body. */
typedef int (*gather_part_fn)(struct kv_txn *t, struct gather_part *p);

/* Runs FN with the COUNT blocks at AT. FLAGS: KV_IDEMPOTENT or 0. VERSION: as kv_run_since; NULL: none. */
int gather_part_run(struct gather_commit *c, struct gather_block **at, size_t count, unsigned flags,
                    kv_version *version, gather_part_fn fn, void *arg);

/* Starts reading the first N blocks as they are in the store. */
void gather_part_start(struct gather_part *p, struct kv_txn *t, unsigned n);
/* Waits for the first N, of which the other blocks have nothing in the store. What was read is gone when the
 * transaction writes, so this puts together what is to be written. */
int gather_part_wait(struct gather_part *p, struct kv_txn *t, unsigned n);
/* Writes all, and adds what they take to *ALLOCATED. */
int gather_part_put(const struct gather_part *p, struct kv_txn *t, uint64_t *allocated);

/* Where the bytes of the last block end. */
uint64_t gather_part_end(const struct gather_part *p);
/* How many of the blocks lie below END. */
unsigned gather_part_below(const struct gather_part *p, uint64_t end);

/* 0, EISDIR or EINVAL. */
int gather_check_file(const struct fs_inode *inode);
/* Puts size, times and privileges into the record, as they are when [.., END) is written. */
int gather_store_inode(struct kv_txn *t, const struct gather_change *change, struct fs_inode *inode,
                       uint64_t end);

/* Of what does not fit into a few transactions (gather_parallel.c): 0, GATHER_DISTURBED or an error. */
int gather_commit_in_parallel(struct gather_commit *c);

/* ---- the transactions of gather_parallel.c (gather_bodies.c) -------------------------------------- */

/* A step: the size follows over blocks that are committed. */
struct gather_step {
        uint64_t end;       /* of them */
        struct gather_change change;
        bool last;          /* nothing is under way any more: takes the announcement out */
        uint64_t allocated; /* what they take, which was counted beside the record and is taken over into it;
                             * if it is the last one and looks, all that is counted there */
        struct fmt_inode record; /* as it was written */
        bool surprised;     /* somebody else took over some of it */
};

/* Announces that blocks behind the size will be written, if there are any, or finds that it cannot:
 * FS_TRIM_FIRST, GATHER_DISTURBED. ARG: the struct gather_commit. */
int gather_announce(struct kv_txn *t, void *arg);
/* Writes blocks within the size, or those behind it, which was announced: 0 or GATHER_DISTURBED. ARG: a
 * uint64_t for what those behind it take. */
int gather_write_inside(struct kv_txn *t, struct gather_part *p);
int gather_write_outside(struct kv_txn *t, struct gather_part *p);
/* Writes the block with the old end, if it is in the batch, and does the struct gather_step at ARG. A blind
 * attempt knows the record, and that there was no block. */
int gather_write_step(struct kv_txn *t, struct gather_part *p);

#endif

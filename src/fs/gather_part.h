/* Some of the blocks of a flush in a transaction: what committing in order and in parallel share. */
#ifndef FS_GATHER_PART_H
#define FS_GATHER_PART_H

#include "block.h"
#include "gather_commit.h"
#include "inode.h"

/* Blocks in one transaction at most. */
#define GATHER_PART_BLOCKS 80u

/* What a body returns that found the announcement gone, or blocks beyond the size. */
#define GATHER_DISTURBED 2

/* A flush of one inode. */
struct gather_commit {
        struct fs *fs;
        struct fs_workers *workers;
        uint64_t ino;
        const struct gather_batch *batch;
        const struct gather_writer *writer;
        /* Found by the first transaction of those in parallel. */
        bool announced;
        /* Blocks within the size, and from the first block behind it on; what is between, the block with the
         * end, goes with the last one. */
        size_t inside_end, outside_begin;
};

/* COUNT blocks from the FIRST on, while a transaction writes them. */
struct gather_part {
        struct gather_commit *c;
        struct gather_block **at;
        unsigned count;
        struct fs_block_read reads[GATHER_PART_BLOCKS];
        bool existed[GATHER_PART_BLOCKS];
        size_t old_len[GATHER_PART_BLOCKS];
        uint8_t *merged; /* room for those that are put together with their old bytes */
        const uint8_t *data[GATHER_PART_BLOCKS];
        size_t len[GATHER_PART_BLOCKS];
};

/* As many blocks as are planned for one. */
size_t gather_part_max(const struct fs *fs);

/* What a transaction does with its part: a kv_body. */
typedef int (*gather_part_fn)(struct kv_txn *t, struct gather_part *p);

/* Runs FN with COUNT blocks from the FIRST on. FLAGS: KV_IDEMPOTENT or 0. */
int gather_part_run(struct gather_commit *c, size_t first, size_t count, unsigned flags, gather_part_fn fn);

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
int gather_store_inode(struct kv_txn *t, const struct gather_commit *c, struct fs_inode *inode, uint64_t end);

/* Of what does not fit into a few transactions (gather_parallel.c): 0, GATHER_DISTURBED or an error. */
int gather_commit_in_parallel(struct gather_commit *c);

#endif

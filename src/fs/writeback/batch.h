/* SPDX-License-Identifier: MIT */
/* A batch: dirty blocks of one inode, with what writing them changes of the inode. Memory only, without
 * locks. */
#ifndef FS_WRITEBACK_BATCH_H
#define FS_WRITEBACK_BATCH_H

#include "fs/writeback/dirty_blocks.h"

/* Zeros: empty. */
struct writeback_batch {
        struct dirty_blocks blocks;
        struct extent_change change;
};

static inline bool batch_is_empty(const struct writeback_batch *b)
{
        return b->blocks.count == 0;
}

/* Frees the blocks and resets the change. */
void batch_clear(struct writeback_batch *b);

/* Moves the first N blocks of FROM, which all lie behind those of B, to B together with its change; clears
 * FROM if none are left. 0, or ENOMEM, but never if B is empty and N is all. */
int batch_move(struct writeback_batch *b, struct writeback_batch *from, size_t n);

/* Drops all bytes from SIZE on; returns how many blocks that freed. */
size_t batch_cut(struct writeback_batch *b, uint64_t size);

/* How many of the blocks are complete: all, but for a last one that is not full. A file that is written
 * from the beginning to the end fills one block after the other. */
size_t batch_filled(const struct writeback_batch *b, uint32_t block_size);

#endif

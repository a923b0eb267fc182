/* SPDX-License-Identifier: MIT */
/* Written bytes of one file that are not committed, kept by block. Memory only, without locks. */
#ifndef FS_WRITEBACK_DIRTY_BLOCKS_H
#define FS_WRITEBACK_DIRTY_BLOCKS_H

#include "base/slice.h"
#include "fs/extent/extent.h"

#include <stdbool.h>

/* Separate ranges that one block may have. */
#define DIRTY_BLOCK_RANGES 32u

struct dirty_block {
        uint64_t offset; /* of the block in its file */
        unsigned n;      /* ranges, sorted, with gaps between; at least one */
        struct extent_range ranges[DIRTY_BLOCK_RANGES];
        uint8_t data[]; /* a block long; zeros in the gaps */
};

/* Sorted by offset. Zeros: no blocks. */
struct dirty_blocks {
        struct dirty_block **at;
        size_t count, capacity;
};

/* The index of the first block at or behind OFFSET. */
size_t dirty_blocks_seek(const struct dirty_blocks *b, uint64_t offset);
/* The block at exactly OFFSET, or NULL. */
struct dirty_block *dirty_blocks_find(const struct dirty_blocks *b, uint64_t offset);
/* Writes DATA, which is within one block, at OFFSET. 1: a block was added; 0: it existed; ENOMEM; EAGAIN:
 * the block has too many ranges and must be committed first. */
int dirty_blocks_write(struct dirty_blocks *b, uint32_t block_size, uint64_t offset, struct slice data);
/* Copies the dirty bytes among the LEN bytes of the file at OFFSET over those in BUF. */
void dirty_blocks_apply(const struct dirty_blocks *b, uint32_t block_size, uint64_t offset, uint8_t *buf,
                        size_t len);
/* Moves the first N blocks of FROM to B, whose blocks all lie before them: 0 or ENOMEM. */
int dirty_blocks_move(struct dirty_blocks *b, struct dirty_blocks *from, size_t n);
/* Frees the first N blocks. */
void dirty_blocks_drop(struct dirty_blocks *b, size_t n);
/* Drops all bytes from END on; returns how many blocks that freed. */
size_t dirty_blocks_cut(struct dirty_blocks *b, uint64_t end);
/* The end of the last byte in the file; 0: there are no blocks. */
uint64_t dirty_blocks_end(const struct dirty_blocks *b);
/* Frees all blocks. */
void dirty_blocks_free(struct dirty_blocks *b);

/* The end of the last range, within the block. */
static inline uint32_t dirty_block_end(const struct dirty_block *b)
{
        return b->ranges[b->n - 1].to;
}

/* NULL: there are none. */
static inline struct dirty_block *dirty_blocks_last(const struct dirty_blocks *b)
{
        return b->count > 0 ? b->at[b->count - 1] : NULL;
}

/* Whether all bytes of the block up to its end are dirty. */
static inline bool dirty_block_solid(const struct dirty_block *b)
{
        return b->n == 1 && b->ranges[0].from == 0;
}

#endif

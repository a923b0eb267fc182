/* SPDX-License-Identifier: MIT */
/* Bytes that were written and are not in the store yet, by blocks. Plain memory: the caller locks. */
#ifndef FS_WRITEBACK_DIRTY_BLOCKS_H
#define FS_WRITEBACK_DIRTY_BLOCKS_H

#include "base/slice.h"
#include "fs/extent/extent.h"

#include <stdbool.h>

/* Separate pieces of one block; who writes one more than that must wait until they are in the store. */
#define WRITEBACK_PIECES 32u

struct dirty_block {
        uint64_t offset; /* of the block in its file */
        unsigned n;      /* pieces, sorted, with gaps between */
        struct extent_part pieces[WRITEBACK_PIECES];
        uint8_t data[]; /* a block long; zeros between the pieces */
};

/* Sorted by offset. */
struct dirty_blocks {
        struct dirty_block **at;
        size_t count, capacity;
};

/* Where the first block at or behind OFFSET is. */
size_t dirty_blocks_seek(const struct dirty_blocks *b, uint64_t offset);
/* The block at exactly OFFSET, or NULL. */
struct dirty_block *dirty_blocks_find(const struct dirty_blocks *b, uint64_t offset);
/* Takes DATA, which lies in one block, at OFFSET. 1: takes a new block's memory; 0: does not; ENOMEM; EAGAIN:
 * has too many pieces already. */
int dirty_blocks_write(struct dirty_blocks *b, uint32_t block_size, uint64_t offset, struct slice data);
/* Lays the bytes over the LEN bytes of a file that are in BUF, from OFFSET on. */
void dirty_blocks_apply(const struct dirty_blocks *b, uint32_t block_size, uint64_t offset, uint8_t *buf,
                        size_t len);
/* Moves the first N blocks of FROM, which all lie behind those of B, to B: 0 or ENOMEM. */
int dirty_blocks_move(struct dirty_blocks *b, struct dirty_blocks *from, size_t n);
/* Forgets the first N blocks. */
void dirty_blocks_drop(struct dirty_blocks *b, size_t n);
/* Forgets all bytes from END on; returns how many blocks' memory that gave back. */
size_t dirty_blocks_cut(struct dirty_blocks *b, uint64_t end);
/* The end of the last byte. */
uint64_t dirty_blocks_end(const struct dirty_blocks *b);
void dirty_blocks_free(struct dirty_blocks *b);

/* The end of the last piece, within the block. */
static inline uint32_t dirty_block_end(const struct dirty_block *b)
{
        return b->pieces[b->n - 1].to;
}

/* NULL: there are none. */
static inline struct dirty_block *dirty_blocks_last(const struct dirty_blocks *b)
{
        return b->count > 0 ? b->at[b->count - 1] : NULL;
}

/* Whether all bytes of the block up to its end are there. */
static inline bool dirty_block_solid(const struct dirty_block *b)
{
        return b->n == 1 && b->pieces[0].from == 0;
}

#endif

/* SPDX-License-Identifier: MIT */
#include "fs/writeback/batch.h"

#include <errno.h>

void batch_clear(struct writeback_batch *b)
{
        dirty_blocks_free(&b->blocks);
        b->change = (struct extent_change){ .written = false };
}

int batch_move(struct writeback_batch *b, struct writeback_batch *from, size_t n)
{
        if (batch_is_empty(b) && n == from->blocks.count) {
                dirty_blocks_free(&b->blocks);
                b->blocks = from->blocks;
                from->blocks = (struct dirty_blocks){ .count = 0 };
        } else if (dirty_blocks_move(&b->blocks, &from->blocks, n) < 0) {
                return -ENOMEM;
        }
        extent_change_merge(&b->change, &from->change);
        if (batch_is_empty(from))
                batch_clear(from);
        return 0;
}

size_t batch_cut(struct writeback_batch *b, uint64_t size)
{
        size_t n = dirty_blocks_cut(&b->blocks, size);

        if (batch_is_empty(b))
                batch_clear(b);
        return n;
}

size_t batch_filled(const struct writeback_batch *b, uint32_t block_size)
{
        const struct dirty_block *last = dirty_blocks_last(&b->blocks);

        if (!last || (dirty_block_solid(last) && dirty_block_end(last) == block_size))
                return b->blocks.count;
        return b->blocks.count - 1;
}

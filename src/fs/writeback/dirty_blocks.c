/* SPDX-License-Identifier: MIT */
#include "fs/writeback/dirty_blocks.h"

#include "base/array.h"

#include <errno.h>
#include <stdlib.h>

size_t dirty_blocks_seek(const struct dirty_blocks *b, uint64_t offset)
{
        size_t low = 0, high = b->count;

        /* Most files are written from the beginning to the end. */
        if (high > 0 && b->at[high - 1]->offset < offset)
                return high;
        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (b->at[middle]->offset < offset)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

struct dirty_block *dirty_blocks_find(const struct dirty_blocks *b, uint64_t offset)
{
        size_t i = dirty_blocks_seek(b, offset);

        return i < b->count && b->at[i]->offset == offset ? b->at[i] : NULL;
}

/* Grows the array for N more blocks. */
static int reserve(struct dirty_blocks *b, size_t n)
{
        return array_reserve(&b->at, &b->capacity, b->count + n);
}

static int insert(struct dirty_blocks *b, size_t i, struct dirty_block *block)
{
        int r = reserve(b, 1);

        if (r < 0)
                return r;
        memmove(&b->at[i + 1], &b->at[i], (b->count - i) * sizeof(b->at[0]));
        b->at[i] = block;
        b->count++;
        return 0;
}

/* Adds [from, to) and joins it with the ranges that it touches. */
static int add_range(struct dirty_block *b, uint32_t from, uint32_t to)
{
        unsigned first = 0, last;

        while (first < b->n && b->ranges[first].to < from)
                first++;
        last = first;
        while (last < b->n && b->ranges[last].from <= to)
                last++;
        if (first == last && b->n == DIRTY_BLOCK_RANGES)
                return -EAGAIN;
        if (first < last) {
                if (b->ranges[first].from < from)
                        from = b->ranges[first].from;
                if (b->ranges[last - 1].to > to)
                        to = b->ranges[last - 1].to;
        }
        memmove(&b->ranges[first + 1], &b->ranges[last], (b->n - last) * sizeof(b->ranges[0]));
        b->ranges[first] = (struct extent_range){ from, to };
        b->n = b->n - (last - first) + 1;
        return 0;
}

int dirty_blocks_write(struct dirty_blocks *b, uint32_t block_size, uint64_t offset, struct slice data)
{
        uint64_t begin = offset - offset % block_size;
        uint32_t from = (uint32_t)(offset - begin), to = from + (uint32_t)data.len;
        size_t i = dirty_blocks_seek(b, begin);
        struct dirty_block *block = i < b->count && b->at[i]->offset == begin ? b->at[i] : NULL;
        int r;

        if (block) {
                r = add_range(block, from, to);
                if (r >= 0)
                        memcpy(block->data + from, data.data, data.len);
                return r;
        }
        block = malloc(sizeof(*block) + block_size);
        if (!block)
                return -ENOMEM;
        block->offset = begin;
        block->n = 1;
        block->ranges[0] = (struct extent_range){ from, to };
        memset(block->data, 0, from);
        memcpy(block->data + from, data.data, data.len);
        memset(block->data + to, 0, block_size - to);
        r = insert(b, i, block);
        if (r < 0) {
                free(block);
                return r;
        }
        return 1;
}

void dirty_blocks_apply(const struct dirty_blocks *b, uint32_t block_size, uint64_t offset, uint8_t *buf,
                        size_t len)
{
        uint64_t end = offset + len;

        for (size_t i = dirty_blocks_seek(b, offset - offset % block_size);
             i < b->count && b->at[i]->offset < end; i++) {
                const struct dirty_block *block = b->at[i];

                for (unsigned k = 0; k < block->n; k++) {
                        uint64_t from = block->offset + block->ranges[k].from;
                        uint64_t to = block->offset + block->ranges[k].to;

                        if (from < offset)
                                from = offset;
                        if (to > end)
                                to = end;
                        if (from < to)
                                memcpy(buf + (from - offset), block->data + (from - block->offset),
                                       (size_t)(to - from));
                }
        }
}

/* Drops the bytes of the block from END on. False: none are left. */
static bool cut_block(struct dirty_block *b, uint64_t end)
{
        uint32_t keep;

        if (b->offset >= end)
                return false;
        keep = end - b->offset < UINT32_MAX ? (uint32_t)(end - b->offset) : UINT32_MAX;
        while (b->n > 0 && b->ranges[b->n - 1].to > keep) {
                struct extent_range *p = &b->ranges[b->n - 1];
                uint32_t from = p->from > keep ? p->from : keep;

                memset(b->data + from, 0, p->to - from);
                if (p->from < keep)
                        p->to = keep;
                else
                        b->n--;
        }
        return b->n > 0;
}

/* Removes the first N blocks from the array. */
static void remove_first(struct dirty_blocks *b, size_t n)
{
        b->count -= n;
        if (b->count > 0) /* else there may be no array */
                memmove(&b->at[0], &b->at[n], b->count * sizeof(b->at[0]));
}

int dirty_blocks_move(struct dirty_blocks *b, struct dirty_blocks *from, size_t n)
{
        int r = reserve(b, n);

        if (r < 0)
                return r;
        memcpy(&b->at[b->count], from->at, n * sizeof(b->at[0]));
        b->count += n;
        remove_first(from, n);
        return 0;
}

void dirty_blocks_drop(struct dirty_blocks *b, size_t n)
{
        for (size_t i = 0; i < n; i++)
                free(b->at[i]);
        remove_first(b, n);
}

size_t dirty_blocks_cut(struct dirty_blocks *b, uint64_t end)
{
        size_t count = b->count;

        while (b->count > 0 && !cut_block(b->at[b->count - 1], end))
                free(b->at[--b->count]);
        return count - b->count;
}

uint64_t dirty_blocks_end(const struct dirty_blocks *b)
{
        return b->count > 0 ? b->at[b->count - 1]->offset + dirty_block_end(b->at[b->count - 1]) : 0;
}

void dirty_blocks_free(struct dirty_blocks *b)
{
        for (size_t i = 0; i < b->count; i++)
                free(b->at[i]);
        free(b->at);
        *b = (struct dirty_blocks){ .count = 0 };
}

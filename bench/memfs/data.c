/* SPDX-License-Identifier: MIT */
#include "memfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint8_t zeros[MEM_BLOCK]; /* never written */

static int table_grow(struct mem_data *d, size_t n_blocks)
{
        size_t n = d->n_blocks ? d->n_blocks : 1;
        uint8_t **blocks;

        if (n_blocks <= d->n_blocks)
                return 0;
        while (n < n_blocks)
                n *= 2;
        blocks = realloc(d->blocks, n * sizeof(*blocks));
        if (!blocks)
                return -ENOMEM;
        memset(blocks + d->n_blocks, 0, (n - d->n_blocks) * sizeof(*blocks));
        d->blocks = blocks;
        d->n_blocks = n;
        return 0;
}

/* Allocates the bytes up to END of block N. COVERED: the caller overwrites all of them. */
static int block_reserve(struct mem_data *d, size_t n, size_t end, bool covered)
{
        size_t size = 512;
        uint8_t *b;

        if (n > 0) {
                if (!d->blocks[n])
                        d->blocks[n] = covered ? malloc(MEM_BLOCK) : calloc(1, MEM_BLOCK);
                return d->blocks[n] ? 0 : -ENOMEM;
        }
        if (end <= d->first_size)
                return 0;
        while (size < end)
                size *= 2;
        b = realloc(d->blocks[0], size);
        if (!b)
                return -ENOMEM;
        memset(b + d->first_size, 0, size - d->first_size);
        d->blocks[0] = b;
        d->first_size = size;
        return 0;
}

int mem_data_write(struct mem_data *d, uint64_t offset, const void *data, size_t len)
{
        const uint8_t *from = data;
        int r;

        if (len == 0)
                return 0;
        if (offset >= MEM_FILE_MAX || len > MEM_FILE_MAX - offset)
                return -EFBIG;
        r = table_grow(d, (offset + len - 1) / MEM_BLOCK + 1);
        if (r < 0)
                return r;
        while (len > 0) {
                size_t n = offset / MEM_BLOCK, at = offset % MEM_BLOCK;
                size_t part = len < MEM_BLOCK - at ? len : MEM_BLOCK - at;

                r = block_reserve(d, n, at + part, part == MEM_BLOCK);
                if (r < 0)
                        return r;
                memcpy(d->blocks[n] + at, from, part);
                offset += part;
                from += part;
                len -= part;
        }
        return 0;
}

void mem_data_truncate(struct mem_data *d, uint64_t size)
{
        size_t keep = (size + MEM_BLOCK - 1) / MEM_BLOCK, at = size % MEM_BLOCK;

        for (size_t n = keep; n < d->n_blocks; n++) {
                free(d->blocks[n]);
                d->blocks[n] = NULL;
        }
        if (keep == 0)
                d->first_size = 0;
        if (size == 0) {
                free(d->blocks);
                d->blocks = NULL;
                d->n_blocks = 0;
        } else if (at > 0 && keep <= d->n_blocks && d->blocks[keep - 1]) {
                size_t end = keep == 1 ? d->first_size : MEM_BLOCK;

                if (at < end)
                        memset(d->blocks[keep - 1] + at, 0, end - at);
        }
}

int mem_data_map(const struct mem_data *d, uint64_t offset, size_t len, struct iovec *iov)
{
        int parts = 0;

        while (len > 0 && parts < MEM_READ_IOV_MAX) {
                size_t n = offset / MEM_BLOCK, at = offset % MEM_BLOCK;
                size_t part = len < MEM_BLOCK - at ? len : MEM_BLOCK - at;
                uint8_t *b = n < d->n_blocks ? d->blocks[n] : NULL;
                size_t end = n == 0 ? d->first_size : MEM_BLOCK;

                if (!b || at >= end) {
                        b = zeros;
                        at = 0;
                } else if (part > end - at) {
                        part = end - at;
                }
                iov[parts++] = (struct iovec){ .iov_base = b + at, .iov_len = part };
                offset += part;
                len -= part;
        }
        return parts;
}

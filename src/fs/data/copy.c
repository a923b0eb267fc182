/* SPDX-License-Identifier: MIT */
/* copy_file_range(2): data moves from the store to the store in reads and writes that are as large as one
 * transaction may be; holes stay holes. */
#include "base/cleanup.h"
#include "fs/extent/extent.h"

#include <linux/falloc.h>
#include <stdlib.h>

/* Data of one call, in bytes: the caller's process waits for it, and may get a signal to end. */
#define CALL_BYTES (UINT32_C(16) << 20)

struct copy {
        struct fs *fs;
        uint64_t from_ino, from, to_ino, to; /* where it continues */
        uint64_t left;
        uint8_t *buffer;
        size_t buffer_bytes;
};

static int take(const struct iovec *iov, int n, size_t len, void *arg)
{
        uint8_t *to = arg;

        for (int i = 0; i < n; i++) {
                memcpy(to, iov[i].iov_base, iov[i].iov_len);
                to += iov[i].iov_len;
        }
        return (int)len;
}

/* Reads up to the end of a block of the destination, so that only the first and the last block are written in
 * part. */
static ssize_t read_some(const struct copy *c)
{
        size_t len = c->buffer_bytes - (size_t)(c->to % c->fs->block_size);

        if (len > c->left)
                len = (size_t)c->left;
        return fs_read(c->fs, c->from_ino, c->from, len, 0, take, c->buffer);
}

/* Where the zeros end that begin at C->from: at the next data, or at the end of the source. */
static int find_zeros_end(const struct copy *c, uint64_t *ret)
{
        struct fs_attr attr;
        int r = fs_lseek(c->fs, c->from_ino, c->from, SEEK_DATA, ret);

        if (r != -ENXIO)
                return r;
        r = fs_getattr(c->fs, c->from_ino, &attr);
        if (r >= 0)
                *ret = attr.size;
        return r;
}

/* Makes a hole for the N zeros that were read and for those that follow. Returns how many. */
static int64_t copy_zeros(const struct copy *c, uint64_t n)
{
        uint64_t end, len = n;
        int r = find_zeros_end(c, &end);

        if (r < 0)
                return r;
        if (c->to >= FMT_FILE_SIZE_MAX)
                return -EFBIG;
        if (end > c->from + n)
                len = end - c->from;
        if (len > c->left)
                len = c->left;
        if (len > FMT_FILE_SIZE_MAX - c->to)
                len = FMT_FILE_SIZE_MAX - c->to;
        /* The file grows last, because what a crash leaves must be the beginning of the copy. */
        r = fs_fallocate(c->fs, c->to_ino, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, c->to, len);
        if (r >= 0)
                r = fs_fallocate(c->fs, c->to_ino, 0, c->to, len);
        return r < 0 ? r : (int64_t)len;
}

/* Copies data of one buffer, or a hole. Returns how much; 0: the end of the source. */
static int64_t copy_some(const struct copy *c, uint64_t *moved)
{
        ssize_t n = read_some(c);

        if (n <= 0)
                return n;
        if (fmt_block_trim(c->buffer, (size_t)n) == 0)
                return copy_zeros(c, (uint64_t)n);
        *moved += (uint64_t)n;
        return fs_write(c->fs, c->to_ino, c->to, slice_of(c->buffer, (size_t)n), 0);
}

/* Within one file the copy ends where the file ended before it. */
static int check_one_file(struct copy *c)
{
        struct fs_attr attr;
        int r = fs_getattr(c->fs, c->from_ino, &attr);

        if (r < 0)
                return r;
        if (c->from >= attr.size)
                c->left = 0;
        else if (c->left > attr.size - c->from)
                c->left = attr.size - c->from;
        return c->from < c->to + c->left && c->to < c->from + c->left ? -EINVAL : 0;
}

static int check(struct copy *c)
{
        if (c->fs->rdonly)
                return -EROFS;
        if (c->from > FMT_FILE_SIZE_MAX || c->to > FMT_FILE_SIZE_MAX)
                return -EFBIG;
        return c->from_ino == c->to_ino ? check_one_file(c) : 0;
}

int64_t fs_copy(struct fs *fs, uint64_t from_ino, uint64_t from, uint64_t to_ino, uint64_t to, uint64_t len)
{
        struct copy c = { .fs = fs, .from_ino = from_ino, .from = from, .to_ino = to_ino, .to = to };
        _cleanup_free_ uint8_t *buffer = NULL;
        uint64_t moved = 0, done = 0;
        int64_t n = 0;
        int r;

        c.left = len < FMT_FILE_SIZE_MAX ? len : FMT_FILE_SIZE_MAX;
        r = check(&c);
        if (r < 0)
                return r;
        c.buffer_bytes = extent_max_blocks(fs) * fs->block_size;
        c.buffer = buffer = malloc(c.buffer_bytes);
        if (!buffer)
                return -ENOMEM;
        while (c.left > 0 && moved < CALL_BYTES) {
                n = copy_some(&c, &moved);
                if (n <= 0)
                        break;
                done += (uint64_t)n;
                c.from += (uint64_t)n;
                c.to += (uint64_t)n;
                c.left -= (uint64_t)n;
        }
        return done > 0 ? (int64_t)done : n;
}

/* SPDX-License-Identifier: MIT */
/* Writing to files where each write is a transaction: of whole requests, or of as many blocks as one may
 * have. */
#include "fs/data/data.h"
#include "fs/extent/extent.h"
#include "fs/run.h"
#include "fs/writeback/writeback.h"

struct write {
        struct fs *fs;
        uint64_t ino, offset;
        struct slice data;
        bool append;
        struct extent_change change;
        size_t written; /* by this run */
};

/* The blocks of one transaction, as extent_write takes them. */
struct span {
        size_t len; /* bytes */
        unsigned count;
        struct extent_range ranges[EXTENT_BLOCKS];
        struct extent_block blocks[EXTENT_BLOCKS];
};

/* Cuts the data at OFFSET into blocks, as many as one transaction writes. OFFSET is below the largest size.
 */
static void split(const struct write *w, uint64_t offset, struct span *s)
{
        uint32_t block_size = w->fs->block_size, from = (uint32_t)(offset % block_size);
        size_t left = w->data.len < FMT_FILE_SIZE_MAX - offset ? w->data.len : FMT_FILE_SIZE_MAX - offset;
        const uint8_t *data = w->data.data;
        unsigned max = (unsigned)extent_max_blocks(w->fs), n;

        offset -= from;
        for (n = 0; n < max && left > 0; n++) {
                uint32_t len = left < block_size - from ? (uint32_t)left : block_size - from;

                s->ranges[n] = (struct extent_range){ from, from + len };
                s->blocks[n] = (struct extent_block){
                        .offset = offset, .n = 1, .ranges = &s->ranges[n], .data = data
                };
                offset += block_size;
                from = 0;
                data += len;
                left -= len;
        }
        s->count = n;
        s->len = (size_t)(data - (const uint8_t *)w->data.data);
}

static int write_body(struct kv_txn *t, void *arg)
{
        struct write *w = arg;
        _cleanup_extent_write_ struct extent_write e;
        struct rec_inode inode;
        struct span span;
        int r;

        extent_write_init(&e, w->fs, w->ino, EXTENT_PATCH, &w->change);
        if (!w->append) {
                split(w, w->offset, &span);
                e.blocks = span.blocks;
                e.count = span.count;
        }
        extent_begin(&e, t);
        r = extent_load(&e, t, &inode);
        if (r < 0)
                return r;
        if (w->append) {
                if (inode.rec.size >= FMT_FILE_SIZE_MAX)
                        return -EFBIG;
                split(w, inode.rec.size, &span);
                e.blocks = span.blocks;
                e.count = span.count;
        }
        w->written = span.len;
        return extent_finish(&e, t, &inode);
}

/* Writes some of it: how much, or an error. */
static ssize_t write_some(struct write *w)
{
        int r;

        if (!w->append && w->offset >= FMT_FILE_SIZE_MAX)
                return -EFBIG;
        while ((r = fs_run_write(w->fs, 0, write_body, w)) == FS_TRIM_FIRST) {
                r = fs_trim_finish(w->fs, w->ino);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : (ssize_t)w->written;
}

ssize_t fs_write(struct fs *fs, uint64_t ino, uint64_t offset, struct slice data, unsigned flags)
{
        struct write w = {
                .fs = fs, .ino = ino, .offset = offset, .data = data, .append = flags & FS_WRITE_APPEND
        };
        size_t done = 0;
        ssize_t n = 0;

        if (fs->rdonly)
                return -EROFS;
        if (data.len == 0)
                return 0;
        if (!w.append && offset >= FMT_FILE_SIZE_MAX)
                return -EFBIG;
        if (fs->writeback && !w.append)
                return fs_writeback_write(fs, ino, offset, data, flags);
        if (fs->writeback) {
                /* The end of the file is only known in the transaction that writes there. */
                int r = fs_writeback_flush(fs, ino);

                if (r < 0)
                        return r;
        }
        extent_change_add(&w.change, flags, fs_now(fs));
        while (done < data.len) {
                n = write_some(&w);
                if (n < 0)
                        break;
                done += (size_t)n;
                w.offset += (size_t)n;
                w.data = slice_of(data.data + done, data.len - done);
        }
        fs_readahead_drop(fs, ino);
        return done > 0 ? (ssize_t)done : n;
}

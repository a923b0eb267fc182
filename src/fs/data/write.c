/* SPDX-License-Identifier: MIT */
/* Writing to files: in transactions of whole blocks, each with the inode's new size and times. */
#include "fs/data/readahead.h"
#include "fs/extent/extent.h"
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "fs/writeback/writeback.h"
#include "record/block.h"
#include "record/inode.h"

/* Blocks in one transaction at most; a request of 1 MiB is one even with blocks of 16 KiB. */
#define WRITE_BLOCKS 80u

struct write {
        struct fs *fs;
        uint64_t ino, offset;
        struct slice data;
        unsigned flags;
        struct timespec now;
        size_t written; /* by this run */
};

/* The blocks that a transaction writes to. */
struct span {
        uint64_t begin; /* offset of the first block */
        unsigned count;
        struct rec_block_read reads[WRITE_BLOCKS];
        size_t old_len[WRITE_BLOCKS]; /* as stored */
        bool existed[WRITE_BLOCKS];
};

/* How much of LEN bytes at OFFSET goes into one transaction. */
static size_t bounded_len(const struct fs *fs, uint64_t offset, size_t len)
{
        const size_t spare = 16384; /* the inode and what a commit adds */
        size_t plan = fs->limits->txn_plan_bytes, per_block = fs->block_size + 64;
        size_t blocks = plan > spare + per_block ? (plan - spare) / per_block : 1;
        size_t most;

        if (blocks > WRITE_BLOCKS)
                blocks = WRITE_BLOCKS;
        most = blocks * fs->block_size - (size_t)(offset - rec_block_down(fs->block_size, offset));
        return len < most ? len : most;
}

static void span_init(const struct fs *fs, struct span *s, uint64_t offset, size_t len)
{
        s->begin = rec_block_down(fs->block_size, offset);
        s->count = (unsigned)((rec_block_up(fs->block_size, offset + len) - s->begin) / fs->block_size);
}

/* How many of the blocks lie below END, the offset up to which blocks exist. */
static unsigned span_below(const struct fs *fs, const struct span *s, uint64_t end)
{
        uint64_t blocks = end > s->begin ? (end - s->begin) / fs->block_size : 0;

        return blocks < s->count ? (unsigned)blocks : s->count;
}

/* Starts reading the first COUNT blocks. */
static void span_start(const struct fs *fs, struct kv_txn *t, struct span *s, uint64_t ino, unsigned count)
{
        for (unsigned i = 0; i < count; i++)
                rec_block_start(t, &s->reads[i], ino, s->begin + (uint64_t)i * fs->block_size, KV_LENGTH);
}

/* The part of block I that [offset, end) covers, relative to the block. */
static void covered(const struct fs *fs, const struct span *s, unsigned i, uint64_t offset, uint64_t end,
                    size_t *ret_from, size_t *ret_to)
{
        uint64_t block = s->begin + (uint64_t)i * fs->block_size;

        *ret_from = offset > block ? (size_t)(offset - block) : 0;
        *ret_to = end - block < fs->block_size ? (size_t)(end - block) : fs->block_size;
}

/* Waits for the lengths of the first COUNT blocks. */
static int span_wait(const struct fs *fs, struct kv_txn *t, struct span *s, unsigned count)
{
        for (unsigned i = 0; i < s->count; i++) {
                struct slice value = { 0 };
                int r = i < count ? rec_block_wait(t, fs->block_size, &s->reads[i], &value) : 0;

                if (r < 0)
                        return r;
                s->existed[i] = r > 0;
                s->old_len[i] = value.len;
        }
        return 0;
}

static int span_put(const struct fs *fs, struct kv_txn *t, const struct span *s, struct rec_inode *inode,
                    uint64_t offset, struct slice data)
{
        size_t done = 0;

        for (unsigned i = 0; i < s->count; i++) {
                struct rec_block_edit e = { .offset = s->begin + (uint64_t)i * fs->block_size,
                                            .existed = s->existed[i],
                                            .old_len = s->old_len[i] };
                size_t to;
                int r;

                covered(fs, s, i, offset, offset + data.len, &e.from, &to);
                e.data = slice_of(data.data + done, to - e.from);
                done += e.data.len;
                if (e.from == 0 && to >= e.old_len)
                        r = rec_block_put(t, fs->block_size, inode->ino, &e, &inode->rec.allocated);
                else
                        r = rec_block_patch(t, inode->ino, &e, &inode->rec.allocated);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int store_inode(struct kv_txn *t, const struct write *w, struct rec_inode *inode, uint64_t end)
{
        unsigned changed = 0;

        if (end > inode->rec.size) {
                inode->rec.size = end;
                changed |= REC_CHANGED_SIZE;
        }
        if ((w->flags & FS_WRITE_KILL_PRIV) && fs_priv_kill_mode(&inode->rec.mode))
                changed |= REC_CHANGED_OWNER;
        if (!(w->flags & FS_WRITE_KEEP_TIMES))
                inode->rec.mtime = inode->rec.ctime = w->now;
        return rec_inode_store(t, inode, changed);
}

static int write_body(struct kv_txn *t, void *arg)
{
        struct write *w = arg;
        struct fs *fs = w->fs;
        /* Where a read costs a round trip, blocks are read beside the inode, before it is known which
         * exist. */
        bool ahead = fs->limits->remote && !(w->flags & FS_WRITE_APPEND);
        struct rec_inode_read inode_read;
        struct fs_priv_read priv_read;
        struct rec_inode inode;
        struct span span;
        uint64_t offset = w->offset, end;
        unsigned live;
        size_t len;
        int r;

        rec_inode_start(t, &inode_read, w->ino, REC_INODE_RECORD, 0);
        if (w->flags & FS_WRITE_KILL_PRIV)
                fs_priv_start(t, &priv_read, w->ino);
        if (ahead) {
                span_init(fs, &span, offset, bounded_len(fs, offset, w->data.len));
                span_start(fs, t, &span, w->ino, span.count);
        }
        r = rec_inode_wait(t, &inode_read, &inode);
        if (r < 0)
                return r;
        if (!S_ISREG(inode.rec.mode))
                return S_ISDIR(inode.rec.mode) ? -EISDIR : -EINVAL;
        if (w->flags & FS_WRITE_APPEND)
                offset = inode.rec.size;
        if (offset >= FMT_FILE_SIZE_MAX)
                return -EFBIG;
        len = w->data.len < FMT_FILE_SIZE_MAX - offset ? w->data.len : FMT_FILE_SIZE_MAX - offset;
        len = bounded_len(fs, offset, len);
        end = offset + len;
        if (fs_trim_blocks(&inode, end))
                return FS_TRIM_FIRST;

        /* Beyond the last block of the old size there is nothing to read. */
        span_init(fs, &span, offset, len);
        live = span_below(fs, &span, rec_block_up(fs->block_size, inode.rec.size));
        if (!ahead)
                span_start(fs, t, &span, w->ino, live);
        r = span_wait(fs, t, &span, live);
        if (r >= 0 && (w->flags & FS_WRITE_KILL_PRIV))
                r = fs_priv_wait_clear(t, &priv_read);
        if (r >= 0)
                r = span_put(fs, t, &span, &inode, offset, slice_of(w->data.data, len));
        w->written = len;
        return r < 0 ? r : store_inode(t, w, &inode, end);
}

ssize_t fs_write(struct fs *fs, uint64_t ino, uint64_t offset, struct slice data, unsigned flags)
{
        struct write w = {
                .fs = fs, .ino = ino, .offset = offset, .data = data, .flags = flags, .now = fs_now(fs)
        };
        size_t done = 0;
        int r = fs->rdonly ? -EROFS : 0;

        if (r >= 0 && !(flags & FS_WRITE_APPEND) && offset >= FMT_FILE_SIZE_MAX && data.len > 0)
                r = -EFBIG;
        if (r >= 0 && fs->writeback && data.len > 0) {
                if (!(flags & FS_WRITE_APPEND))
                        return fs_writeback_write(fs, ino, offset, data, flags);
                /* The end of the file is only known in the transaction that writes there. */
                r = fs_writeback_flush(fs, ino);
        }
        while (r >= 0 && done < data.len) {
                r = fs_run_write(fs, 0, write_body, &w);
                if (r == FS_TRIM_FIRST) {
                        r = fs_trim_finish(fs, ino);
                        continue;
                }
                if (r < 0)
                        break;
                done += w.written;
                w.offset += w.written;
                w.data = slice_of(data.data + done, data.len - done);
        }
        fs_readahead_drop(fs, ino);
        return done > 0 ? (ssize_t)done : r;
}

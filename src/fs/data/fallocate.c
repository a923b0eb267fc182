/* SPDX-License-Identifier: MIT */
/* fallocate(2): nothing is reserved, because an overwritten block needs new space anyway; ranges are zeroed
 * by clearing their blocks. */
#include "fs/data/data.h"
#include "fs/extent/extent.h"
#include "fs/run.h"
#include "fs/writeback/writeback.h"
#include "record/block.h"
#include "record/inode.h"

#include <linux/falloc.h>

struct zero {
        struct fs *fs;
        uint64_t ino;
        uint64_t from, end; /* bytes that remain to be zeroed */
        uint64_t next;      /* where the next transaction continues; END: it is done */
        bool zero, grow;    /* zero the range; extend the file to its end */
        struct timespec now;
};

/* Zeros the bytes [from, to) of one block. */
static int zero_in_block(struct fs *fs, struct kv_txn *t, struct rec_inode *inode, uint64_t from, uint64_t to)
{
        uint8_t copy[FMT_BLOCK_SIZE_MAX];
        struct rec_block_edit e = { .offset = rec_block_down(fs->block_size, from) };
        struct rec_block_read read;
        struct slice value;
        int r;

        rec_block_start(t, &read, inode->ino, e.offset, 0);
        r = rec_block_wait(t, fs->block_size, &read, &value);
        if (r <= 0)
                return r;
        memcpy(copy, value.data, value.len);
        e.existed = true;
        e.old_len = value.len;
        e.old = slice_of(copy, value.len);
        e.from = (size_t)(from - e.offset);
        e.data = slice_of(rec_zeros, (size_t)(to - from));
        return rec_block_put(t, fs->block_size, inode->ino, &e, &inode->rec.allocated);
}

/* Clears whole blocks of [begin, end), as many as one transaction may; *RET_NEXT is where it stopped. */
static int clear_blocks(struct fs *fs, struct kv_txn *t, struct rec_inode *inode, uint64_t begin,
                        uint64_t end, uint64_t *ret_next)
{
        unsigned step = rec_block_step(fs->limits);
        struct rec_block_found found;
        int r = rec_block_find(t, inode->ino, begin, end, false, step, &found);

        if (r < 0)
                return r;
        *ret_next = found.count == step ? found.last + fs->block_size : end;
        return rec_block_clear(t, fs->block_size, inode->ino, begin, *ret_next, &found,
                               &inode->rec.allocated);
}

/* Zeros from Z->FROM on, within the file: the first edge, whole blocks, the last edge. */
static int zero_some(struct kv_txn *t, struct zero *z, struct rec_inode *inode)
{
        struct fs *fs = z->fs;
        /* The last block has no bytes behind the file's end, so it may be cleared as a whole. */
        uint64_t end = z->end < inode->rec.size ? z->end : rec_block_up(fs->block_size, inode->rec.size);
        uint64_t begin = rec_block_up(fs->block_size, z->from),
                 whole_end = rec_block_down(fs->block_size, end);
        int r;

        z->next = z->end;
        if (z->from >= end)
                return 0;
        if (z->from != begin) {
                r = zero_in_block(fs, t, inode, z->from, end < begin ? end : begin);
                if (r < 0)
                        return r;
        }
        if (begin < whole_end) {
                uint64_t next;

                r = clear_blocks(fs, t, inode, begin, whole_end, &next);
                if (r < 0)
                        return r;
                if (next < whole_end) {
                        z->next = next;
                        return 0;
                }
        }
        if (end == whole_end || begin > whole_end)
                return 0;
        return zero_in_block(fs, t, inode, whole_end, end);
}

static int zero_body(struct kv_txn *t, void *arg)
{
        struct zero *z = arg;
        struct rec_inode inode;
        unsigned changed = 0;
        int r = rec_inode_load(t, z->ino, REC_INODE_RECORD, 0, &inode);

        if (r < 0)
                return r;
        if (!S_ISREG(inode.rec.mode))
                return S_ISDIR(inode.rec.mode) ? -EISDIR : -ENODEV;
        z->next = z->end;
        /* Before anything is written, because growing may return FS_TRIM_FIRST. */
        if (z->grow && z->end > inode.rec.size) {
                r = fs_resize(z->fs, t, &inode, z->end);
                if (r != 0)
                        return r;
                changed |= REC_CHANGED_SIZE;
        }
        if (z->zero) {
                r = zero_some(t, z, &inode);
                if (r < 0)
                        return r;
        }
        /* As on ext4, also if nothing else changes. */
        inode.rec.mtime = inode.rec.ctime = z->now;
        return rec_inode_store(t, &inode, changed);
}

static int zero_all(struct zero *z)
{
        do {
                int r = fs_run_write(z->fs, z->zero ? KV_RESERVE : 0, zero_body, z);

                if (r == FS_TRIM_FIRST)
                        r = fs_trim_finish(z->fs, z->ino);
                else if (r >= 0)
                        z->from = z->next;
                if (r < 0)
                        return r;
        } while (z->from < z->end);
        return 0;
}

int fs_fallocate(struct fs *fs, uint64_t ino, int mode, uint64_t offset, uint64_t len)
{
        struct zero z = { .fs = fs, .ino = ino, .from = offset, .end = offset + len, .now = fs_now(fs) };
        int r;

        switch (mode) {
        case 0:
                z.grow = true;
                break;
        case FALLOC_FL_KEEP_SIZE:
                break;
        case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
        case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
                z.zero = true;
                break;
        case FALLOC_FL_ZERO_RANGE:
                z.zero = z.grow = true;
                break;
        default:
                return -EOPNOTSUPP;
        }
        if (fs->rdonly)
                return -EROFS;
        if (len == 0)
                return -EINVAL;
        if (offset > FMT_FILE_SIZE_MAX || len > FMT_FILE_SIZE_MAX - offset)
                return -EFBIG;
        r = fs_writeback_flush(fs, ino);
        if (r < 0)
                return r;
        r = zero_all(&z);
        fs_readahead_drop(fs, ino);
        return r;
}

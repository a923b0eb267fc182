/* SPDX-License-Identifier: MIT */
/* Shrinking and growing files, in bounded transactions. */
#include "fs/extent/extent.h"
#include "fs/run.h"
#include "record/garbage.h"
#include "record/inode.h"
#include "record/session.h"

#include "record/block.h"

/* Steps that a truncating caller does itself: enough for some 2 GiB of blocks of 64 KiB. */
#define STEPS_INLINE 64u

/* One past the last block that a file can have. */
static uint64_t blocks_end(const struct fs *fs)
{
        return rec_block_up(fs->block_size, FMT_FILE_SIZE_MAX);
}

/* Cuts the block in which the new end lies, so that what was behind it cannot come back. */
static int cut_last_block(struct fs *fs, struct kv_txn *t, struct rec_inode *inode, uint64_t size)
{
        uint8_t kept[FMT_BLOCK_SIZE_MAX];
        struct rec_block_edit e = { .offset = rec_block_down(fs->block_size, size) };
        struct rec_block_read read;
        struct slice value;
        size_t keep = size - e.offset;
        int r;

        rec_block_start(t, &read, inode->ino, e.offset, 0);
        r = rec_block_wait(t, fs->block_size, &read, &value);
        if (r <= 0 || value.len <= keep)
                return r < 0 ? r : 0;
        memcpy(kept, value.data, keep);
        e.existed = true;
        e.old_len = value.len;
        e.old = slice_of(kept, keep);
        e.from = keep;
        return rec_block_put(t, fs->block_size, inode->ino, &e, &inode->rec.allocated);
}

/* The blocks beyond trim_from are nobody's any more. Together with FMT_ATTR_CUT their writer notices. */
static void give_up(struct rec_inode *inode)
{
        inode->rec.writer = slice_of(NULL, 0);
        inode->rec.writing = 0;
}

/* Leaves all blocks from BEGIN on to later steps. Block 0 is cleared at once, because a mark of 0 means
 * none. */
static int mark(struct fs *fs, struct kv_txn *t, struct rec_inode *inode, uint64_t begin)
{
        struct rec_block_found first = { .count = 0 };
        struct rec_epoch_read epoch_read;
        uint64_t epoch;
        int r = 0;

        rec_epoch_start(t, &epoch_read);
        if (begin == 0)
                r = rec_block_find(t, inode->ino, 0, fs->block_size, false, 1, &first);
        if (r >= 0)
                r = rec_epoch_wait(t, &epoch_read, &epoch);
        if (r >= 0)
                r = rec_garbage_set(t, inode->ino, epoch);
        if (r >= 0)
                r = rec_block_clear(t, fs->block_size, inode->ino, 0, fs->block_size, &first,
                                    &inode->rec.allocated);
        inode->rec.trim_from = begin == 0 ? fs->block_size : begin;
        give_up(inode);
        return r;
}

static int shrink(struct fs *fs, struct kv_txn *t, struct rec_inode *inode, uint64_t size)
{
        uint64_t begin = rec_block_up(fs->block_size, size), end = blocks_end(fs);
        struct rec_block_found found = { .count = 0 };
        unsigned step = rec_block_step(fs->limits);
        int r = 0;

        r = rec_inode_disturb(t, inode->ino, FMT_ATTR_CUT);
        if (r >= 0 && inode->rec.trim_from == 0)
                r = rec_block_find(t, inode->ino, begin, end, true, step, &found);
        if (r < 0)
                return r;
        if (inode->rec.trim_from != 0 || found.count == step)
                r = mark(fs, t, inode, begin);
        else
                r = rec_block_clear(t, fs->block_size, inode->ino, begin, end, &found, &inode->rec.allocated);
        if (r >= 0 && size != begin)
                r = cut_last_block(fs, t, inode, size);
        if (r >= 0)
                inode->rec.size = size;
        return r;
}

int fs_resize(struct fs *fs, struct kv_txn *t, struct rec_inode *inode, uint64_t size)
{
        if (size > FMT_FILE_SIZE_MAX)
                return -EFBIG;
        if (size < inode->rec.size)
                return shrink(fs, t, inode, size);
        if (size > inode->rec.size && fs_trim_blocks(inode, size))
                return FS_TRIM_FIRST;
        inode->rec.size = size;
        return 0;
}

/* ---- steps -------------------------------------------------------------------------------------- */

struct trim {
        struct fs *fs;
        uint64_t ino;
        bool abandoned; /* not while their writer lives */
};

/* Whether the mount that is writing the blocks is still registered. */
static int writer_lives(struct kv_txn *t, const struct rec_inode *inode)
{
        return rec_session_exists(t, inode->rec.writer.data, KV_SNAPSHOT);
}

static int trim_body(struct kv_txn *t, void *arg)
{
        struct trim *trim = arg;
        struct fs *fs = trim->fs;
        unsigned step = rec_block_step(fs->limits);
        struct rec_block_found found;
        struct rec_inode inode;
        uint64_t begin;
        int r = rec_inode_load(t, trim->ino, REC_INODE_RECORD, 0, &inode);

        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (inode.rec.trim_from == 0)
                return 0;
        if (!S_ISREG(inode.rec.mode) || inode.rec.trim_from > FMT_FILE_SIZE_MAX ||
            inode.rec.size > inode.rec.trim_from)
                return -ERR_CORRUPT;
        if (inode.rec.writer.len > 0 && trim->abandoned) {
                r = writer_lives(t, &inode);
                if (r != 0)
                        return r < 0 ? r : 0;
        }
        if (inode.rec.writer.len > 0) {
                give_up(&inode);
                r = rec_inode_disturb(t, trim->ino, FMT_ATTR_CUT);
                if (r < 0)
                        return r;
        }

        /* From the end, so that what remains is what the mark says at every moment. */
        begin = rec_block_up(fs->block_size, inode.rec.trim_from);
        r = rec_block_find(t, trim->ino, begin, blocks_end(fs), true, step, &found);
        if (r < 0)
                return r;
        if (found.count == step)
                begin = found.last;
        r = rec_block_clear(t, fs->block_size, trim->ino, begin, blocks_end(fs), &found,
                            &inode.rec.allocated);
        if (r >= 0 && found.count < step) {
                inode.rec.trim_from = 0;
                /* That of an unlinked inode stays: it is still to be collected. */
                if (inode.rec.nlink > 0)
                        r = rec_garbage_clear(t, trim->ino);
        }
        if (r >= 0)
                r = rec_inode_store(t, &inode, 0);
        return r < 0 ? r : found.count == step;
}

static int run_step(struct fs *fs, uint64_t ino, bool abandoned)
{
        struct trim trim = { .fs = fs, .ino = ino, .abandoned = abandoned };

        return fs_run_write(fs, KV_RESERVE | KV_IDEMPOTENT, trim_body, &trim);
}

int fs_trim_step(struct fs *fs, uint64_t ino)
{
        return run_step(fs, ino, false);
}

static int finish(struct fs *fs, uint64_t ino, bool abandoned)
{
        int r;

        do
                r = run_step(fs, ino, abandoned);
        while (r > 0);
        return r;
}

int fs_trim_finish(struct fs *fs, uint64_t ino)
{
        return finish(fs, ino, false);
}

int fs_trim_abandoned(struct fs *fs, uint64_t ino)
{
        return finish(fs, ino, true);
}

int fs_trim_begin(struct fs *fs, uint64_t ino)
{
        int r = 1;

        for (unsigned i = 0; r > 0 && i < STEPS_INLINE; i++)
                r = fs_trim_step(fs, ino);
        return r;
}

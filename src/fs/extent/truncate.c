/* SPDX-License-Identifier: MIT */
/* Shrinking and growing files, in bounded transactions. */
#include "fs/extent/extent.h"
#include "fs/run.h"
#include "record/garbage.h"
#include "record/session.h"

/* Steps that a truncating caller takes itself: enough for some 2 GiB of blocks of 64 KiB. */
#define STEPS_INLINE 64u

/* The end of the last block that a file can have. */
static uint64_t blocks_end(const struct fs *fs)
{
        return rec_block_up(fs->block_size, FMT_FILE_SIZE_MAX);
}

/* ---- sizes -------------------------------------------------------------------------------------- */

/* Cuts the block in which the new end is, so that the bytes behind it cannot come back. */
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
        if (r < 0)
                return r;
        if (value.len <= keep)
                return 0;
        memcpy(kept, value.data, keep);
        e.existed = true;
        e.old_len = value.len;
        e.old = slice_of(kept, keep);
        e.from = keep;
        return rec_block_put(t, fs->block_size, inode->ino, &e, &inode->rec.allocated);
}

/* Removes the intent record of a flush. Its writer notices, because FMT_ATTR_CUT is disturbed in the same
 * transaction. */
static void remove_intent(struct rec_inode *inode)
{
        inode->rec.writer = slice_of(NULL, 0);
        inode->rec.writing = 0;
}

/* Marks all blocks from BEGIN on as dead, to be cleared by steps. Block 0 is cleared at once, because a
 * mark of 0 means none. */
static int mark(struct fs *fs, struct kv_txn *t, struct rec_inode *inode, uint64_t begin)
{
        struct rec_block_found first = { .count = 0 };
        struct rec_epoch_read epoch_read;
        uint64_t epoch;
        int r;

        rec_epoch_start(t, &epoch_read);
        if (begin == 0) {
                r = rec_block_find(t, inode->ino, 0, fs->block_size, false, 1, &first);
                if (r < 0)
                        return r;
        }
        r = rec_epoch_wait(t, &epoch_read, &epoch);
        if (r < 0)
                return r;
        r = rec_garbage_set(t, inode->ino, epoch);
        if (r < 0)
                return r;
        inode->rec.trim_from = begin == 0 ? fs->block_size : begin;
        remove_intent(inode);
        return rec_block_clear(t, fs->block_size, inode->ino, 0, fs->block_size, &first,
                               &inode->rec.allocated);
}

static int shrink(struct fs *fs, struct kv_txn *t, struct rec_inode *inode, uint64_t size)
{
        uint64_t begin = rec_block_up(fs->block_size, size), end = blocks_end(fs);
        struct rec_block_found found = { .count = 0 };
        unsigned step = rec_block_step(fs->limits);
        int r = rec_inode_disturb(t, inode->ino, FMT_ATTR_CUT);

        if (r < 0)
                return r;
        if (inode->rec.trim_from == 0) {
                r = rec_block_find(t, inode->ino, begin, end, true, step, &found);
                if (r < 0)
                        return r;
        }
        if (inode->rec.trim_from != 0 || found.count == step)
                r = mark(fs, t, inode, begin);
        else
                r = rec_block_clear(t, fs->block_size, inode->ino, begin, end, &found, &inode->rec.allocated);
        if (r < 0)
                return r;
        if (size != begin) {
                r = cut_last_block(fs, t, inode, size);
                if (r < 0)
                        return r;
        }
        inode->rec.size = size;
        return 0;
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
        bool abandoned; /* leaves blocks alone whose writer is registered */
};

/* Checks that the blocks may be cleared: 1, or 0: their writer is registered. */
static int may_clear(struct kv_txn *t, const struct trim *trim, const struct rec_inode *inode)
{
        int r;

        if (inode->rec.writer.len == 0 || !trim->abandoned)
                return 1;
        r = rec_session_exists(t, inode->rec.writer.data, KV_SNAPSHOT);
        return r < 0 ? r : !r;
}

/* Clears dead blocks from the end, so that after each step those that remain are what the mark says. 1: more
 * remain. */
static int clear_dead(struct kv_txn *t, const struct trim *trim, struct rec_inode *inode)
{
        struct fs *fs = trim->fs;
        unsigned step = rec_block_step(fs->limits);
        uint64_t begin = rec_block_up(fs->block_size, inode->rec.trim_from), end = blocks_end(fs);
        struct rec_block_found found;
        int r = rec_block_find(t, trim->ino, begin, end, true, step, &found);

        if (r < 0)
                return r;
        if (found.count == step)
                begin = found.last;
        r = rec_block_clear(t, fs->block_size, trim->ino, begin, end, &found, &inode->rec.allocated);
        if (r < 0 || found.count == step)
                return r < 0 ? r : 1;
        inode->rec.trim_from = 0;
        /* The garbage entry of an unlinked inode stays: the inode is still to be collected. */
        return inode->rec.nlink > 0 ? rec_garbage_clear(t, trim->ino) : 0;
}

static int trim_body(struct kv_txn *t, void *arg)
{
        struct trim *trim = arg;
        struct rec_inode inode;
        int r = rec_inode_load(t, trim->ino, REC_INODE_RECORD, 0, &inode), more;

        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (inode.rec.trim_from == 0)
                return 0;
        if (!S_ISREG(inode.rec.mode) || inode.rec.trim_from > FMT_FILE_SIZE_MAX ||
            inode.rec.size > inode.rec.trim_from)
                return -ERR_CORRUPT;
        r = may_clear(t, trim, &inode);
        if (r <= 0)
                return r;
        if (inode.rec.writer.len > 0) {
                remove_intent(&inode);
                r = rec_inode_disturb(t, trim->ino, FMT_ATTR_CUT);
                if (r < 0)
                        return r;
        }
        more = clear_dead(t, trim, &inode);
        if (more < 0)
                return more;
        r = rec_inode_store(t, &inode, 0);
        return r < 0 ? r : more;
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

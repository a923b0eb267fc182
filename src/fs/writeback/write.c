/* SPDX-License-Identifier: MIT */
/* Taking writes into memory. */
#include "fs/run.h"
#include "fs/writeback/internal.h"
#include "record/inode.h"

#include "fs/inode/inode.h"
#include "record/block.h"

#include <assert.h>

struct check {
        struct fs *fs;
        uint64_t ino;
};

static int check_body(struct kv_txn *t, void *arg)
{
        struct check *c = arg;
        struct rec_inode inode;
        int r = rec_inode_load(t, c->ino, REC_INODE_RECORD, KV_SNAPSHOT, &inode);

        if (r >= 0 && !S_ISREG(inode.rec.mode))
                r = S_ISDIR(inode.rec.mode) ? -EISDIR : -EINVAL;
        return r;
}

/* Under E's lock, which is released meanwhile. An inode's type never changes, so once is enough; whether it
 * still exists is found when it is flushed. */
static int check_file(struct writeback *g, struct writeback_entry *e)
{
        struct check c = { .fs = g->fs, .ino = e->ino };
        int r;

        if (e->checked)
                return 0;
        lock_release(&e->lock);
        r = fs_run_read(g->fs, check_body, &c);
        lock_acquire(&e->lock);
        if (r >= 0)
                e->checked = true;
        return r;
}

/* Takes what lies in one block. Under E's lock, which may be released meanwhile. */
static int write_piece(struct writeback *g, struct writeback_entry *e, uint64_t offset, struct slice data)
{
        struct fs *fs = g->fs;
        uint64_t block = rec_block_down(fs->block_size, offset);

        for (;;) {
                bool taken = !dirty_blocks_find(&e->dirty.blocks, block);
                int r = taken ? writeback_budget_take(g, e) : 0;

                if (r < 0)
                        return r;
                /* If it had to wait, somebody else may have brought the block meanwhile. */
                r = dirty_blocks_write(&e->dirty.blocks, fs->block_size, offset, data);
                assert(taken || r != 1);
                if (taken && r != 1)
                        writeback_budget_give_back(g, e, 1);
                if (r != -EAGAIN)
                        return r;
                r = writeback_flush(g, e, WRITEBACK_SMALL_HERE);
                if (r < 0)
                        return r;
        }
}

/* Under E's lock. */
static int write_pieces(struct writeback *g, struct writeback_entry *e, uint64_t offset, struct slice data,
                        unsigned flags, size_t *ret_done)
{
        struct fs *fs = g->fs;
        struct timespec now = fs_now(fs);
        int r = 0;

        while (r >= 0 && *ret_done < data.len) {
                uint64_t at = offset + *ret_done;
                size_t len = fs->block_size - (size_t)(at - rec_block_down(fs->block_size, at));

                if (len > data.len - *ret_done)
                        len = data.len - *ret_done;
                r = write_piece(g, e, at, slice_of(data.data + *ret_done, len));
                if (r < 0)
                        break;
                *ret_done += len;
                /* With each block, because the lock may have been released for a flush. */
                extent_change_add(&e->dirty.change, flags, now);
        }
        return r;
}

/* Under E's lock, behind a write: has it flushed now if there is enough for a flush that is worth its first
 * and last transaction, while the writer goes on; or if somebody waits for room. Who waits had everything
 * flushed, but what was written since, in room that was taken before, is not part of that. */
static void kick_if_wanted(struct writeback *g, struct writeback_entry *e)
{
        bool large = !e->flushing && e->dirty.blocks.count * g->block_bytes >= g->inode_bytes / 2;

        lock_acquire(&g->lock);
        if (large || waitlist_is_waited_for(&g->room))
                writeback_kick(g, e);
        lock_release(&g->lock);
}

void fs_writeback_created(struct fs *fs, uint64_t ino)
{
        struct writeback_entry *e = fs->writeback ? writeback_entry_make(fs->writeback, ino) : NULL;

        if (!e)
                return;
        lock_acquire(&e->lock);
        e->checked = true;
        lock_release(&e->lock);
        writeback_entry_put(fs->writeback, e);
}

ssize_t fs_writeback_write(struct fs *fs, uint64_t ino, uint64_t offset, struct slice data, unsigned flags)
{
        struct writeback *g = fs->writeback;
        struct writeback_entry *e;
        size_t done = 0;
        int r;

        if (fs_is_fenced(fs))
                return -ERR_FENCED;
        if (data.len > FMT_FILE_SIZE_MAX - offset)
                data.len = (size_t)(FMT_FILE_SIZE_MAX - offset);
        e = writeback_entry_make(g, ino);
        if (!e)
                return -ENOMEM;
        lock_acquire(&e->lock);
        r = check_file(g, e);
        /* More is not taken while what is here cannot be written. */
        if (r >= 0 && e->failing)
                r = writeback_flush(g, e, WRITEBACK_SMALL_HERE);
        if (r >= 0)
                r = write_pieces(g, e, offset, data, flags, &done);
        kick_if_wanted(g, e);
        lock_release(&e->lock);
        writeback_entry_put(g, e);
        return done > 0 ? (ssize_t)done : r;
}

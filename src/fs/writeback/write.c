/* SPDX-License-Identifier: MIT */
/* Taking writes into memory. */
#include "fs/run.h"
#include "fs/writeback/budget.h"
#include "fs/writeback/cache.h"
#include "fs/writeback/entry.h"
#include "fs/writeback/flush.h"

struct check {
        uint64_t ino;
};

static int check_body(struct kv_txn *t, void *arg)
{
        const struct check *c = arg;
        struct rec_inode inode;
        int r = rec_inode_load(t, c->ino, REC_INODE_RECORD, KV_SNAPSHOT, &inode);

        return r < 0 ? r : extent_check_file(&inode);
}

/* Checks that the inode is a regular file; releases the lock while it reads. The type never changes, so once
 * is enough; whether the inode still exists is found by the flush. */
static int check_file_locked(struct writeback_entry *e)
{
        struct check c = { .ino = e->ino };
        int r;

        if (e->checked)
                return 0;
        lock_release(&e->lock);
        r = fs_run_read(e->cache->fs, check_body, &c);
        lock_acquire(&e->lock);
        if (r < 0)
                return r;
        e->checked = true;
        return 0;
}

/* Takes DATA, which is in one block, if there is space: 0, EAGAIN (the block has too many ranges) or an
 * error. May release the lock. */
static int try_write_block_locked(struct writeback_entry *e, uint64_t offset, struct slice data)
{
        struct fs *fs = e->cache->fs;
        bool reserved = !dirty_blocks_find(&e->dirty.blocks, rec_block_down(fs->block_size, offset));
        int r = reserved ? budget_take_locked(e) : 0;

        if (r < 0)
                return r;
        r = dirty_blocks_write(&e->dirty.blocks, fs->block_size, offset, data);
        assert(reserved || r != 1);
        /* While this thread waited for space, another one may have added the block. */
        if (reserved && r != 1)
                budget_give_back_locked(e, 1);
        if (r < 0)
                return r;
        if (e->state == FLUSH_CLEAN)
                entry_set_state_locked(e, FLUSH_DIRTY, 0);
        return 0;
}

/* The same, but commits the block first if it has too many ranges. */
static int write_block_locked(struct writeback_entry *e, uint64_t offset, struct slice data)
{
        int r;

        while ((r = try_write_block_locked(e, offset, data)) == -EAGAIN) {
                r = flush_locked(e, FLUSH_SMALL_HERE);
                if (r < 0)
                        return r;
        }
        return r;
}

/* Takes DATA block by block; counts the bytes in *RET_DONE, also before an error. */
static int write_blocks_locked(struct writeback_entry *e, uint64_t offset, struct slice data, unsigned flags,
                               size_t *ret_done)
{
        struct fs *fs = e->cache->fs;
        struct timespec now = fs_now(fs);

        while (*ret_done < data.len) {
                uint64_t at = offset + *ret_done;
                size_t len = fs->block_size - (size_t)(at % fs->block_size);
                int r;

                if (len > data.len - *ret_done)
                        len = data.len - *ret_done;
                r = write_block_locked(e, at, slice_of(data.data + *ret_done, len));
                if (r < 0)
                        return r;
                *ret_done += len;
                /* With each block, because the lock may have been released for a flush. */
                extent_change_add(&e->dirty.change, flags, now);
        }
        return 0;
}

/* Requests a flush behind a write if there is enough for a flush of many transactions, while the writer
 * goes on; or if a thread waits for space. That thread has requested flushes of everything, but what was
 * written since, in space that was taken before, is not part of them. */
static void request_if_wanted_locked(struct writeback_entry *e)
{
        struct writeback *wb = e->cache;
        bool large = !flush_state_is_active(e->state) &&
                     e->dirty.blocks.count * wb->block_bytes >= wb->inode_bytes / 2;

        LOCK_GUARD(&wb->lock);
        if (large || waitlist_is_waited_for(&wb->space))
                flush_request_locked(e);
}

static int write_locked(struct writeback_entry *e, uint64_t offset, struct slice data, unsigned flags,
                        size_t *ret_done)
{
        int r = check_file_locked(e);

        if (r < 0)
                return r;
        /* No data is taken while the dirty data cannot be committed. */
        if (e->error) {
                r = flush_locked(e, FLUSH_SMALL_HERE);
                if (r < 0)
                        return r;
        }
        return write_blocks_locked(e, offset, data, flags, ret_done);
}

void fs_writeback_created(struct fs *fs, uint64_t ino)
{
        struct writeback_entry *e = fs->writeback ? entry_make(fs->writeback, ino) : NULL;

        if (!e)
                return;
        lock_acquire(&e->lock);
        e->checked = true;
        lock_release(&e->lock);
        entry_put(e);
}

ssize_t fs_writeback_write(struct fs *fs, uint64_t ino, uint64_t offset, struct slice data, unsigned flags)
{
        struct writeback_entry *e;
        size_t done = 0;
        int r;

        if (fs_is_fenced(fs))
                return -ERR_FENCED;
        if (data.len > FMT_FILE_SIZE_MAX - offset)
                data.len = (size_t)(FMT_FILE_SIZE_MAX - offset);
        e = entry_make(fs->writeback, ino);
        if (!e)
                return -ENOMEM;
        lock_acquire(&e->lock);
        r = write_locked(e, offset, data, flags, &done);
        request_if_wanted_locked(e);
        lock_release(&e->lock);
        entry_put(e);
        return done > 0 ? (ssize_t)done : r;
}

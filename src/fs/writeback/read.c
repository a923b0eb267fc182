/* SPDX-License-Identifier: MIT */
/* Reading dirty data: the cache's part of reads on this mount. */
#include "fs/writeback/cache.h"
#include "fs/writeback/entry.h"

fs_writeback_mark fs_writeback_now(struct fs *fs)
{
        return fs->writeback ? atomic_load(&fs->writeback->epoch) : 0;
}

/* In 512 bytes, what the dirty blocks behind SIZE will take: the inode does not count them yet. */
static uint64_t blocks_behind_locked(const struct fs *fs, const struct writeback_entry *e, uint64_t size)
{
        const struct dirty_blocks *both[2] = { &e->frozen.blocks, &e->dirty.blocks };
        uint64_t n = 0;

        for (unsigned k = 0; k < 2; k++)
                for (size_t i = dirty_blocks_seek(both[k], rec_block_up(fs->block_size, size));
                     i < both[k]->count; i++)
                        if (k == 0 || !dirty_blocks_find(both[0], both[1]->at[i]->offset))
                                n += (dirty_block_end(both[k]->at[i]) + 511) / 512;
        return n;
}

static uint64_t end_locked(const struct writeback_entry *e)
{
        uint64_t frozen = dirty_blocks_end(&e->frozen.blocks), dirty = dirty_blocks_end(&e->dirty.blocks);

        return frozen > dirty ? frozen : dirty;
}

static void complete_attr_locked(const struct fs *fs, const struct writeback_entry *e, struct fs_attr *a)
{
        uint64_t end = end_locked(e);

        a->blocks += blocks_behind_locked(fs, e, a->size);
        if (end > a->size)
                a->size = end;
        if (e->frozen.change.kill_priv || e->dirty.change.kill_priv)
                (void)fs_priv_kill_mode(&a->mode, FS_PRIV_WRITE);
        extent_change_times(&e->frozen.change, &a->mtime, &a->ctime);
        extent_change_times(&e->dirty.change, &a->mtime, &a->ctime);
}

int fs_writeback_attr(struct fs *fs, fs_writeback_mark mark, struct fs_attr *attr)
{
        struct writeback_entry *e;
        bool stale;

        if (!fs->writeback || !S_ISREG(attr->mode))
                return 0;
        e = entry_get(fs->writeback, attr->ino);
        if (!e)
                return entries_freed_since(fs->writeback, mark);
        lock_acquire(&e->lock);
        stale = e->retired > mark;
        if (!stale)
                complete_attr_locked(fs, e, attr);
        lock_release(&e->lock);
        entry_put(e);
        return stale;
}

uint64_t fs_writeback_end(struct fs *fs, uint64_t ino)
{
        struct writeback_entry *e = fs->writeback ? entry_get(fs->writeback, ino) : NULL;
        uint64_t end;

        if (!e)
                return 0;
        lock_acquire(&e->lock);
        end = end_locked(e);
        lock_release(&e->lock);
        entry_put(e);
        return end;
}

int fs_writeback_apply(struct fs *fs, fs_writeback_mark mark, uint64_t ino, uint64_t offset, uint8_t *buf,
                       size_t len)
{
        struct writeback_entry *e;
        bool stale;

        if (!fs->writeback)
                return 0;
        e = entry_get(fs->writeback, ino);
        if (!e)
                return entries_freed_since(fs->writeback, mark);
        lock_acquire(&e->lock);
        stale = e->retired > mark;
        if (!stale && buf) {
                dirty_blocks_apply(&e->frozen.blocks, fs->block_size, offset, buf, len);
                dirty_blocks_apply(&e->dirty.blocks, fs->block_size, offset, buf, len);
        }
        lock_release(&e->lock);
        entry_put(e);
        return stale;
}

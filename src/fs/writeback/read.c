/* SPDX-License-Identifier: MIT */
/* What reads in this mount looks through what is dirty. */
#include "fs/writeback/internal.h"

#include "fs/inode/inode.h"
#include "record/block.h"

fs_writeback_mark fs_writeback_now(struct fs *fs)
{
        return fs->writeback ? atomic_load(&fs->writeback->epoch) : 0;
}

/* The 512 bytes that blocks behind SIZE will take, which nobody has counted yet. */
static uint64_t blocks_behind(const struct fs *fs, const struct writeback_entry *e, uint64_t size)
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

static void attr_over(const struct fs *fs, const struct writeback_entry *e, struct fs_attr *a)
{
        uint64_t end = dirty_blocks_end(&e->frozen.blocks), dirty_end = dirty_blocks_end(&e->dirty.blocks);

        a->blocks += blocks_behind(fs, e, a->size);
        if (dirty_end > end)
                end = dirty_end;
        if (end > a->size)
                a->size = end;
        if (e->frozen.change.kill_priv || e->dirty.change.kill_priv)
                (void)fs_priv_kill_mode(&a->mode);
        extent_change_times(&e->frozen.change, &a->mtime, &a->ctime);
        extent_change_times(&e->dirty.change, &a->mtime, &a->ctime);
}

int fs_writeback_attr(struct fs *fs, fs_writeback_mark mark, struct fs_attr *attr)
{
        struct writeback *g = fs->writeback;
        struct writeback_entry *e;
        int r;

        if (!g || !S_ISREG(attr->mode))
                return 0;
        e = writeback_entry_get(g, attr->ino);
        if (!e)
                return writeback_gone_since(g, mark);
        lock_acquire(&e->lock);
        r = e->retired > mark;
        if (r == 0)
                attr_over(fs, e, attr);
        lock_release(&e->lock);
        writeback_entry_put(g, e);
        return r;
}

uint64_t fs_writeback_end(struct fs *fs, uint64_t ino)
{
        struct writeback_entry *e = fs->writeback ? writeback_entry_get(fs->writeback, ino) : NULL;
        uint64_t end, frozen_end;

        if (!e)
                return 0;
        lock_acquire(&e->lock);
        end = dirty_blocks_end(&e->dirty.blocks);
        frozen_end = dirty_blocks_end(&e->frozen.blocks);
        lock_release(&e->lock);
        writeback_entry_put(fs->writeback, e);
        return end > frozen_end ? end : frozen_end;
}

int fs_writeback_apply(struct fs *fs, fs_writeback_mark mark, uint64_t ino, uint64_t offset, uint8_t *buf,
                       size_t len)
{
        struct writeback *g = fs->writeback;
        struct writeback_entry *e;
        int r;

        if (!g)
                return 0;
        e = writeback_entry_get(g, ino);
        if (!e)
                return writeback_gone_since(g, mark);
        lock_acquire(&e->lock);
        r = e->retired > mark;
        if (r == 0 && buf) {
                dirty_blocks_apply(&e->frozen.blocks, fs->block_size, offset, buf, len);
                dirty_blocks_apply(&e->dirty.blocks, fs->block_size, offset, buf, len);
        }
        lock_release(&e->lock);
        writeback_entry_put(g, e);
        return r;
}

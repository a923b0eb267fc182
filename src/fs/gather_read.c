/* What reads in this mount looks through what is gathered. */
#include "fs/gather_priv.h"

#include "fs/block.h"
#include "fs/priv.h"

fs_gather_mark fs_gather_now(struct fs *fs)
{
        return fs->gather ? atomic_load(&fs->gather->epoch) : 0;
}

/* The 512 bytes that blocks behind SIZE will take, which nobody has counted yet. */
static uint64_t blocks_behind(const struct fs *fs, const struct gather_entry *e, uint64_t size)
{
        const struct gather_blocks *both[2] = { &e->frozen.blocks, &e->dirty.blocks };
        uint64_t n = 0;

        for (unsigned k = 0; k < 2; k++)
                for (size_t i = gather_blocks_seek(both[k], fs_block_up(fs, size)); i < both[k]->count; i++)
                        if (k == 0 || !gather_blocks_find(both[0], both[1]->at[i]->offset))
                                n += (gather_block_end(both[k]->at[i]) + 511) / 512;
        return n;
}

static void attr_over(const struct fs *fs, const struct gather_entry *e, struct fs_attr *a)
{
        uint64_t end = gather_blocks_end(&e->frozen.blocks), dirty_end = gather_blocks_end(&e->dirty.blocks);
        const struct gather_change *c = e->dirty.change.times ? &e->dirty.change : &e->frozen.change;

        a->blocks += blocks_behind(fs, e, a->size);
        if (dirty_end > end)
                end = dirty_end;
        if (end > a->size)
                a->size = end;
        if (e->frozen.change.kill_priv || e->dirty.change.kill_priv)
                (void)fs_priv_kill_mode(&a->mode);
        if (c->times) {
                a->mtime = c->time;
                if (fs_time_before(a->ctime, c->time))
                        a->ctime = c->time;
        }
}

int fs_gather_attr(struct fs *fs, fs_gather_mark mark, struct fs_attr *attr)
{
        struct gather *g = fs->gather;
        struct gather_entry *e;
        int r;

        if (!g || !S_ISREG(attr->mode))
                return 0;
        e = gather_entry_get(g, attr->ino);
        if (!e)
                return gather_gone_since(g, mark);
        pthread_mutex_lock(&e->lock);
        r = e->retired > mark;
        if (r == 0)
                attr_over(fs, e, attr);
        pthread_mutex_unlock(&e->lock);
        gather_entry_put(g, e);
        return r;
}

uint64_t fs_gather_end(struct fs *fs, uint64_t ino)
{
        struct gather_entry *e = fs->gather ? gather_entry_get(fs->gather, ino) : NULL;
        uint64_t end, frozen_end;

        if (!e)
                return 0;
        pthread_mutex_lock(&e->lock);
        end = gather_blocks_end(&e->dirty.blocks);
        frozen_end = gather_blocks_end(&e->frozen.blocks);
        pthread_mutex_unlock(&e->lock);
        gather_entry_put(fs->gather, e);
        return end > frozen_end ? end : frozen_end;
}

int fs_gather_apply(struct fs *fs, fs_gather_mark mark, uint64_t ino, uint64_t offset, uint8_t *buf,
                    size_t len)
{
        struct gather *g = fs->gather;
        struct gather_entry *e;
        int r;

        if (!g)
                return 0;
        e = gather_entry_get(g, ino);
        if (!e)
                return gather_gone_since(g, mark);
        pthread_mutex_lock(&e->lock);
        r = e->retired > mark;
        if (r == 0 && buf) {
                gather_blocks_apply(&e->frozen.blocks, fs->block_size, offset, buf, len);
                gather_blocks_apply(&e->dirty.blocks, fs->block_size, offset, buf, len);
        }
        pthread_mutex_unlock(&e->lock);
        gather_entry_put(g, e);
        return r;
}

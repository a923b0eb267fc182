/* SPDX-License-Identifier: MIT */
/* Writing blocks in a transaction. */
#include "fs/extent/extent.h"

#include <assert.h>
#include <stdlib.h>

size_t extent_max_blocks(const struct fs *fs)
{
        const size_t spare = 16384; /* the inode and what a commit adds */
        size_t plan = fs->limits->txn_plan_bytes, per_block = fs->block_size + 128;
        size_t blocks = plan > spare + per_block ? (plan - spare) / per_block : 1;

        return blocks < EXTENT_BLOCKS ? blocks : EXTENT_BLOCKS;
}

/* ---- blocks ------------------------------------------------------------------------------------- */

static bool is_solid(const struct extent_block *b)
{
        return b->n == 1 && b->ranges[0].from == 0;
}

/* Whether the old bytes are needed, not only their length. */
static bool needs_old_bytes(const struct extent_write *w, const struct extent_block *b)
{
        return w->mode == EXTENT_MERGE && !(is_solid(b) && extent_block_end(b) == w->fs->block_size);
}

void extent_start_blocks(struct extent_write *w, struct kv_txn *t, unsigned n)
{
        assert(n <= EXTENT_BLOCKS);
        for (unsigned i = 0; i < n; i++)
                rec_block_start(t, &w->reads[i], w->ino, w->blocks[i].offset,
                                needs_old_bytes(w, &w->blocks[i]) ? 0 : KV_LENGTH);
        w->blocks_started = true;
}

/* Fills OUT with the old bytes and the ranges of B over them. */
static void merge(const struct extent_block *b, struct slice old, uint8_t *out)
{
        size_t end = extent_block_end(b), begin = b->ranges[0].from;

        memcpy(out, old.data, old.len);
        if (old.len < end)
                memset(out + old.len, 0, end - old.len);
        for (unsigned k = 0; k < b->n; k++) {
                const struct extent_range *p = &b->ranges[k];

                memcpy(out + p->from, b->data + (p->from - begin), p->to - p->from);
        }
}

/* Assembles block I in memory, unless its new bytes replace all of the OLD ones. */
static int prepare(struct extent_write *w, unsigned i, struct slice old)
{
        const struct extent_block *b = &w->blocks[i];

        w->merged[i] = NULL;
        if (w->mode != EXTENT_MERGE || old.len == 0 || (is_solid(b) && extent_block_end(b) >= old.len))
                return 0;
        if (!w->merge_buffer)
                w->merge_buffer = malloc((size_t)w->count * w->fs->block_size);
        if (!w->merge_buffer)
                return -ENOMEM;
        w->merged[i] = w->merge_buffer + (size_t)i * w->fs->block_size;
        merge(b, old, w->merge_buffer + (size_t)i * w->fs->block_size);
        return 0;
}

int extent_wait_blocks(struct extent_write *w, struct kv_txn *t, unsigned n)
{
        for (unsigned i = 0; i < w->count; i++) {
                struct slice old = { 0 };
                int r = i < n ? rec_block_wait(t, w->fs->block_size, &w->reads[i], &old) : 0;

                if (r < 0)
                        return r;
                w->existed[i] = r > 0;
                w->old_len[i] = old.len;
                r = prepare(w, i, old);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int put_block(const struct extent_write *w, struct kv_txn *t, unsigned i, uint64_t *allocated)
{
        const struct extent_block *b = &w->blocks[i];
        size_t from = b->ranges[0].from, end = extent_block_end(b), old_len = w->old_len[i];

        if (w->merged[i] || (from == 0 && end >= old_len)) {
                const uint8_t *data = w->merged[i] ? w->merged[i] : b->data;

                return rec_block_set(t, w->ino, b->offset, w->existed[i], old_len,
                                     slice_of(data, end > old_len ? end : old_len), allocated);
        }

        struct rec_block_edit edit = { .offset = b->offset,
                                       .existed = w->existed[i],
                                       .old_len = old_len,
                                       .from = from,
                                       .data = slice_of(b->data, end - from) };

        if (w->mode == EXTENT_PATCH)
                return rec_block_patch(t, w->ino, &edit, allocated);
        return rec_block_put(t, w->fs->block_size, w->ino, &edit, allocated);
}

int extent_put_blocks(const struct extent_write *w, struct kv_txn *t, uint64_t *allocated)
{
        for (unsigned i = 0; i < w->count; i++) {
                int r = put_block(w, t, i, allocated);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- with the inode ----------------------------------------------------------------------------- */

int extent_check_file(const struct rec_inode *inode)
{
        if (S_ISREG(inode->rec.mode))
                return 0;
        return S_ISDIR(inode->rec.mode) ? -EISDIR : -EINVAL;
}

int extent_store_inode(struct kv_txn *t, const struct extent_change *change, struct rec_inode *inode,
                       uint64_t end)
{
        unsigned changed = 0;

        if (end > inode->rec.size) {
                inode->rec.size = end;
                changed |= REC_CHANGED_SIZE;
        }
        if (change->kill_priv && fs_priv_kill_mode(&inode->rec.mode, FS_PRIV_WRITE))
                changed |= REC_CHANGED_OWNER;
        extent_change_times(change, &inode->rec.mtime, &inode->rec.ctime);
        return rec_inode_store(t, inode, changed);
}

void extent_begin(struct extent_write *w, struct kv_txn *t)
{
        rec_inode_start(t, &w->inode_read, w->ino, REC_INODE_RECORD, 0);
        if (w->change->kill_caps)
                fs_priv_start(t, &w->priv_read, w->ino);
        /* Where a read costs a round trip, blocks are read beside the inode, before it is known which
         * exist. */
        if (w->fs->limits->remote && w->count > 0)
                extent_start_blocks(w, t, w->count);
}

int extent_load(struct extent_write *w, struct kv_txn *t, struct rec_inode *ret)
{
        int r = rec_inode_wait(t, &w->inode_read, ret);

        return r < 0 ? r : extent_check_file(ret);
}

/* How many of the blocks lie below END. */
static unsigned blocks_below(const struct extent_write *w, uint64_t end)
{
        unsigned n = w->count;

        while (n > 0 && w->blocks[n - 1].offset >= end)
                n--;
        return n;
}

int extent_finish(struct extent_write *w, struct kv_txn *t, struct rec_inode *inode)
{
        /* Beyond the last block of the old size there is nothing to read. */
        unsigned live = blocks_below(w, rec_block_up(w->fs->block_size, inode->rec.size));
        int r;

        if (fs_trim_blocks(inode, extent_end(w)))
                return FS_TRIM_FIRST;
        if (!w->blocks_started)
                extent_start_blocks(w, t, live);
        r = extent_wait_blocks(w, t, live);
        if (r < 0)
                return r;
        if (w->change->kill_caps) {
                r = fs_priv_wait_clear(t, &w->priv_read);
                if (r < 0)
                        return r;
        }
        r = extent_put_blocks(w, t, &inode->rec.allocated);
        return r < 0 ? r : extent_store_inode(t, w->change, inode, extent_end(w));
}

/* SPDX-License-Identifier: MIT */
/* Some of the blocks of a flush in a transaction. */
#include "fs/writeback/flush_part.h"
#include "fs/run.h"
#include "record/block.h"
#include "record/inode.h"

#include "fs/inode/inode.h"

#include <assert.h>
#include <stdlib.h>

size_t flush_part_max(const struct fs *fs)
{
        const size_t spare = 16384; /* the inode and what a commit adds */
        size_t plan = fs->limits->txn_plan_bytes, per_block = fs->block_size + 128;
        size_t blocks = plan > spare + per_block ? (plan - spare) / per_block : 1;

        return blocks < WRITEBACK_PART_BLOCKS ? blocks : WRITEBACK_PART_BLOCKS;
}

struct run {
        struct flush_commit *c;
        struct dirty_block **at;
        size_t count;
        flush_part_fn fn;
        void *arg;
};

static int run_body(struct kv_txn *t, void *arg)
{
        const struct run *run = arg;
        struct flush_part p;
        int r;

        p.c = run->c;
        p.arg = run->arg;
        p.at = run->at;
        p.count = (unsigned)run->count;
        p.merged = NULL;
        r = run->fn(t, &p);
        free(p.merged);
        return r;
}

int flush_part_run(struct flush_commit *c, struct dirty_block **at, size_t count, unsigned flags,
                   kv_version *version, flush_part_fn fn, void *arg)
{
        struct run run = { .c = c, .at = at, .count = count, .fn = fn, .arg = arg };
        kv_version unknown = 0;

        assert(count <= WRITEBACK_PART_BLOCKS);
        return fs_run_since(c->fs, flags | KV_RECENT, version ? version : &unknown, run_body, &run);
}

static bool is_whole(const struct flush_part *p, unsigned i)
{
        return dirty_block_solid(p->at[i]) && dirty_block_end(p->at[i]) == p->c->fs->block_size;
}

void flush_part_start(struct flush_part *p, struct kv_txn *t, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                rec_block_start(t, &p->reads[i], p->c->ino, p->at[i]->offset, is_whole(p, i) ? KV_LENGTH : 0);
}

/* The bytes of one block: what it was, with what was written over it. */
static void merge(const struct flush_part *p, unsigned i, struct slice old, uint8_t *out)
{
        const struct dirty_block *b = p->at[i];
        size_t end = dirty_block_end(b);

        if (old.len > 0)
                memcpy(out, old.data, old.len);
        if (old.len < end)
                memset(out + old.len, 0, end - old.len);
        for (unsigned k = 0; k < b->n; k++)
                memcpy(out + b->pieces[k].from, b->data + b->pieces[k].from,
                       b->pieces[k].to - b->pieces[k].from);
}

int flush_part_wait(struct flush_part *p, struct kv_txn *t, unsigned n)
{
        const struct fs *fs = p->c->fs;
        size_t merged = 0;

        for (unsigned i = 0; i < p->count; i++) {
                struct slice old = { 0 };
                int r = i < n ? rec_block_wait(t, fs->block_size, &p->reads[i], &old) : 0;

                if (r < 0)
                        return r;
                p->existed[i] = r > 0;
                p->old_len[i] = old.len;
                p->data[i] = p->at[i]->data;
                p->len[i] = dirty_block_end(p->at[i]);
                if (old.len == 0 || (dirty_block_solid(p->at[i]) && p->len[i] >= old.len))
                        continue;
                if (!p->merged)
                        p->merged = malloc((size_t)p->count * fs->block_size);
                if (!p->merged)
                        return -ENOMEM;
                merge(p, i, old, p->merged + merged);
                p->data[i] = p->merged + merged;
                if (old.len > p->len[i])
                        p->len[i] = old.len;
                merged += fs->block_size;
        }
        return 0;
}

int flush_part_put(const struct flush_part *p, struct kv_txn *t, uint64_t *allocated)
{
        for (unsigned i = 0; i < p->count; i++) {
                int r = rec_block_set(t, p->c->ino, p->at[i]->offset, p->existed[i], p->old_len[i],
                                      slice_of(p->data[i], p->len[i]), allocated);

                if (r < 0)
                        return r;
        }
        return 0;
}

uint64_t flush_part_end(const struct flush_part *p)
{
        const struct dirty_block *last = p->at[p->count - 1];

        return last->offset + dirty_block_end(last);
}

unsigned flush_part_below(const struct flush_part *p, uint64_t end)
{
        unsigned n = p->count;

        while (n > 0 && p->at[n - 1]->offset >= end)
                n--;
        return n;
}

int writeback_check_file(const struct rec_inode *inode)
{
        if (S_ISREG(inode->rec.mode))
                return 0;
        return S_ISDIR(inode->rec.mode) ? -EISDIR : -EINVAL;
}

int writeback_store_inode(struct kv_txn *t, const struct writeback_change *change, struct rec_inode *inode,
                          uint64_t end)
{
        unsigned changed = 0;

        if (end > inode->rec.size) {
                inode->rec.size = end;
                changed |= REC_CHANGED_SIZE;
        }
        if (change->kill_priv && fs_priv_kill_mode(&inode->rec.mode))
                changed |= REC_CHANGED_OWNER;
        if (change->times) {
                inode->rec.mtime = change->time;
                if (time_before(inode->rec.ctime, change->time))
                        inode->rec.ctime = change->time;
        }
        return rec_inode_store(t, inode, changed);
}

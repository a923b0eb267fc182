/* SPDX-License-Identifier: MIT */
#include "fs/writeback/part.h"
#include "fs/run.h"

#include <assert.h>

struct run {
        struct flush_part *part;
        flush_part_fn fn;
        unsigned count;
};

static int run_body(struct kv_txn *t, void *arg)
{
        const struct run *run = arg;
        struct flush_part *p = run->part;
        int r;

        extent_write_init(&p->write, p->commit->fs, p->commit->ino, EXTENT_MERGE, NULL);
        p->write.blocks = p->blocks;
        p->write.count = run->count;
        r = run->fn(t, p);
        extent_write_done(&p->write);
        return r;
}

int flush_part_run(struct flush_commit *c, struct dirty_block **at, size_t count, unsigned flags,
                   kv_version *version, flush_part_fn fn, void *arg)
{
        struct flush_part p;
        const struct run run = { .part = &p, .fn = fn, .count = (unsigned)count };
        kv_version unknown = 0;

        assert(count <= EXTENT_BLOCKS);
        p.commit = c;
        p.arg = arg;
        for (size_t i = 0; i < count; i++)
                p.blocks[i] = (struct extent_block){ .offset = at[i]->offset,
                                                     .n = at[i]->n,
                                                     .ranges = at[i]->ranges,
                                                     .data = at[i]->data + at[i]->ranges[0].from };
        return fs_run_since(c->fs, flags | KV_RECENT, version ? version : &unknown, run_body, (void *)&run);
}

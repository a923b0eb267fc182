/* SPDX-License-Identifier: MIT */
/* A batch that fits into one transaction is committed with data, size and times. A larger one is committed
 * in parallel (parallel.c). If another mount disturbs that by changing the size, the flush starts again in
 * order: one transaction after the other, each with the size up to its end. It does the same if space is
 * missing. docs/DESIGN.md has the interleavings. */
#include "fs/writeback/commit.h"
#include "fs/writeback/parallel.h"
#include "fs/writeback/part.h"

/* Up to here, transactions in parallel are no faster. */
#define TRANSACTIONS_IN_ORDER 2u

/* Writes data, size and times. */
static int write_in_order(struct kv_txn *t, struct flush_part *p)
{
        struct rec_inode inode;
        int r;

        p->write.change = &p->commit->change;
        extent_begin(&p->write, t);
        r = extent_load(&p->write, t, &inode);
        return r < 0 ? r : extent_finish(&p->write, t, &inode);
}

/* In a store that is nearly full smaller transactions may still fit: what is certain to be enough for a large
 * one is far more than it takes.
 *
 * KV_IDEMPOTENT: until a flush returns, its order relative to the work of others is open, so a transaction
 * may be committed a second time behind theirs. */
static int commit_in_order(struct flush_commit *c)
{
        size_t max = extent_max_blocks(c->fs), n = c->batch->blocks.count;

        for (size_t first = 0; first < n;) {
                size_t count = n - first < max ? n - first : max;
                int r = flush_part_run(c, c->batch->blocks.at + first, count, KV_IDEMPOTENT, NULL,
                                       write_in_order, NULL);

                if (r == -ENOSPC && count > 1) {
                        max = count / 2;
                        continue;
                }
                if (r == FS_TRIM_FIRST)
                        r = fs_trim_finish(c->fs, c->ino);
                else if (r >= 0)
                        first += count;
                if (r < 0)
                        return r;
        }
        return 0;
}

bool flush_is_small(const struct fs *fs, const struct writeback_batch *batch)
{
        return batch->blocks.count <= TRANSACTIONS_IN_ORDER * extent_max_blocks(fs);
}

int flush_commit(struct flush_commit *c)
{
        int r;

        c->contended = false;
        c->change = c->batch->change;
        if (c->in_order || flush_is_small(c->fs, c->batch))
                return commit_in_order(c);
        r = flush_commit_in_parallel(c);
        if (r != FLUSH_DISTURBED && r != -ENOSPC)
                return r;
        c->contended = r == FLUSH_DISTURBED;
        return commit_in_order(c);
}

/* SPDX-License-Identifier: MIT */
/* Committing what was dirty of one inode.
 *
 * What fits into one transaction is one, with data, size and times. More is written in parallel: the first
 * transaction announces in the record that this mount is writing beyond the size (`writer`; the blocks
 * there are dead ones for everybody else), then the blocks follow in any order, and the last transaction
 * sets size and times and takes the announcement out. So a size never covers what is not committed, and
 * whoever finds the writer gone clears what it left. Whoever has to change the size meanwhile takes the
 * announcement out; the writer notices in its next transaction, and begins again, in order: one
 * transaction after the other, each with the size up to its end. docs/DESIGN.md has the interleavings. */
#include "fs/writeback/flush_part.h"
#include "record/block.h"
#include "record/inode.h"

#include "fs/extent/extent.h"
#include "fs/inode/inode.h"

/* So many transactions are as fast one after the other. */
#define PARTS_IN_ORDER 2u

/* Data, size and times. */
static int write_in_order(struct kv_txn *t, struct flush_part *p)
{
        struct rec_inode inode;
        int r;

        p->write.change = &p->c->change;
        extent_begin(&p->write, t);
        r = extent_load(&p->write, t, &inode);
        return r < 0 ? r : extent_finish(&p->write, t, &inode);
}

/* KV_IDEMPOTENT: as long as a flush has not returned, it is in any order with whatever others do, so that
 * it may happen a second time behind them. */
static int commit_in_order(struct flush_commit *c)
{
        size_t max = extent_max_blocks(c->fs), n = c->batch->blocks.count;

        for (size_t first = 0; first < n;) {
                size_t count = n - first < max ? n - first : max;
                int r = flush_part_run(c, c->batch->blocks.at + first, count, KV_IDEMPOTENT, NULL,
                                       write_in_order, NULL);

                if (r == FS_TRIM_FIRST)
                        r = fs_trim_finish(c->fs, c->ino);
                else if (r >= 0)
                        first += count;
                if (r < 0)
                        return r;
        }
        return 0;
}

bool writeback_is_small(const struct fs *fs, const struct flush_batch *batch)
{
        return batch->blocks.count <= PARTS_IN_ORDER * extent_max_blocks(fs);
}

int flush_commit(struct fs *fs, struct pool *workers, uint64_t ino, const struct flush_batch *batch,
                 const struct writeback_feed *feed, const struct writeback_writer *writer, bool in_order,
                 bool *ret_contended)
{
        struct flush_commit c = { .fs = fs,
                                  .workers = workers,
                                  .ino = ino,
                                  .batch = batch,
                                  .feed = feed,
                                  .writer = writer,
                                  .change = batch->change };
        int r;

        *ret_contended = false;
        if (in_order || writeback_is_small(fs, batch))
                return commit_in_order(&c);
        r = flush_commit_in_parallel(&c);
        if (r != WRITEBACK_DISTURBED)
                return r;
        *ret_contended = true;
        return commit_in_order(&c);
}

/* SPDX-License-Identifier: MIT */
/* The transactions of a flush in parallel: the announcement, blocks, and steps of the size. */
#include "fs/writeback/flush_part.h"
#include "record/block.h"
#include "record/garbage.h"
#include "record/inode.h"
#include "record/session.h"

#include "fs/extent/extent.h"
#include "fs/gc/gc.h"
#include "fs/inode/inode.h"

/* ---- announcing --------------------------------------------------------------------------------- */

static bool is_ours(const struct flush_commit *c, const struct fmt_inode *rec)
{
        return rec->writing == c->writer->writing &&
               slice_eq(rec->writer, slice_of(c->writer->pid, FMT_PID_SIZE));
}

/* What an earlier write of this mount left is as good as dead. */
static bool is_of_others(const struct flush_commit *c, const struct fmt_inode *rec)
{
        return rec->writer.len > 0 && !slice_eq(rec->writer, slice_of(c->writer->pid, FMT_PID_SIZE));
}

/* A blind step that begins with this transaction does not see what others commit at the same moment behind
 * it. The record is written here, so that whoever would write it, too, conflicts; and whoever evicts the
 * mount reads its status. */
static int be_met_by_evictors(struct kv_txn *t, const struct flush_commit *c)
{
        return rec_status_disturb(t, c->writer->pid);
}

int writeback_announce(struct kv_txn *t, void *arg)
{
        struct flush_commit *c = arg;
        struct fs *fs = c->fs;
        const struct dirty_blocks *blocks = &c->batch->blocks;
        struct rec_inode_read inode_read;
        struct rec_epoch_read epoch_read;
        struct rec_allocated_read counted;
        struct fs_priv_read priv_read;
        struct rec_inode inode;
        uint64_t epoch, outside;
        int r;

        rec_inode_start(t, &inode_read, c->ino, REC_INODE_RECORD, 0);
        rec_epoch_start(t, &epoch_read);
        rec_allocated_start(t, &counted, c->ino);
        if (c->change.kill_priv)
                fs_priv_start(t, &priv_read, c->ino);
        r = rec_inode_wait(t, &inode_read, &inode);
        if (r >= 0)
                r = extent_check_file(&inode);
        if (r >= 0)
                r = rec_epoch_wait(t, &epoch_read, &epoch);
        if (r >= 0)
                r = rec_allocated_wait(t, &counted);
        if (r < 0)
                return r;
        /* A mark of 0 would mean none, so the first block always goes with the size. */
        outside = inode.rec.size > 0 ? rec_block_up(fs->block_size, inode.rec.size) : fs->block_size;
        c->inside_end = dirty_blocks_seek(blocks, rec_block_down(fs->block_size, inode.rec.size));
        c->outside_begin = dirty_blocks_seek(blocks, outside);
        c->announced = c->outside_begin < blocks->count;
        if (c->announced && inode.rec.trim_from != 0 && !is_ours(c, &inode.rec))
                return is_of_others(c, &inode.rec) ? WRITEBACK_DISTURBED : FS_TRIM_FIRST;
        if (c->change.kill_priv) {
                r = fs_priv_wait_clear(t, &priv_read);
                if (r >= 0 && fs_priv_kill_mode(&inode.rec.mode))
                        r = rec_inode_disturb(t, c->ino, FMT_ATTR_OWNER);
        }
        /* What a flush has left that did not come to its end. */
        if (r >= 0 && c->announced)
                r = rec_allocated_fold(t, &counted, &inode.rec);
        if (r >= 0 && c->announced) {
                inode.rec.trim_from = outside;
                inode.rec.writer = slice_of(c->writer->pid, FMT_PID_SIZE);
                inode.rec.writing = c->writer->writing;
                r = be_met_by_evictors(t, c);
                if (r >= 0 && inode.rec.nlink > 0)
                        r = rec_garbage_set(t, c->ino, epoch);
        }
        if (r < 0 || (!c->announced && !c->change.kill_priv))
                return r < 0 ? r : 0;
        c->was_empty = inode.rec.size == 0;
        c->record = inode.rec;
        /* Nothing that others see has changed: the change counter stays. */
        return rec_inode_store_new(t, c->ino, &inode.rec);
}

/* ---- blocks ------------------------------------------------------------------------------------- */

/* What writing depends on of the inode: that it exists, and that nobody cut it or took the announcement out.
 * The rest of the record changes with each access time. */
static int depend(struct kv_txn *t, const struct flush_commit *c)
{
        int r = rec_inode_depend(t, c->ino, FMT_ATTR_EXIST);

        return r < 0 ? r : rec_inode_depend(t, c->ino, FMT_ATTR_CUT);
}

static int load_record(struct kv_txn *t, const struct flush_commit *c, struct rec_inode *ret)
{
        return rec_inode_load(t, c->ino, REC_INODE_RECORD, KV_SNAPSHOT, ret);
}

int writeback_write_inside(struct kv_txn *t, struct flush_part *p)
{
        struct flush_commit *c = p->c;
        uint64_t end = flush_part_blocks_end(p), allocated = 0;
        struct rec_inode inode;
        int r = depend(t, c);

        if (r < 0)
                return r;
        extent_start_blocks(&p->write, t, p->write.count);
        r = load_record(t, c, &inode);
        if (r < 0)
                return r;
        if (end > inode.rec.size)
                return WRITEBACK_DISTURBED;
        r = extent_wait_blocks(&p->write, t, p->write.count);
        if (r >= 0)
                r = extent_put_blocks(&p->write, t, &allocated);
        if (r >= 0 && allocated != 0)
                r = rec_inode_add(t, c->ino, FMT_ATTR_BLOCKS, (int64_t)allocated);
        return r < 0 ? r : rec_inode_add(t, c->ino, FMT_ATTR_CHANGE, 1);
}

/* Whether the announcement still stands; and there can only be blocks of this flush, from an attempt whose
 * outcome was unknown. */
static int look_outside(struct kv_txn *t, const struct flush_part *p, uint64_t begin, uint64_t end,
                        uint64_t *ret_counted)
{
        struct rec_block_found found;
        struct rec_inode inode;
        int r = load_record(t, p->c, &inode);

        if (r < 0)
                return r;
        if (!is_ours(p->c, &inode.rec))
                return WRITEBACK_DISTURBED;
        r = rec_block_find(t, p->c->ino, begin, end, false, 0, &found);
        *ret_counted = found.allocated;
        return r;
}

/* The first attempt is blind: when it was announced, or the last transaction of this flush committed, there
 * was nothing, or somebody has disturbed it since. */
int writeback_write_outside(struct kv_txn *t, struct flush_part *p)
{
        struct flush_commit *c = p->c;
        uint64_t begin = p->blocks[0].offset, end = flush_part_blocks_end(p);
        uint64_t allocated = 0, counted = 0;
        int r = depend(t, c);

        if (r >= 0)
                r = kv_is_blind(t) ? rec_block_depend(t, c->ino, begin, end)
                                   : look_outside(t, p, begin, end, &counted);
        if (r != 0)
                return r;
        r = extent_wait_blocks(&p->write, t, 0);
        if (r >= 0)
                r = extent_put_blocks(&p->write, t, &allocated);
        if (r >= 0 && allocated != counted)
                r = rec_inode_add(t, c->ino, FMT_ATTR_BLOCKS, (int64_t)(allocated - counted));
        *(uint64_t *)p->arg = allocated;
        return r;
}

/* ---- the size ----------------------------------------------------------------------------------- */

static int withdraw(struct kv_txn *t, struct rec_inode *inode)
{
        inode->rec.trim_from = 0;
        inode->rec.writer = slice_of(NULL, 0);
        inode->rec.writing = 0;
        if (inode->rec.nlink == 0)
                return 0; /* that of an unlinked inode stays: it is still to be collected */
        return rec_garbage_clear(t, inode->ino);
}

/* A step that is run again because nobody knows what became of it may have been done. */
static bool is_done(const struct flush_commit *c, const struct writeback_step *step,
                    const struct rec_inode *inode)
{
        return !step->last && inode->rec.trim_from >= rec_block_up(c->fs->block_size, step->end);
}

/* Moves N of what is counted beside the record to it, without reading that, so that parts do not conflict. */
static int move_counted(struct kv_txn *t, struct rec_inode *inode, uint64_t n)
{
        inode->rec.allocated += n;
        return n == 0 ? 0 : rec_inode_add(t, inode->ino, FMT_ATTR_BLOCKS, -(int64_t)n);
}

#define STEP_IS_DONE 1

/* Begins a step by reading the record and the blocks of the part: 0, STEP_IS_DONE or WRITEBACK_DISTURBED. */
static int step_begin(struct kv_txn *t, struct flush_part *p, struct rec_inode *inode)
{
        struct flush_commit *c = p->c;
        struct writeback_step *step = p->arg;
        struct rec_inode_read inode_read;
        struct rec_allocated_read counted;
        struct fs_priv_read priv_read;
        int r;

        rec_inode_start(t, &inode_read, c->ino, REC_INODE_RECORD, 0);
        if (step->last)
                rec_allocated_start(t, &counted, c->ino);
        if (step->change.kill_priv)
                fs_priv_start(t, &priv_read, c->ino);
        extent_start_blocks(&p->write, t, p->write.count);
        r = rec_inode_wait(t, &inode_read, inode);
        if (r < 0)
                return r;
        if (c->announced ? !is_ours(c, &inode->rec) : fs_trim_blocks(inode, step->end))
                return WRITEBACK_DISTURBED;
        if (c->announced && is_done(c, step, inode))
                return STEP_IS_DONE;
        r = extent_wait_blocks(&p->write, t, p->write.count);
        if (r >= 0 && step->last)
                r = rec_allocated_wait(t, &counted);
        if (r >= 0 && step->change.kill_priv)
                r = fs_priv_wait_clear(t, &priv_read);
        if (r < 0)
                return r;
        if (step->last)
                return rec_allocated_fold(t, &counted, &inode->rec);
        step->surprised = inode->rec.allocated != c->record.allocated;
        return move_counted(t, inode, step->surprised ? 0 : step->allocated);
}

/* The same knowing them: the record is as this flush has left it, and there were no blocks. Who sets a
 * capability writes the record. */
static int step_begin_blind(struct kv_txn *t, struct flush_part *p, struct rec_inode *inode)
{
        struct flush_commit *c = p->c;
        struct writeback_step *step = p->arg;
        int r = rec_inode_depend_record(t, c->ino);

        if (r >= 0 && p->write.count > 0)
                r = rec_block_depend(t, c->ino, p->blocks[0].offset, flush_part_blocks_end(p));
        if (r >= 0)
                r = extent_wait_blocks(&p->write, t, 0);
        if (r < 0)
                return r;
        inode->ino = c->ino;
        inode->dir_times = false;
        inode->rec = c->record;
        step->surprised = false;
        return move_counted(t, inode, step->allocated);
}

/* What the next step starts from. */
static void keep_record(const struct flush_commit *c, const struct rec_inode *inode,
                        struct writeback_step *step)
{
        step->record = inode->rec;
        if (step->record.writer.len > 0)
                step->record.writer = slice_of(c->writer->pid, FMT_PID_SIZE); /* not where it was read */
}

int writeback_write_step(struct kv_txn *t, struct flush_part *p)
{
        struct flush_commit *c = p->c;
        struct writeback_step *step = p->arg;
        struct rec_inode inode;
        int r = kv_is_blind(t) ? step_begin_blind(t, p, &inode) : step_begin(t, p, &inode);

        if (r == STEP_IS_DONE)
                keep_record(c, &inode, step);
        if (r != 0)
                return r == STEP_IS_DONE ? 0 : r;
        r = extent_put_blocks(&p->write, t, &inode.rec.allocated);
        if (!step->last)
                inode.rec.trim_from = rec_block_up(c->fs->block_size, step->end);
        else if (r >= 0 && c->announced)
                r = withdraw(t, &inode);
        if (r >= 0)
                r = be_met_by_evictors(t, c);
        if (r >= 0)
                r = extent_store_inode(t, &step->change, &inode,
                                       c->announced || p->write.count > 0 ? step->end : 0);
        keep_record(c, &inode, step);
        return r;
}

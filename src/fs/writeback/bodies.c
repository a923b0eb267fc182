/* SPDX-License-Identifier: MIT */
#include "fs/writeback/bodies.h"
#include "record/block.h"
#include "record/garbage.h"
#include "record/inode.h"
#include "record/session.h"

#include "fs/extent/extent.h"
#include "fs/inode/inode.h"

/* ---- the intent record --------------------------------------------------------------------------- */

static bool is_ours(const struct flush_commit *c, const struct fmt_inode *rec)
{
        return rec->writing == c->writer.writing &&
               slice_eq(rec->writer, slice_of(c->writer.pid, FMT_PID_SIZE));
}

/* Blocks left by an earlier flush of this mount are dead. */
static bool is_of_others(const struct flush_commit *c, const struct fmt_inode *rec)
{
        return rec->writer.len > 0 && !slice_eq(rec->writer, slice_of(c->writer.pid, FMT_PID_SIZE));
}

/* Makes this transaction conflict with an eviction of the mount, which reads its status. A blind step that
 * begins with the version of this transaction does not see what others commit at the same version. The record
 * is written here, so writers of the record conflict anyway. */
static int conflict_with_eviction(struct kv_txn *t, const struct flush_commit *c)
{
        return rec_status_disturb(t, c->writer.pid);
}

/* Finds out which blocks lie within the size; returns the first offset behind it where blocks may be dead. */
static uint64_t locate_size(struct flush_commit *c, uint64_t size)
{
        uint32_t block_size = c->fs->block_size;
        /* A mark of 0 would mean none, so the first block is always written with the size. */
        uint64_t outside = size > 0 ? rec_block_up(block_size, size) : block_size;

        c->inside_end = dirty_blocks_seek(&c->batch->blocks, rec_block_down(block_size, size));
        c->outside_begin = dirty_blocks_seek(&c->batch->blocks, outside);
        c->intent = c->outside_begin < c->batch->blocks.count;
        return outside;
}

static int clear_privileges(struct kv_txn *t, struct fs_priv_read *read, struct rec_inode *inode)
{
        int r = fs_priv_wait_clear(t, read);

        if (r < 0 || !fs_priv_kill_mode(&inode->rec.mode, FS_PRIV_WRITE))
                return r;
        return rec_inode_disturb(t, inode->ino, FMT_ATTR_OWNER);
}

/* Marks the blocks from OUTSIDE on as dead for all but this flush. */
static int set_intent(struct kv_txn *t, const struct flush_commit *c, struct rec_inode *inode,
                      uint64_t outside, uint64_t epoch)
{
        int r;

        inode->rec.trim_from = outside;
        inode->rec.writer = slice_of(c->writer.pid, FMT_PID_SIZE);
        inode->rec.writing = c->writer.writing;
        r = conflict_with_eviction(t, c);
        if (r < 0 || inode->rec.nlink == 0)
                return r;
        return rec_garbage_set(t, c->ino, epoch);
}

int flush_write_intent(struct kv_txn *t, void *arg)
{
        struct flush_commit *c = arg;
        struct rec_inode_read inode_read;
        struct rec_epoch_read epoch_read;
        struct rec_allocated_read allocated;
        struct fs_priv_read priv_read;
        struct rec_inode inode;
        uint64_t epoch, outside;
        int r;

        rec_inode_start(t, &inode_read, c->ino, REC_INODE_RECORD, 0);
        rec_epoch_start(t, &epoch_read);
        rec_allocated_start(t, &allocated, c->ino);
        if (c->change.kill_priv)
                fs_priv_start(t, &priv_read, c->ino);
        r = rec_inode_wait(t, &inode_read, &inode);
        if (r < 0)
                return r;
        r = extent_check_file(&inode);
        if (r < 0)
                return r;
        r = rec_epoch_wait(t, &epoch_read, &epoch);
        if (r < 0)
                return r;
        r = rec_allocated_wait(t, &allocated);
        if (r < 0)
                return r;

        outside = locate_size(c, inode.rec.size);
        if (c->intent && inode.rec.trim_from != 0 && !is_ours(c, &inode.rec))
                return is_of_others(c, &inode.rec) ? FLUSH_DISTURBED : FS_TRIM_FIRST;
        if (!c->intent && !c->change.kill_priv)
                return 0;
        if (c->change.kill_priv) {
                r = clear_privileges(t, &priv_read, &inode);
                if (r < 0)
                        return r;
        }
        if (c->intent) {
                /* Counts the blocks that an incomplete flush has left. */
                r = rec_allocated_fold(t, &allocated, &inode.rec);
                if (r < 0)
                        return r;
                r = set_intent(t, c, &inode, outside, epoch);
                if (r < 0)
                        return r;
        }
        c->was_empty = inode.rec.size == 0;
        c->record = inode.rec;
        /* Nothing that other mounts see has changed: the change counter stays. */
        return rec_inode_store_new(t, c->ino, &inode.rec);
}

/* ---- parts --------------------------------------------------------------------------------------- */

/* Makes the transaction depend on two aspects of the inode: that it exists, and that it was not cut nor the
 * intent record removed. The rest of the record changes with each access time. */
static int depend(struct kv_txn *t, const struct flush_commit *c)
{
        int r = rec_inode_depend(t, c->ino, FMT_ATTR_EXIST);

        return r < 0 ? r : rec_inode_depend(t, c->ino, FMT_ATTR_CUT);
}

static int load_record(struct kv_txn *t, const struct flush_commit *c, struct rec_inode *ret)
{
        return rec_inode_load(t, c->ino, REC_INODE_RECORD, KV_SNAPSHOT, ret);
}

int flush_write_inside(struct kv_txn *t, struct flush_part *p)
{
        struct flush_commit *c = p->commit;
        uint64_t allocated = 0;
        struct rec_inode inode;
        int r = depend(t, c);

        if (r < 0)
                return r;
        extent_start_blocks(&p->write, t, p->write.count);
        r = load_record(t, c, &inode);
        if (r < 0)
                return r;
        if (flush_part_end(p) > inode.rec.size)
                return FLUSH_DISTURBED;
        r = extent_wait_blocks(&p->write, t, p->write.count);
        if (r < 0)
                return r;
        r = extent_put_blocks(&p->write, t, &allocated);
        if (r < 0)
                return r;
        if (allocated != 0) {
                r = rec_inode_add(t, c->ino, FMT_ATTR_BLOCKS, (int64_t)allocated);
                if (r < 0)
                        return r;
        }
        return rec_inode_add(t, c->ino, FMT_ATTR_CHANGE, 1);
}

/* Checks that the intent record is still there. Then blocks in the part's range can only be those of this
 * flush, of an attempt whose outcome was unknown: RET_COUNTED is what they take. */
static int look_outside(struct kv_txn *t, const struct flush_part *p, uint64_t *ret_counted)
{
        struct rec_block_found found;
        struct rec_inode inode;
        int r = load_record(t, p->commit, &inode);

        if (r < 0)
                return r;
        if (!is_ours(p->commit, &inode.rec))
                return FLUSH_DISTURBED;
        r = rec_block_find(t, p->commit->ino, flush_part_begin(p), flush_part_end(p), false, 0, &found);
        if (r < 0)
                return r;
        *ret_counted = found.allocated;
        return 0;
}

/* The first attempt is blind: it depends on there being no blocks since the version at which the intent
 * record, or the last transaction of this flush, was committed. */
int flush_write_outside(struct kv_txn *t, struct flush_part *p)
{
        struct flush_commit *c = p->commit;
        uint64_t allocated = 0, counted = 0;
        int r = depend(t, c);

        if (r < 0)
                return r;
        r = kv_is_blind(t) ? rec_block_depend(t, c->ino, flush_part_begin(p), flush_part_end(p))
                           : look_outside(t, p, &counted);
        if (r != 0)
                return r;
        r = extent_wait_blocks(&p->write, t, 0);
        if (r < 0)
                return r;
        r = extent_put_blocks(&p->write, t, &allocated);
        if (r < 0)
                return r;
        *(uint64_t *)p->arg = allocated;
        if (allocated == counted)
                return 0;
        return rec_inode_add(t, c->ino, FMT_ATTR_BLOCKS, (int64_t)(allocated - counted));
}

/* ---- steps --------------------------------------------------------------------------------------- */

/* Moves N of what is counted beside the record into it without reading the counter, so that parts do not
 * conflict.
 * */
static int move_allocated(struct kv_txn *t, struct rec_inode *inode, uint64_t n)
{
        inode->rec.allocated += n;
        return n == 0 ? 0 : rec_inode_add(t, inode->ino, FMT_ATTR_BLOCKS, -(int64_t)n);
}

static int remove_intent(struct kv_txn *t, struct rec_inode *inode)
{
        inode->rec.trim_from = 0;
        inode->rec.writer = slice_of(NULL, 0);
        inode->rec.writing = 0;
        if (inode->rec.nlink == 0)
                return 0; /* an unlinked inode is still to be collected */
        return rec_garbage_clear(t, inode->ino);
}

/* Whether the step was done by an attempt whose outcome was unknown. */
static bool is_done(const struct flush_commit *c, const struct flush_step *step,
                    const struct rec_inode *inode)
{
        return !step->last && inode->rec.trim_from >= rec_block_up(c->fs->block_size, step->end);
}

#define STEP_IS_DONE 1

/* Begins a step by reading the record and the part's blocks: 0, STEP_IS_DONE or FLUSH_DISTURBED. */
static int step_begin(struct kv_txn *t, struct flush_part *p, struct rec_inode *inode)
{
        struct flush_commit *c = p->commit;
        struct flush_step *step = p->arg;
        struct rec_inode_read inode_read;
        struct rec_allocated_read allocated;
        struct fs_priv_read priv_read;
        int r;

        rec_inode_start(t, &inode_read, c->ino, REC_INODE_RECORD, 0);
        if (step->last)
                rec_allocated_start(t, &allocated, c->ino);
        if (step->change.kill_priv)
                fs_priv_start(t, &priv_read, c->ino);
        extent_start_blocks(&p->write, t, p->write.count);
        r = rec_inode_wait(t, &inode_read, inode);
        if (r < 0)
                return r;
        if (c->intent ? !is_ours(c, &inode->rec) : fs_trim_blocks(inode, step->end))
                return FLUSH_DISTURBED;
        if (c->intent && is_done(c, step, inode))
                return STEP_IS_DONE;
        r = extent_wait_blocks(&p->write, t, p->write.count);
        if (r < 0)
                return r;
        if (step->last) {
                r = rec_allocated_wait(t, &allocated);
                if (r < 0)
                        return r;
        }
        if (step->change.kill_priv) {
                r = fs_priv_wait_clear(t, &priv_read);
                if (r < 0)
                        return r;
        }
        if (step->last)
                return rec_allocated_fold(t, &allocated, &inode->rec);
        step->moved_by_others = inode->rec.allocated != c->record.allocated;
        return move_allocated(t, inode, step->moved_by_others ? 0 : step->allocated);
}

/* Begins a step without reading: the record is as this flush left it, and the part's blocks did not exist. A
 * transaction that sets a capability writes the record. */
static int step_begin_blind(struct kv_txn *t, struct flush_part *p, struct rec_inode *inode)
{
        struct flush_commit *c = p->commit;
        struct flush_step *step = p->arg;
        int r = rec_inode_depend_record(t, c->ino);

        if (r < 0)
                return r;
        if (p->write.count > 0) {
                r = rec_block_depend(t, c->ino, flush_part_begin(p), flush_part_end(p));
                if (r < 0)
                        return r;
        }
        r = extent_wait_blocks(&p->write, t, 0);
        if (r < 0)
                return r;
        inode->ino = c->ino;
        inode->dir_times = false;
        inode->rec = c->record;
        step->moved_by_others = false;
        return move_allocated(t, inode, step->allocated);
}

/* Keeps the record for the next step. */
static void keep_record(const struct flush_commit *c, const struct rec_inode *inode, struct flush_step *step)
{
        step->record = inode->rec;
        if (step->record.writer.len > 0)
                step->record.writer = slice_of(c->writer.pid, FMT_PID_SIZE); /* not where it was read */
}

/* Writes what a step changes: the part's blocks, and the inode. */
static int step_write(struct kv_txn *t, struct flush_part *p, struct rec_inode *inode)
{
        struct flush_commit *c = p->commit;
        const struct flush_step *step = p->arg;
        int r = extent_put_blocks(&p->write, t, &inode->rec.allocated);

        if (r < 0)
                return r;
        if (!step->last) {
                inode->rec.trim_from = rec_block_up(c->fs->block_size, step->end);
        } else if (c->intent) {
                r = remove_intent(t, inode);
                if (r < 0)
                        return r;
        }
        r = conflict_with_eviction(t, c);
        if (r < 0)
                return r;
        return extent_store_inode(t, &step->change, inode, c->intent || p->write.count > 0 ? step->end : 0);
}

int flush_write_step(struct kv_txn *t, struct flush_part *p)
{
        struct rec_inode inode;
        int r = kv_is_blind(t) ? step_begin_blind(t, p, &inode) : step_begin(t, p, &inode);

        if (r == 0)
                r = step_write(t, p, &inode);
        if (r == 0 || r == STEP_IS_DONE)
                keep_record(p->commit, &inode, p->arg);
        return r == STEP_IS_DONE ? 0 : r;
}

/* The transactions of a flush in parallel: the announcement, blocks, and steps of the size. */
#include "gather_part.h"

#include "collect.h"
#include "priv.h"
#include "truncate.h"

/* ---- announcing --------------------------------------------------------------------------------- */

static bool is_ours(const struct gather_commit *c, const struct fmt_inode *rec)
{
        return rec->writing == c->writer->writing &&
               slice_eq(rec->writer, slice_of(c->writer->pid, FMT_PID_SIZE));
}

/* What an earlier write of this mount left is as good as dead. */
static bool is_of_others(const struct gather_commit *c, const struct fmt_inode *rec)
{
        return rec->writer.len > 0 && !slice_eq(rec->writer, slice_of(c->writer->pid, FMT_PID_SIZE));
}

/* What is counted beside the record of what blocks take. */
struct counted_read {
        struct fmt_key key;
        struct kv_read read;
};

static void counted_start(struct kv_txn *t, struct counted_read *r, uint64_t ino)
{
        fmt_key_attr(&r->key, ino, FMT_ATTR_BLOCKS);
        kv_get_start(t, &r->read, fmt_slice(&r->key), 0);
}

/* Takes it over into the record. The transaction writes from here on. */
static int fold_blocks(struct kv_txn *t, struct counted_read *read, struct fmt_inode *rec)
{
        struct slice value;
        int64_t n;
        int r = kv_get_wait(t, &read->read, &value);

        if (r == -ENOENT)
                return 0;
        if (r == 0)
                r = fmt_counter_decode(value, &n);
        if (r < 0)
                return r;
        rec->allocated += (uint64_t)n;
        return kv_clear(t, fmt_slice(&read->key));
}

int gather_announce(struct kv_txn *t, void *arg)
{
        struct gather_commit *c = arg;
        struct fs *fs = c->fs;
        const struct gather_blocks *blocks = &c->batch->blocks;
        struct fs_inode_read inode_read;
        struct fs_epoch_read epoch_read;
        struct counted_read counted;
        struct fs_priv_read priv_read;
        struct fs_inode inode;
        uint64_t epoch, outside;
        int r;

        fs_inode_start(fs, t, &inode_read, c->ino, FS_INODE_RECORD, 0);
        fs_epoch_start(t, &epoch_read);
        counted_start(t, &counted, c->ino);
        if (c->change.kill_priv)
                fs_priv_start(t, &priv_read, c->ino);
        r = fs_inode_wait(t, &inode_read, &inode);
        if (r >= 0)
                r = gather_check_file(&inode);
        if (r >= 0)
                r = fs_epoch_wait(t, &epoch_read, &epoch);
        if (r < 0)
                return r;
        /* A mark of 0 would mean none, so the first block always goes with the size. */
        outside = inode.rec.size > 0 ? fs_block_up(fs, inode.rec.size) : fs->block_size;
        c->inside_end = gather_blocks_seek(blocks, fs_block_down(fs, inode.rec.size));
        c->outside_begin = gather_blocks_seek(blocks, outside);
        c->announced = c->outside_begin < blocks->count;
        if (c->announced && inode.rec.trim_from != 0 && !is_ours(c, &inode.rec))
                return is_of_others(c, &inode.rec) ? GATHER_DISTURBED : FS_TRIM_FIRST;
        if (c->change.kill_priv) {
                r = fs_priv_wait_clear(t, &priv_read);
                if (r >= 0 && fs_priv_kill_mode(&inode.rec.mode))
                        r = fs_inode_disturb(t, c->ino, FMT_ATTR_OWNER);
        }
        /* What a flush has left that did not come to its end. */
        if (r >= 0 && c->announced)
                r = fold_blocks(t, &counted, &inode.rec);
        if (r >= 0 && c->announced) {
                inode.rec.trim_from = outside;
                inode.rec.writer = slice_of(c->writer->pid, FMT_PID_SIZE);
                inode.rec.writing = c->writer->writing;
                if (inode.rec.nlink > 0)
                        r = fs_garbage_set(t, c->ino, epoch);
        }
        if (r < 0 || (!c->announced && !c->change.kill_priv))
                return r < 0 ? r : 0;
        c->was_empty = inode.rec.size == 0;
        c->record = inode.rec;
        /* Nothing that others see has changed: the change counter stays. */
        return fs_inode_store_new(t, c->ino, &inode.rec);
}

/* ---- blocks ------------------------------------------------------------------------------------- */

/* What writing depends on of the inode: that it exists, and that nobody cut it or took the announcement out.
 * The rest of the record changes with each access time. */
static int depend(struct kv_txn *t, const struct gather_commit *c)
{
        int r = fs_inode_depend(t, c->ino, FMT_ATTR_EXIST);

        return r < 0 ? r : fs_inode_depend(t, c->ino, FMT_ATTR_CUT);
}

static int load_record(struct kv_txn *t, const struct gather_commit *c, struct fs_inode *ret)
{
        return fs_inode_load(c->fs, t, c->ino, FS_INODE_RECORD, KV_SNAPSHOT, ret);
}

int gather_write_inside(struct kv_txn *t, struct gather_part *p)
{
        struct gather_commit *c = p->c;
        uint64_t end = p->at[p->count - 1]->offset + c->fs->block_size, allocated = 0;
        struct fs_inode inode;
        int r = depend(t, c);

        if (r < 0)
                return r;
        gather_part_start(p, t, p->count);
        r = load_record(t, c, &inode);
        if (r < 0)
                return r;
        if (end > inode.rec.size)
                return GATHER_DISTURBED;
        r = gather_part_wait(p, t, p->count);
        if (r >= 0)
                r = gather_part_put(p, t, &allocated);
        if (r >= 0 && allocated != 0)
                r = fs_inode_add(t, c->ino, FMT_ATTR_BLOCKS, (int64_t)allocated);
        return r < 0 ? r : fs_inode_add(t, c->ino, FMT_ATTR_CHANGE, 1);
}

/* Whether the announcement still stands; and there can only be blocks of this flush, from an attempt whose
 * outcome was unknown. */
static int look_outside(struct kv_txn *t, const struct gather_part *p, uint64_t begin, uint64_t end,
                        uint64_t *ret_counted)
{
        struct fs_block_found found;
        struct fs_inode inode;
        int r = load_record(t, p->c, &inode);

        if (r < 0)
                return r;
        if (!is_ours(p->c, &inode.rec))
                return GATHER_DISTURBED;
        r = fs_block_find(t, p->c->ino, begin, end, false, 0, &found);
        *ret_counted = found.allocated;
        return r;
}

/* The first attempt is blind: when it was announced, or the last transaction of this flush committed, there
 * was nothing, or somebody has disturbed it since. */
int gather_write_outside(struct kv_txn *t, struct gather_part *p)
{
        struct gather_commit *c = p->c;
        uint64_t begin = p->at[0]->offset, end = p->at[p->count - 1]->offset + c->fs->block_size;
        uint64_t allocated = 0, counted = 0;
        int r = depend(t, c);

        if (r >= 0)
                r = kv_is_blind(t) ? fs_block_depend(t, c->ino, begin, end)
                                   : look_outside(t, p, begin, end, &counted);
        if (r != 0)
                return r;
        r = gather_part_wait(p, t, 0);
        if (r >= 0)
                r = gather_part_put(p, t, &allocated);
        if (r >= 0 && allocated != counted)
                r = fs_inode_add(t, c->ino, FMT_ATTR_BLOCKS, (int64_t)(allocated - counted));
        *(uint64_t *)p->arg = allocated;
        return r;
}

/* ---- the size ----------------------------------------------------------------------------------- */

static int withdraw(struct kv_txn *t, struct fs_inode *inode)
{
        struct fmt_key garbage;

        inode->rec.trim_from = 0;
        inode->rec.writer = slice_of(NULL, 0);
        inode->rec.writing = 0;
        if (inode->rec.nlink == 0)
                return 0; /* that of an unlinked inode stays: it is still to be collected */
        fmt_key_garbage(&garbage, inode->ino);
        return kv_clear(t, fmt_slice(&garbage));
}

/* The record, as it is or is known to be, and the blocks of the part. */
static int step_begin(struct kv_txn *t, struct gather_part *p, struct fs_inode *inode)
{
        struct gather_commit *c = p->c;
        const struct gather_step *step = p->arg;
        struct fs_inode_read inode_read;
        struct counted_read counted;
        int r;

        fs_inode_start(c->fs, t, &inode_read, c->ino, FS_INODE_RECORD, 0);
        if (step->last)
                counted_start(t, &counted, c->ino);
        gather_part_start(p, t, p->count);
        r = fs_inode_wait(t, &inode_read, inode);
        if (r < 0)
                return r;
        if (c->announced ? !is_ours(c, &inode->rec) : fs_trim_blocks(inode, step->end))
                return GATHER_DISTURBED;
        r = gather_part_wait(p, t, p->count);
        return r >= 0 && step->last ? fold_blocks(t, &counted, &inode->rec) : r;
}

static int step_begin_blind(struct kv_txn *t, struct gather_part *p, struct fs_inode *inode)
{
        struct gather_commit *c = p->c;
        const struct gather_step *step = p->arg;
        int r = fs_inode_depend_record(t, c->ino);

        if (r >= 0 && p->count > 0)
                r = fs_block_depend(t, c->ino, p->at[0]->offset,
                                    p->at[p->count - 1]->offset + c->fs->block_size);
        if (r >= 0)
                r = gather_part_wait(p, t, 0);
        if (r < 0)
                return r;
        inode->ino = c->ino;
        inode->dir_times = false;
        inode->rec = c->record;
        if (!step->last)
                return 0;
        inode->rec.allocated += step->allocated;
        return fs_inode_add(t, c->ino, FMT_ATTR_BLOCKS, -(int64_t)step->allocated);
}

int gather_write_step(struct kv_txn *t, struct gather_part *p)
{
        struct gather_commit *c = p->c;
        struct gather_step *step = p->arg;
        struct fs_inode inode;
        int r = kv_is_blind(t) ? step_begin_blind(t, p, &inode) : step_begin(t, p, &inode);

        if (r != 0)
                return r;
        r = gather_part_put(p, t, &inode.rec.allocated);
        if (!step->last)
                inode.rec.trim_from = fs_block_up(c->fs, step->end);
        else if (r >= 0 && c->announced)
                r = withdraw(t, &inode);
        if (r >= 0)
                r = gather_store_inode(t, &step->change, &inode,
                                       c->announced || p->count > 0 ? step->end : 0);
        step->record = inode.rec;
        if (!step->last)
                step->record.writer = slice_of(c->writer->pid, FMT_PID_SIZE); /* not where it was read */
        return r;
}

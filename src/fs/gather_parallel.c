/* Committing in parallel: first the announcement, then the blocks in any order, at last size and times.
 * gather_commit.c says how that fits, docs/DESIGN.md has the interleavings. */
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

static int announce_body(struct kv_txn *t, void *arg)
{
        struct gather_commit *c = arg;
        struct fs *fs = c->fs;
        const struct gather_blocks *blocks = &c->batch->blocks;
        struct fs_inode_read inode_read;
        struct fs_epoch_read epoch_read;
        struct fs_priv_read priv_read;
        struct fs_inode inode;
        uint64_t epoch, outside;
        int r;

        fs_inode_start(fs, t, &inode_read, c->ino, FS_INODE_RECORD, 0);
        fs_epoch_start(t, &epoch_read);
        if (c->batch->kill_priv)
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
        if (c->batch->kill_priv) {
                r = fs_priv_wait_clear(t, &priv_read);
                if (r >= 0 && fs_priv_kill_mode(&inode.rec.mode))
                        r = fs_inode_disturb(t, c->ino, FMT_ATTR_OWNER);
        }
        if (r >= 0 && c->announced) {
                inode.rec.trim_from = outside;
                inode.rec.writer = slice_of(c->writer->pid, FMT_PID_SIZE);
                inode.rec.writing = c->writer->writing;
                if (inode.rec.nlink > 0)
                        r = fs_garbage_set(t, c->ino, epoch);
        }
        if (r < 0 || (!c->announced && !c->batch->kill_priv))
                return r < 0 ? r : 0;
        /* Nothing that others see has changed: the change counter stays. */
        return fs_inode_store_new(t, c->ino, &inode.rec);
}

/* ---- blocks ------------------------------------------------------------------------------------- */

/* The parts, first those inside, then those outside. */
struct parts {
        struct gather_commit *c;
        size_t max, inside, outside; /* parts of each */
};

/* Whether the blocks may still be written where they are. */
static bool undisturbed(const struct gather_part *p, bool inside, const struct fs_inode *inode)
{
        if (!inside)
                return is_ours(p->c, &inode->rec);
        return p->at[p->count - 1]->offset + p->c->fs->block_size <= inode->rec.size;
}

/* Outside there can only be blocks of this write, from an attempt whose outcome was unknown. */
static int find_own(struct kv_txn *t, const struct gather_part *p, uint64_t *allocated)
{
        uint64_t end = p->at[p->count - 1]->offset + p->c->fs->block_size;
        struct fs_block_found found;
        int r = fs_block_find(t, p->c->ino, p->at[0]->offset, end, false, 0, &found);

        if (r >= 0)
                *allocated -= found.allocated;
        return r;
}

static int write_some(struct kv_txn *t, struct gather_part *p, bool inside)
{
        struct gather_commit *c = p->c;
        struct fs_inode_read inode_read;
        struct fs_inode inode;
        uint64_t allocated = 0;
        int r;

        /* The record changes with each access time; what matters is that the inode exists, and that its
         * blocks were not cut. */
        fs_inode_start(c->fs, t, &inode_read, c->ino, FS_INODE_RECORD, KV_SNAPSHOT);
        r = fs_inode_depend(t, c->ino, FMT_ATTR_EXIST);
        if (r >= 0)
                r = fs_inode_depend(t, c->ino, FMT_ATTR_CUT);
        if (r < 0)
                return r;
        if (inside)
                gather_part_start(p, t, p->count);
        else
                r = find_own(t, p, &allocated);
        if (r >= 0)
                r = fs_inode_wait(t, &inode_read, &inode);
        if (r < 0)
                return r;
        if (!undisturbed(p, inside, &inode))
                return GATHER_DISTURBED;
        r = gather_part_wait(p, t, inside ? p->count : 0);
        if (r >= 0)
                r = gather_part_put(p, t, &allocated);
        if (r >= 0 && allocated != 0)
                r = fs_inode_add(t, c->ino, FMT_ATTR_BLOCKS, (int64_t)allocated);
        if (r >= 0 && inside)
                r = fs_inode_add(t, c->ino, FMT_ATTR_CHANGE, 1);
        return r;
}

static int write_inside(struct kv_txn *t, struct gather_part *p)
{
        return write_some(t, p, true);
}

static int write_outside(struct kv_txn *t, struct gather_part *p)
{
        return write_some(t, p, false);
}

/* The outcome of one of the parts, so that one that was disturbed stops the others. */
#define PART_DISTURBED (-ERR_RETRY)

static int write_part(void *arg, size_t i)
{
        const struct parts *parts = arg;
        struct gather_commit *c = parts->c;
        bool inside = i < parts->inside;
        size_t first = inside ? i * parts->max : c->outside_begin + (i - parts->inside) * parts->max;
        size_t end = inside ? c->inside_end : c->batch->blocks.count;
        int r = gather_part_run(c, first, end - first < parts->max ? end - first : parts->max, KV_IDEMPOTENT,
                                inside ? write_inside : write_outside);

        return r == GATHER_DISTURBED ? PART_DISTURBED : r;
}

static int write_parts(struct gather_commit *c)
{
        struct parts parts = { .c = c, .max = gather_part_max(c->fs) };

        parts.inside = (c->inside_end + parts.max - 1) / parts.max;
        parts.outside = (c->batch->blocks.count - c->outside_begin + parts.max - 1) / parts.max;
        return fs_workers_each(c->workers, parts.inside + parts.outside, write_part, &parts);
}

/* ---- the end ------------------------------------------------------------------------------------ */

/* Takes over into the record what was added to `allocated` beside it. */
static int fold_blocks(struct kv_txn *t, struct kv_read *read, const struct fmt_key *key,
                       struct fmt_inode *rec)
{
        struct slice value;
        int64_t n;
        int r = kv_get_wait(t, read, &value);

        if (r == -ENOENT)
                return 0;
        if (r == 0)
                r = fmt_counter_decode(value, &n);
        if (r < 0)
                return r;
        rec->allocated += (uint64_t)n;
        return kv_clear(t, fmt_slice(key));
}

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

/* With the block in which the old end lies, if it was written. */
static int finish(struct kv_txn *t, struct gather_part *p)
{
        struct gather_commit *c = p->c;
        uint64_t end = gather_blocks_end(&c->batch->blocks);
        struct fs_inode_read inode_read;
        struct kv_read blocks_read;
        struct fmt_key blocks_key;
        struct fs_inode inode;
        int r;

        fs_inode_start(c->fs, t, &inode_read, c->ino, FS_INODE_RECORD, 0);
        fmt_key_attr(&blocks_key, c->ino, FMT_ATTR_BLOCKS);
        kv_get_start(t, &blocks_read, fmt_slice(&blocks_key), 0);
        gather_part_start(p, t, p->count);
        r = fs_inode_wait(t, &inode_read, &inode);
        if (r < 0)
                return r;
        if (c->announced ? !is_ours(c, &inode.rec) : fs_trim_blocks(&inode, end))
                return GATHER_DISTURBED;
        r = gather_part_wait(p, t, p->count);
        if (r >= 0)
                r = fold_blocks(t, &blocks_read, &blocks_key, &inode.rec);
        if (r >= 0)
                r = gather_part_put(p, t, &inode.rec.allocated);
        if (r >= 0 && c->announced)
                r = withdraw(t, &inode);
        return r < 0 ? r : gather_store_inode(t, c, &inode, c->announced || p->count > 0 ? end : 0);
}

int gather_commit_in_parallel(struct gather_commit *c)
{
        int r;

        while ((r = fs_run_maybe_write(c->fs, KV_IDEMPOTENT, announce_body, c)) == FS_TRIM_FIRST) {
                r = fs_trim_finish(c->fs, c->ino);
                if (r < 0)
                        return r;
        }
        if (r != 0)
                return r;
        r = write_parts(c);
        if (r >= 0)
                r = gather_part_run(c, c->inside_end, c->outside_begin - c->inside_end, 0, finish);
        if (r == PART_DISTURBED)
                r = GATHER_DISTURBED;
        /* What is left of an announcement would stand in the way until the session ends. */
        if (r < 0 && c->announced)
                (void)fs_trim_finish(c->fs, c->ino);
        return r;
}

/* Committing what was gathered of one inode.
 *
 * What fits into one transaction is one, with data, size and times. More is written in parallel: the first
 * transaction announces in the record that this mount is writing beyond the size (`writer`; the blocks
 * there are dead ones for everybody else), then the blocks follow in any order, and the last transaction
 * sets size and times and takes the announcement out. So a size never covers what is not committed, and
 * whoever finds the writer gone clears what it left. Whoever has to change the size meanwhile takes the
 * announcement out; the writer notices in its next transaction, and begins again, in order: one
 * transaction after the other, each with the size up to its end. docs/DESIGN.md has the interleavings. */
#include "block.h"
#include "cleanup.h"
#include "collect.h"
#include "gather_priv.h"
#include "priv.h"
#include "truncate.h"

#include <assert.h>

/* Blocks in one transaction at most. */
#define PART_BLOCKS 80u

/* So many transactions are as fast one after the other. */
#define PARTS_IN_ORDER 2u

/* What a body returns that found the announcement gone, or blocks beyond the size. */
#define DISTURBED 2

struct commit {
        struct fs *fs;
        struct fs_workers *workers;
        uint64_t ino;
        const struct gather_batch *batch;
        const struct gather_writer *writer;
        /* Found by the first transaction of those in parallel. */
        uint64_t size;  /* of the file */
        bool announced;
        /* Blocks within the size, and from the first block behind it on; what is between, the block with the
         * end, goes with the last one. */
        size_t inside_end, outside_begin;
};

static uint64_t batch_end(const struct gather_batch *b)
{
        return gather_blocks_end(&b->blocks);
}

/* ---- some of the blocks in a transaction --------------------------------------------------------- */

struct part {
        struct commit *c;
        struct gather_block **at;
        unsigned count;
        struct fs_block_read reads[PART_BLOCKS];
        bool existed[PART_BLOCKS];
        size_t old_len[PART_BLOCKS];
        uint8_t *merged;             /* room for those that are put together with their old bytes */
        const uint8_t *data[PART_BLOCKS];
        size_t len[PART_BLOCKS];
};

static void part_init(struct part *p, struct commit *c, size_t first, size_t count)
{
        assert(count <= PART_BLOCKS);
        p->c = c;
        p->at = c->batch->blocks.at + first;
        p->count = (unsigned)count;
        p->merged = NULL;
}

static bool is_whole(const struct part *p, unsigned i)
{
        return gather_block_solid(p->at[i]) && gather_block_end(p->at[i]) == p->c->fs->block_size;
}

/* Starts reading the first N blocks as they are in the store. */
static void part_start(struct part *p, struct kv_txn *t, unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                fs_block_start(t, &p->reads[i], p->c->ino, p->at[i]->offset, is_whole(p, i) ? KV_LENGTH : 0);
}

/* The bytes of one block: what it was, with what was written over it. */
static void merge(const struct part *p, unsigned i, struct slice old, uint8_t *out)
{
        const struct gather_block *b = p->at[i];
        size_t end = gather_block_end(b);

        if (old.len > 0)
                memcpy(out, old.data, old.len);
        if (old.len < end)
                memset(out + old.len, 0, end - old.len);
        for (unsigned k = 0; k < b->n; k++)
                memcpy(out + b->pieces[k].from, b->data + b->pieces[k].from,
                       b->pieces[k].to - b->pieces[k].from);
}

/* Waits for the first N, of which the other blocks have nothing in the store. What was read is gone when the
 * transaction writes, so this puts together what is to be written. */
static int part_wait(struct part *p, struct kv_txn *t, unsigned n)
{
        const struct fs *fs = p->c->fs;
        size_t merged = 0;

        for (unsigned i = 0; i < p->count; i++) {
                struct slice old = { 0 };
                int r = i < n ? fs_block_wait(fs, t, &p->reads[i], &old) : 0;

                if (r < 0)
                        return r;
                p->existed[i] = r > 0;
                p->old_len[i] = old.len;
                p->data[i] = p->at[i]->data;
                p->len[i] = gather_block_end(p->at[i]);
                if (old.len == 0 || (gather_block_solid(p->at[i]) && p->len[i] >= old.len))
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

static int part_put(const struct part *p, struct kv_txn *t, uint64_t *allocated)
{
        for (unsigned i = 0; i < p->count; i++) {
                int r = fs_block_set(t, p->c->ino, p->at[i]->offset, p->existed[i], p->old_len[i],
                                     slice_of(p->data[i], p->len[i]), allocated);

                if (r < 0)
                        return r;
        }
        return 0;
}

static uint64_t part_end(const struct part *p)
{
        const struct gather_block *last = p->at[p->count - 1];

        return last->offset + gather_block_end(last);
}

/* How many of the blocks lie below END. */
static unsigned part_below(const struct part *p, uint64_t end)
{
        unsigned n = p->count;

        while (n > 0 && p->at[n - 1]->offset >= end)
                n--;
        return n;
}

static size_t part_max(const struct fs *fs)
{
        const size_t spare = 16384; /* the inode and what a commit adds */
        size_t plan = fs->limits->txn_plan_bytes, per_block = fs->block_size + 128;
        size_t blocks = plan > spare + per_block ? (plan - spare) / per_block : 1;

        return blocks < PART_BLOCKS ? blocks : PART_BLOCKS;
}

static int check_file(const struct fs_inode *inode)
{
        if (S_ISREG(inode->rec.mode))
                return 0;
        return S_ISDIR(inode->rec.mode) ? -EISDIR : -EINVAL;
}

/* Puts size, times and privileges into the record, as they are when [.., END) is written. */
static int store_inode(struct kv_txn *t, const struct commit *c, struct fs_inode *inode, uint64_t end)
{
        unsigned changed = 0;

        if (end > inode->rec.size) {
                inode->rec.size = end;
                changed |= FS_CHANGED_SIZE;
        }
        if (c->batch->kill_priv && fs_priv_kill_mode(&inode->rec.mode))
                changed |= FS_CHANGED_OWNER;
        if (c->batch->times) {
                inode->rec.mtime = c->batch->time;
                if (fs_time_before(inode->rec.ctime, c->batch->time))
                        inode->rec.ctime = c->batch->time;
        }
        return fs_inode_store(t, inode, changed);
}

/* ---- in order: data, size and times in each transaction ------------------------------------------ */

struct step {
        struct commit *c;
        size_t first, count;
};

static int step_in(struct kv_txn *t, struct step *s, struct part *p)
{
        struct commit *c = s->c;
        struct fs_inode_read inode_read;
        struct fs_priv_read priv_read;
        struct fs_inode inode;
        /* Where a read costs a round trip, blocks are read beside the inode, before it is known which
         * exist. */
        bool ahead = c->fs->limits->remote;
        unsigned live;
        int r;

        fs_inode_start(c->fs, t, &inode_read, c->ino, FS_INODE_RECORD, 0);
        if (c->batch->kill_priv)
                fs_priv_start(t, &priv_read, c->ino);
        if (ahead)
                part_start(p, t, p->count);
        r = fs_inode_wait(t, &inode_read, &inode);
        if (r >= 0)
                r = check_file(&inode);
        if (r < 0)
                return r;
        if (fs_trim_blocks(&inode, part_end(p)))
                return FS_TRIM_FIRST;
        live = part_below(p, fs_block_up(c->fs, inode.rec.size));
        if (!ahead)
                part_start(p, t, live);
        r = part_wait(p, t, live);
        if (r >= 0 && c->batch->kill_priv)
                r = fs_priv_wait_clear(t, &priv_read);
        if (r >= 0)
                r = part_put(p, t, &inode.rec.allocated);
        return r < 0 ? r : store_inode(t, c, &inode, part_end(p));
}

static int step_body(struct kv_txn *t, void *arg)
{
        struct step *s = arg;
        struct part p;
        int r;

        part_init(&p, s->c, s->first, s->count);
        r = step_in(t, s, &p);
        free(p.merged);
        return r;
}

/* KV_IDEMPOTENT: as long as a flush has not returned, it is in any order with whatever others do, so that
 * it may happen a second time behind them. */
static int commit_in_order(struct commit *c)
{
        size_t max = part_max(c->fs), n = c->batch->blocks.count;

        for (size_t first = 0; first < n;) {
                struct step s = { .c = c, .first = first, .count = n - first < max ? n - first : max };
                int r = fs_run_write(c->fs, KV_IDEMPOTENT, step_body, &s);

                if (r == FS_TRIM_FIRST)
                        r = fs_trim_finish(c->fs, c->ino);
                else if (r >= 0)
                        first += s.count;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- in parallel: announcing ---------------------------------------------------------------------- */

static bool is_ours(const struct commit *c, const struct fmt_inode *rec)
{
        return rec->writing == c->writer->writing &&
               slice_eq(rec->writer, slice_of(c->writer->pid, FMT_PID_SIZE));
}

/* What an earlier write of this mount left is as good as dead. */
static bool is_of_others(const struct commit *c, const struct fmt_inode *rec)
{
        return rec->writer.len > 0 && !slice_eq(rec->writer, slice_of(c->writer->pid, FMT_PID_SIZE));
}

static int announce_body(struct kv_txn *t, void *arg)
{
        struct commit *c = arg;
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
                r = check_file(&inode);
        if (r >= 0)
                r = fs_epoch_wait(t, &epoch_read, &epoch);
        if (r < 0)
                return r;
        /* A mark of 0 would mean none, so the first block always goes with the size. */
        outside = inode.rec.size > 0 ? fs_block_up(fs, inode.rec.size) : fs->block_size;
        c->size = inode.rec.size;
        c->inside_end = gather_blocks_seek(blocks, fs_block_down(fs, inode.rec.size));
        c->outside_begin = gather_blocks_seek(blocks, outside);
        c->announced = c->outside_begin < blocks->count;
        if (c->announced && inode.rec.trim_from != 0 && !is_ours(c, &inode.rec))
                return is_of_others(c, &inode.rec) ? DISTURBED : FS_TRIM_FIRST;
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

/* ---- in parallel: blocks --------------------------------------------------------------------------- */

/* The parts, first those inside, then those outside. */
struct parts {
        struct commit *c;
        size_t max, inside, outside; /* parts of each */
};

struct write {
        struct commit *c;
        size_t first, count;
        bool inside;
};

/* Whether the blocks may still be written where they are. */
static bool undisturbed(const struct write *w, const struct part *p, const struct fs_inode *inode)
{
        const struct commit *c = w->c;

        if (!w->inside)
                return is_ours(c, &inode->rec);
        return p->at[p->count - 1]->offset + c->fs->block_size <= inode->rec.size;
}

/* Outside there can only be blocks of this write, from an attempt whose outcome was unknown. */
static int find_own(struct kv_txn *t, const struct part *p, uint64_t *allocated)
{
        uint64_t end = p->at[p->count - 1]->offset + p->c->fs->block_size;
        struct fs_block_found found;
        int r = fs_block_find(t, p->c->ino, p->at[0]->offset, end, false, 0, &found);

        if (r >= 0)
                *allocated -= found.allocated;
        return r;
}

static int write_in(struct kv_txn *t, struct write *w, struct part *p)
{
        struct commit *c = w->c;
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
        if (w->inside)
                part_start(p, t, p->count);
        else
                r = find_own(t, p, &allocated);
        if (r >= 0)
                r = fs_inode_wait(t, &inode_read, &inode);
        if (r < 0)
                return r;
        if (!undisturbed(w, p, &inode))
                return DISTURBED;
        r = part_wait(p, t, w->inside ? p->count : 0);
        if (r >= 0)
                r = part_put(p, t, &allocated);
        if (r >= 0 && allocated != 0)
                r = fs_inode_add(t, c->ino, FMT_ATTR_BLOCKS, (int64_t)allocated);
        if (r >= 0 && w->inside)
                r = fs_inode_add(t, c->ino, FMT_ATTR_CHANGE, 1);
        return r;
}

static int write_body(struct kv_txn *t, void *arg)
{
        struct write *w = arg;
        struct part p;
        int r;

        part_init(&p, w->c, w->first, w->count);
        r = write_in(t, w, &p);
        free(p.merged);
        return r;
}

/* The outcome of one of the parts, so that one that was disturbed stops the others. */
#define PART_DISTURBED (-ERR_RETRY)

static int write_part(void *arg, size_t i)
{
        const struct parts *parts = arg;
        struct commit *c = parts->c;
        struct write w = { .c = c, .inside = i < parts->inside };
        size_t end = w.inside ? c->inside_end : c->batch->blocks.count;
        int r;

        w.first = w.inside ? i * parts->max : c->outside_begin + (i - parts->inside) * parts->max;
        w.count = end - w.first < parts->max ? end - w.first : parts->max;
        r = fs_run_write(c->fs, KV_IDEMPOTENT, write_body, &w);
        return r == DISTURBED ? PART_DISTURBED : r;
}

static int write_parts(struct commit *c)
{
        struct parts parts = { .c = c, .max = part_max(c->fs) };

        parts.inside = (c->inside_end + parts.max - 1) / parts.max;
        parts.outside = (c->batch->blocks.count - c->outside_begin + parts.max - 1) / parts.max;
        return fs_workers_each(c->workers, parts.inside + parts.outside, write_part, &parts);
}

/* ---- in parallel: the end -------------------------------------------------------------------------- */

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

static int finish_in(struct kv_txn *t, struct commit *c, struct part *p)
{
        struct fs_inode_read inode_read;
        struct kv_read blocks_read;
        struct fmt_key blocks_key;
        struct fs_inode inode;
        int r;

        fs_inode_start(c->fs, t, &inode_read, c->ino, FS_INODE_RECORD, 0);
        fmt_key_attr(&blocks_key, c->ino, FMT_ATTR_BLOCKS);
        kv_get_start(t, &blocks_read, fmt_slice(&blocks_key), 0);
        part_start(p, t, p->count);
        r = fs_inode_wait(t, &inode_read, &inode);
        if (r < 0)
                return r;
        if (c->announced ? !is_ours(c, &inode.rec) : fs_trim_blocks(&inode, batch_end(c->batch)))
                return DISTURBED;
        r = part_wait(p, t, p->count);
        if (r >= 0)
                r = fold_blocks(t, &blocks_read, &blocks_key, &inode.rec);
        if (r >= 0)
                r = part_put(p, t, &inode.rec.allocated);
        if (r >= 0 && c->announced)
                r = withdraw(t, &inode);
        return r < 0 ? r : store_inode(t, c, &inode, c->announced || p->count > 0 ? batch_end(c->batch) : 0);
}

static int finish_body(struct kv_txn *t, void *arg)
{
        struct commit *c = arg;
        struct part p;
        int r;

        part_init(&p, c, c->inside_end, c->outside_begin - c->inside_end);
        r = finish_in(t, c, &p);
        free(p.merged);
        return r;
}

/* 0, DISTURBED or an error. */
static int commit_in_parallel(struct commit *c)
{
        int r;

        while ((r = fs_run_write(c->fs, KV_IDEMPOTENT, announce_body, c)) == FS_TRIM_FIRST) {
                r = fs_trim_finish(c->fs, c->ino);
                if (r < 0)
                        return r;
        }
        if (r != 0)
                return r;
        r = write_parts(c);
        if (r >= 0)
                r = fs_run_write(c->fs, 0, finish_body, c);
        if (r == PART_DISTURBED)
                r = DISTURBED;
        /* What is left of an announcement would stand in the way until the session ends. */
        if (r < 0 && c->announced)
                (void)fs_trim_finish(c->fs, c->ino);
        return r;
}

bool fs_gather_is_small(const struct fs *fs, const struct gather_batch *batch)
{
        return batch->blocks.count <= PARTS_IN_ORDER * part_max(fs);
}

int fs_gather_commit(struct fs *fs, struct fs_workers *workers, uint64_t ino,
                     const struct gather_batch *batch, const struct gather_writer *writer, bool in_order,
                     bool *ret_contended)
{
        struct commit c = { .fs = fs, .workers = workers, .ino = ino, .batch = batch, .writer = writer };
        int r;

        *ret_contended = false;
        if (in_order || fs_gather_is_small(fs, batch))
                return commit_in_order(&c);
        r = commit_in_parallel(&c);
        if (r != DISTURBED)
                return r;
        *ret_contended = true;
        return commit_in_order(&c);
}

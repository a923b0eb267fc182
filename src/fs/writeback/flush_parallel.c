/* SPDX-License-Identifier: MIT */
/* Committing in parallel: first the announcement, then the blocks in any order, and the size behind them.
 * flush_commit.c says how that fits, docs/DESIGN.md has the interleavings.
 *
 * Each of some threads takes what comes next of the batch as a piece, commits it, and takes another one. When
 * enough of the batch is committed from its beginning on, one of them lets the size follow (a step), so that
 * this memory is free for what is written meanwhile, and the flush goes on. */
#include "fs/run.h"
#include "fs/writeback/flush_part.h"

#include "fs/extent/extent.h"

#include <stdlib.h>

/* Transactions in flight. */
#define THREADS 8u

/* Blocks of the batch that one transaction commits. */
struct piece {
        struct piece *next;
        bool inside, done;
        uint64_t allocated; /* if it is not inside */
        size_t count;
        struct dirty_block *at[EXTENT_BLOCKS];
};

struct flush {
        struct flush_commit *c;
        pthread_mutex_t lock;        /* protects what follows, and the batch */
        struct piece *first, **last; /* what was begun and no step has passed, in order */
        size_t begun;                /* blocks of the batch in pieces; counts the one with the old end */
        uint64_t counted;            /* what pieces that no step has passed take, beside the record */
        bool unsure;                 /* that it is so much */
        bool stepping;
        bool closed; /* takes nothing more */
        int result;
        kv_version version; /* the last one at which it was undisturbed */
};

/* The outcome of a piece or step that was disturbed stops the others. */
static int outcome(int r)
{
        return r == WRITEBACK_DISTURBED ? -ERR_RETRY : r;
}

/* ---- pieces ------------------------------------------------------------------------------------- */

/* Under the lock. */
static bool get_more(struct flush *f)
{
        struct flush_commit *c = f->c;

        if (f->closed || !c->announced || pool_has_queued(c->workers) || !c->feed->more(c->feed->entry))
                return false;
        c->change = c->batch->change;
        return true;
}

/* Under the lock: the next piece; NULL: there is none. */
static struct piece *begin_piece(struct flush *f)
{
        const struct flush_commit *c = f->c;
        const struct dirty_blocks *blocks = &c->batch->blocks;
        size_t max = extent_max_blocks(c->fs), end;
        struct piece *p;

        if (f->begun == c->inside_end)
                f->begun = c->outside_begin;
        if (f->begun == blocks->count && !get_more(f))
                return NULL;
        p = malloc(sizeof(*p));
        if (!p) {
                f->result = -ENOMEM;
                return NULL;
        }
        p->next = NULL;
        p->inside = f->begun < c->inside_end;
        p->done = false;
        end = p->inside ? c->inside_end : blocks->count;
        p->count = end - f->begun < max ? end - f->begun : max;
        memcpy(p->at, blocks->at + f->begun, p->count * sizeof(p->at[0]));
        f->begun += p->count;
        *f->last = p;
        f->last = &p->next;
        f->unsure |= p->inside; /* what those take is not known if they had to run again */
        return p;
}

/* Under the lock, which is released meanwhile. */
static void commit_piece(struct flush *f, struct piece *p)
{
        kv_version version = f->version;
        int r;

        pthread_mutex_unlock(&f->lock);
        if (p->inside)
                r = flush_part_run(f->c, p->at, p->count, KV_IDEMPOTENT, NULL, writeback_write_inside, NULL);
        else
                r = flush_part_run(f->c, p->at, p->count, KV_IDEMPOTENT | KV_BEFORE, &version,
                                   writeback_write_outside, &p->allocated);
        pthread_mutex_lock(&f->lock);
        if (r != 0 && f->result == 0)
                f->result = outcome(r);
        p->done = true;
        if (!p->inside)
                f->counted += p->allocated;
        if (version > f->version)
                f->version = version;
}

/* The first N blocks of the batch are done with. */
static void free_pieces(struct flush *f, size_t n)
{
        size_t passed = 0;

        while (f->first && passed < n) {
                struct piece *p = f->first;

                passed += p->count;
                f->first = p->next;
                free(p);
        }
        if (!f->first)
                f->last = &f->first;
}

/* ---- steps -------------------------------------------------------------------------------------- */

/* Under the lock: how many blocks are committed from the beginning of the batch on, and in RET_ALLOCATED what
 * they take. The block with the old end counts, if others behind it do: the step writes it. */
static size_t committed(const struct flush *f, uint64_t *ret_allocated)
{
        const struct flush_commit *c = f->c;
        size_t n = 0;

        *ret_allocated = 0;
        for (const struct piece *p = f->first; p && p->done; p = p->next) {
                if (!p->inside) {
                        *ret_allocated += p->allocated;
                        if (n < c->outside_begin)
                                n = c->outside_begin;
                }
                n += p->count;
        }
        return n;
}

/* Commits STEP with the N blocks at MIDDLE, which lie where the old end was. */
static int run_step(struct flush_commit *c, struct dirty_block **middle, size_t n,
                    struct writeback_step *step, bool may_be_blind)
{
        kv_version version = may_be_blind && (n == 0 || c->was_empty) ? c->record_at : 0;
        int r = flush_part_run(c, middle, n, step->last ? 0 : KV_IDEMPOTENT, &version, writeback_write_step,
                               step);

        if (r == 0) {
                c->record = step->record;
                c->record_at = version;
        }
        return outcome(r);
}

/* Under the lock, which is released meanwhile: lets the size follow over the first N blocks. */
static void take_step(struct flush *f, size_t n, uint64_t allocated)
{
        struct flush_commit *c = f->c;
        struct dirty_block *middle = NULL, *last = c->batch->blocks.at[n - 1];
        struct writeback_step step = { .end = last->offset + dirty_block_end(last),
                                       .change = c->change,
                                       .allocated = f->unsure ? 0 : allocated };
        size_t n_middle = c->outside_begin - c->inside_end;
        int r;

        if (n_middle > 0)
                middle = c->batch->blocks.at[c->inside_end];
        f->stepping = true;
        pthread_mutex_unlock(&f->lock);
        r = run_step(c, &middle, n_middle, &step, true);
        pthread_mutex_lock(&f->lock);
        f->stepping = false;
        if (r < 0) {
                if (f->result == 0)
                        f->result = r;
                return;
        }
        f->unsure |= step.surprised;
        f->counted -= allocated;
        free_pieces(f, n - n_middle);
        c->feed->done(c->feed->entry, n);
        c->inside_end = c->outside_begin = 0;
        f->begun -= n;
}

/* Under the lock, which is released meanwhile. The last block stays, for the last step. */
static void take_steps(struct flush *f)
{
        const struct flush_commit *c = f->c;

        while (f->result == 0 && c->announced && !f->stepping) {
                uint64_t allocated;
                size_t n = committed(f, &allocated);

                if (n < c->feed->step || n <= c->outside_begin || n == c->batch->blocks.count)
                        break;
                take_step(f, n, allocated);
        }
}

/* ---- all of it ---------------------------------------------------------------------------------- */

/* What each of the threads does. Where one finds nothing to do, those that are left would be too few for what
 * comes later, so they end, too. */
static int work(void *arg, size_t i)
{
        struct flush *f = arg;
        struct piece *p;

        (void)i;
        pthread_mutex_lock(&f->lock);
        while (f->result == 0 && (p = begin_piece(f)) != NULL) {
                commit_piece(f, p);
                take_steps(f);
        }
        f->closed = true;
        pthread_mutex_unlock(&f->lock);
        return 0;
}

/* When nothing is under way any more. */
static int take_last_step(const struct flush *f)
{
        struct flush_commit *c = f->c;
        const struct dirty_blocks *blocks = &c->batch->blocks;
        struct writeback_step step = {
                .last = true, .change = c->change, .end = dirty_blocks_end(blocks), .allocated = f->counted
        };

        return run_step(c, blocks->at + c->inside_end, c->outside_begin - c->inside_end, &step,
                        c->announced && !f->unsure);
}

static int write_all(struct flush_commit *c)
{
        struct flush f = { .c = c, .version = c->record_at };
        int r;

        pthread_mutex_init(&f.lock, NULL);
        f.last = &f.first;
        r = pool_each(c->workers, THREADS, work, &f);
        free_pieces(&f, SIZE_MAX);
        pthread_mutex_destroy(&f.lock);
        if (r >= 0)
                r = f.result;
        return r < 0 ? r : take_last_step(&f);
}

int flush_commit_in_parallel(struct flush_commit *c)
{
        int r;

        while ((r = fs_run_since(c->fs, KV_IDEMPOTENT, &c->record_at, writeback_announce, c)) ==
               FS_TRIM_FIRST) {
                r = fs_trim_finish(c->fs, c->ino);
                if (r < 0)
                        return r;
        }
        if (r != 0)
                return r;
        r = write_all(c);
        /* What is left of an announcement would stand in the way until the session ends. */
        if (r < 0 && r != -ERR_RETRY && c->announced)
                (void)fs_trim_finish(c->fs, c->ino);
        return r == -ERR_RETRY ? WRITEBACK_DISTURBED : r;
}

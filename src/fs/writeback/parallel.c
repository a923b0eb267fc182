/* SPDX-License-Identifier: MIT */
/* The first transaction writes an intent record: this mount is writing blocks behind the size, which are
 * dead for all others. Then several threads commit parts of the batch in any order. When enough of the
 * batch is committed from its beginning on, one of them lets the size grow over it (a step), which frees
 * that memory for later writes, and the flush goes on. The last step removes the intent record. So the size
 * never covers what is not committed, and if the mount dies, what it left is cleared by others. A
 * transaction of another mount that has to change the size removes the intent record; the next transaction
 * here finds that out. */
#include "fs/writeback/parallel.h"
#include "base/lock.h"
#include "fs/run.h"
#include "fs/writeback/bodies.h"

#include <stdlib.h>

/* Transactions in flight. */
#define THREADS 8u

/* Blocks of the batch that one transaction commits. */
struct part {
        struct part *next;
        bool inside, done;
        uint64_t allocated; /* if it is not inside */
        size_t count;
        struct dirty_block *at[EXTENT_BLOCKS];
};

struct parallel {
        struct flush_commit *commit;
        struct lock lock;           /* protects what follows, and the batch */
        struct part *first, **last; /* parts that were begun and that no step has passed, in order */
        size_t begun;               /* blocks of the batch in parts; counts the one with the old end */
        uint64_t counted;           /* what the parts that no step has passed take, beside the record */
        bool inexact;               /* COUNTED may differ from what is beside the record */
        bool stepping;
        bool closed; /* takes nothing more */
        int result;
        kv_version version; /* the last one at which no other mount had disturbed the flush */
};

/* The result of a part or step that was disturbed stops the others. */
static int as_error(int r)
{
        return r == FLUSH_DISTURBED ? -ERR_RETRY : r;
}

/* ---- parts --------------------------------------------------------------------------------------- */

static bool get_more_locked(struct parallel *p)
{
        struct flush_commit *c = p->commit;

        lock_assert_held(&p->lock);
        if (p->closed || !c->intent || pool_has_queued(c->workers) || !c->feed.more(c->feed.arg))
                return false;
        c->change = c->batch->change;
        return true;
}

/* The next part; NULL: there is none, or no memory (in RESULT). */
static struct part *begin_part_locked(struct parallel *p)
{
        const struct flush_commit *c = p->commit;
        const struct dirty_blocks *blocks = &c->batch->blocks;
        size_t max = extent_max_blocks(c->fs), end;
        struct part *part;

        if (p->begun == c->inside_end)
                p->begun = c->outside_begin;
        if (p->begun == blocks->count && !get_more_locked(p))
                return NULL;
        part = malloc(sizeof(*part));
        if (!part) {
                p->result = -ENOMEM;
                return NULL;
        }
        part->next = NULL;
        part->inside = p->begun < c->inside_end;
        part->done = false;
        end = part->inside ? c->inside_end : blocks->count;
        part->count = end - p->begun < max ? end - p->begun : max;
        memcpy(part->at, blocks->at + p->begun, part->count * sizeof(part->at[0]));
        p->begun += part->count;
        *p->last = part;
        p->last = &part->next;
        p->inexact |= part->inside; /* what those take is not known if they had to run again */
        return part;
}

static int run_part(struct flush_commit *c, struct part *part, kv_version *version)
{
        if (part->inside)
                return flush_part_run(c, part->at, part->count, KV_IDEMPOTENT, NULL, flush_write_inside,
                                      NULL);
        return flush_part_run(c, part->at, part->count, KV_IDEMPOTENT | KV_BEFORE, version,
                              flush_write_outside, &part->allocated);
}

/* Releases the lock while it waits. */
static void commit_part_locked(struct parallel *p, struct part *part)
{
        kv_version version = p->version;
        int r;

        lock_release(&p->lock);
        r = run_part(p->commit, part, &version);
        lock_acquire(&p->lock);
        if (r != 0 && p->result == 0)
                p->result = as_error(r);
        part->done = true;
        if (!part->inside)
                p->counted += part->allocated;
        if (version > p->version)
                p->version = version;
}

/* Frees the parts of the first N blocks of the batch. */
static void free_parts(struct parallel *p, size_t n)
{
        size_t passed = 0;

        while (p->first && passed < n) {
                struct part *part = p->first;

                passed += part->count;
                p->first = part->next;
                free(part);
        }
        if (!p->first)
                p->last = &p->first;
}

/* ---- steps --------------------------------------------------------------------------------------- */

/* How many blocks are committed from the beginning of the batch on, and in RET_ALLOCATED what they take. The
 * block with the old end counts if others behind it do: the step writes it. */
static size_t count_committed_locked(const struct parallel *p, uint64_t *ret_allocated)
{
        const struct flush_commit *c = p->commit;
        size_t n = 0;

        *ret_allocated = 0;
        for (const struct part *part = p->first; part && part->done; part = part->next) {
                if (!part->inside) {
                        *ret_allocated += part->allocated;
                        if (n < c->outside_begin)
                                n = c->outside_begin;
                }
                n += part->count;
        }
        return n;
}

/* Commits STEP with the N blocks at MIDDLE, which lie where the old end was. */
static int run_step(struct flush_commit *c, struct dirty_block **middle, size_t n, struct flush_step *step,
                    bool may_be_blind)
{
        kv_version version = may_be_blind && (n == 0 || c->was_empty) ? c->record_at : 0;
        int r = flush_part_run(c, middle, n, step->last ? 0 : KV_IDEMPOTENT, &version, flush_write_step,
                               step);

        if (r != 0)
                return as_error(r);
        c->record = step->record;
        c->record_at = version;
        return 0;
}

/* Lets the size grow over the first N blocks. Releases the lock while it waits. */
static void take_step_locked(struct parallel *p, size_t n, uint64_t allocated)
{
        struct flush_commit *c = p->commit;
        struct dirty_block *middle = NULL, *last = c->batch->blocks.at[n - 1];
        struct flush_step step = { .end = last->offset + dirty_block_end(last),
                                   .change = c->change,
                                   .allocated = p->inexact ? 0 : allocated };
        size_t n_middle = c->outside_begin - c->inside_end;
        int r;

        if (n_middle > 0)
                middle = c->batch->blocks.at[c->inside_end];
        p->stepping = true;
        lock_release(&p->lock);
        r = run_step(c, &middle, n_middle, &step, true);
        lock_acquire(&p->lock);
        p->stepping = false;
        if (r < 0) {
                if (p->result == 0)
                        p->result = r;
                return;
        }
        p->inexact |= step.moved_by_others;
        p->counted -= allocated;
        free_parts(p, n - n_middle);
        c->feed.done(c->feed.arg, n);
        c->inside_end = c->outside_begin = 0;
        p->begun -= n;
}

/* Takes steps over what is committed, but not over the last block, which is left for the last step.
 * Releases the lock while it waits. */
static void take_steps_locked(struct parallel *p)
{
        const struct flush_commit *c = p->commit;

        while (p->result == 0 && c->intent && !p->stepping) {
                uint64_t allocated;
                size_t n = count_committed_locked(p, &allocated);

                if (n < c->feed.step_blocks || n <= c->outside_begin || n == c->batch->blocks.count)
                        break;
                take_step_locked(p, n, allocated);
        }
}

/* ---- all of it ----------------------------------------------------------------------------------- */

/* Runs on each thread. Once one finds nothing to do, too few are left for later writes, so all of them end.
 */
static int work(void *arg, size_t i)
{
        struct parallel *p = arg;
        struct part *part;

        (void)i;
        LOCK_GUARD(&p->lock);
        while (p->result == 0 && (part = begin_part_locked(p)) != NULL) {
                commit_part_locked(p, part);
                take_steps_locked(p);
        }
        p->closed = true;
        return 0;
}

/* Takes the last step, when no part is in flight any more. */
static int take_last_step(const struct parallel *p)
{
        struct flush_commit *c = p->commit;
        const struct dirty_blocks *blocks = &c->batch->blocks;
        struct flush_step step = {
                .last = true, .change = c->change, .end = dirty_blocks_end(blocks), .allocated = p->counted
        };

        return run_step(c, blocks->at + c->inside_end, c->outside_begin - c->inside_end, &step,
                        c->intent && !p->inexact);
}

static int write_all(struct flush_commit *c)
{
        struct parallel p = { .commit = c, .version = c->record_at };
        int r;

        lock_init(&p.lock);
        p.last = &p.first;
        r = pool_each(c->workers, THREADS, work, &p);
        free_parts(&p, SIZE_MAX);
        lock_destroy(&p.lock);
        if (r < 0)
                return r;
        return p.result < 0 ? p.result : take_last_step(&p);
}

static int write_intent(struct flush_commit *c)
{
        int r;

        while ((r = fs_run_since(c->fs, KV_IDEMPOTENT, &c->record_at, flush_write_intent, c)) ==
               FS_TRIM_FIRST) {
                r = fs_trim_finish(c->fs, c->ino);
                if (r < 0)
                        return r;
        }
        return r;
}

int flush_commit_in_parallel(struct flush_commit *c)
{
        int r = write_intent(c);

        if (r != 0)
                return r;
        r = write_all(c);
        if (r == -ERR_RETRY)
                return FLUSH_DISTURBED;
        /* An intent record that stays would block other writers until the session ends. */
        if (r < 0 && c->intent)
                (void)fs_trim_finish(c->fs, c->ino);
        return r;
}

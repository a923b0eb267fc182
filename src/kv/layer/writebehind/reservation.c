/* SPDX-License-Identifier: MIT */
/* Reservations: a transaction is acknowledged only if it is certain that it can be written below, beside all
 * that is not written yet. While the store below has plenty of space, that is a comparison with a budget.
 * When it has little, what is pending is written below first, so that the transaction alone must fit into
 * what is left; one that frees space is then written below before it is acknowledged, even without a
 * reservation.
 */
#include "kv/layer/writebehind/internal.h"

/* How much is reserved beyond what is needed, so that not each transaction asks the store below; less when
 * there is little space left. */
static const struct wb_load steps[] = {
        { .keys = 32768, .sets = 32768, .bytes = (uint64_t)16 << 20, .largest = 32752 },
        { .keys = 2048, .sets = 2048, .bytes = (uint64_t)1 << 20, .largest = 32752 },
        { .keys = 256, .sets = 64, .bytes = (uint64_t)32 << 10, .largest = 0 },
        { .keys = 0 },
};

#define STEPS (unsigned)(sizeof(steps) / sizeof(steps[0]))

static bool covers(const struct wb_load *budget, const struct wb_load *load)
{
        return load->keys <= budget->keys && load->sets <= budget->sets && load->bytes <= budget->bytes &&
               load->largest <= budget->largest;
}

/* Reserves space for LOAD below. */
static int reserve_below(struct wb_store *wb, const struct wb_load *load, unsigned commits, bool frees)
{
        struct kv_need need = { .keys = load->keys,
                                .sets = load->sets,
                                .bytes = load->bytes,
                                .largest = load->largest,
                                .commits = commits,
                                .frees = frees };

        return wb->below->ops->reserve(wb->below, &need);
}

/* Reserves space for LOAD and as much more as the store below grants: 0 and the budget, or an error. The lock
 * is released during the call. */
static int budget_get_locked(struct wb_store *wb, const struct wb_load *load)
{
        /* A batch that ended during the call has used its part of the space, which LOAD still includes: the
         * answer is right for this load, but a budget from it would count that space twice. */
        uint64_t batches = wb->batches;
        unsigned step = wb->budget_step > 0 ? wb->budget_step - 1 : 0;
        struct wb_load asked;
        int r = -ENOSPC;

        lock_release(&wb->lock);
        for (; step < STEPS; step++) {
                asked = *load;
                wb_load_add(&asked, &steps[step]);
                /* In two commits: the batch that is being written, and the next one. */
                r = reserve_below(wb, &asked, 2, false);
                if (r != -ENOSPC)
                        break;
        }
        lock_acquire(&wb->lock);
        wb->budget_step = step < STEPS ? step : STEPS - 1;
        if (r >= 0)
                wb->budget = wb->batches == batches ? asked : (struct wb_load){ 0 };
        return r;
}

/* The same for a transaction that frees space, out of the reserve, too. ALONE: nothing else is pending. */
static int frees_budget_get_locked(struct wb_store *wb, const struct wb_load *load, bool alone)
{
        uint64_t batches = wb->batches;
        struct wb_load asked = *load;
        int r;

        lock_release(&wb->lock);
        wb_load_add(&asked, &steps[STEPS - 2]);
        r = reserve_below(wb, &asked, 2, true);
        if (r == -ENOSPC) {
                asked = *load;
                r = reserve_below(wb, &asked, alone ? 1 : 2, true);
        }
        lock_acquire(&wb->lock);
        if (r >= 0)
                wb->frees_budget = wb->batches == batches && !alone ? asked : (struct wb_load){ 0 };
        return r;
}

/* Reserves space for LOAD alone, which is all that is pending. */
static int exact_get_locked(struct wb_store *wb, const struct wb_load *load)
{
        int r;

        lock_release(&wb->lock);
        r = reserve_below(wb, load, 1, false);
        lock_acquire(&wb->lock);
        return r;
}

int wb_reserve_txn_locked(struct wb_store *wb, struct wb_txn *t)
{
        bool frees = t->base.flags & KV_RESERVE, alone = wb->durable == wb->published && !wb->batch_running;
        struct wb_load load = wb->pending;
        int r;

        lock_assert_held(&wb->writer);
        lock_assert_held(&wb->lock);
        wb_load_add(&load, &t->load);
        if (!wb->below->ops->reserve || covers(&wb->budget, &load) ||
            (frees && covers(&wb->frees_budget, &load)))
                return 0;
        /* Batches fail for lack of space in spite of their reservation. A transaction that frees space joins
         * the next one, which is tried again: nothing else can help. */
        if (frees && wb->error == -ENOSPC)
                return 0;
        /* The writer's lock keeps `pending` from growing until then. */
        r = budget_get_locked(wb, &load);
        if (r != -ENOSPC)
                return r;
        if (frees)
                r = frees_budget_get_locked(wb, &load, alone);
        else if (alone)
                r = exact_get_locked(wb, &load);
        if (r != -ENOSPC || (alone && !frees))
                return r;
        if (alone && !wb->batch_running)
                return wb_write_through_locked(wb, t);
        wb->drain = wb->published;
        return -ERR_RETRY;
}

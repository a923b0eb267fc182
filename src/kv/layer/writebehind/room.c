/* SPDX-License-Identifier: MIT */
/* Room: a transaction is acknowledged only if it is certain that it can be written below, beside all that is
 * not written yet. As long as the store below has plenty, that is a comparison with a budget. When it has
 * little, what is pending is written down first, so that the transaction stands alone against what is left;
 * and one that frees room is then written down itself before it is acknowledged, whatever is certain.
 */
#include "kv/layer/writebehind/internal.h"

/* How much more than needed is asked for, so that the store below is not asked for each transaction; less
 * when there is little left. */
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

/* Asks below for room for LOAD. */
static int ask(struct wb_store *wb, const struct wb_load *load, unsigned commits, bool frees)
{
        struct kv_need need = { .keys = load->keys,
                                .sets = load->sets,
                                .bytes = load->bytes,
                                .largest = load->largest,
                                .commits = commits,
                                .frees = frees };

        return wb->below->ops->reserve(wb->below, &need);
}

/* Asks for LOAD and as much more as can be had: 0 and the budget, or an error. Lock dropped meanwhile. */
static int budget_get(struct wb_store *wb, const struct wb_load *load)
{
        /* A batch that ends meanwhile has used its part of the room, and the load counts it still: the answer
         * is good for this load, but as a budget it would count the room twice. */
        uint64_t batches = wb->batches;
        unsigned step = wb->budget_step > 0 ? wb->budget_step - 1 : 0;
        struct wb_load asked;
        int r = -ENOSPC;

        pthread_mutex_unlock(&wb->lock);
        for (; step < STEPS; step++) {
                asked = *load;
                wb_load_add(&asked, &steps[step]);
                /* One batch that is being written, and the next one. */
                r = ask(wb, &asked, 2, false);
                if (r != -ENOSPC)
                        break;
        }
        pthread_mutex_lock(&wb->lock);
        wb->budget_step = step < STEPS ? step : STEPS - 1;
        if (r >= 0)
                wb->budget = wb->batches == batches ? asked : (struct wb_load){ 0 };
        return r;
}

/* The same for what frees room, out of all that there is; ALONE: nothing else is pending. */
static int frees_budget_get(struct wb_store *wb, const struct wb_load *load, bool alone)
{
        uint64_t batches = wb->batches;
        struct wb_load asked = *load;
        int r;

        pthread_mutex_unlock(&wb->lock);
        wb_load_add(&asked, &steps[STEPS - 2]);
        r = ask(wb, &asked, 2, true);
        if (r == -ENOSPC) {
                asked = *load;
                r = ask(wb, &asked, alone ? 1 : 2, true);
        }
        pthread_mutex_lock(&wb->lock);
        if (r >= 0)
                wb->frees_budget = wb->batches == batches && !alone ? asked : (struct wb_load){ 0 };
        return r;
}

int wb_room_take(struct wb_store *wb, struct wb_txn *t)
{
        bool frees = t->base.flags & KV_RESERVE, alone = wb->durable == wb->published && !wb->batch_running;
        struct wb_load load = wb->pending;
        int r;

        wb_load_add(&load, &t->load);
        if (!wb->below->ops->reserve || covers(&wb->budget, &load) ||
            (frees && covers(&wb->frees_budget, &load)))
                return 0;
        /* Batches fail for want of room although it was certain. What frees room joins the next one, which is
         * tried again: there is no other way out. */
        if (frees && wb->error == -ENOSPC)
                return 0;
        /* The writer's lock keeps `pending` from growing meanwhile. */
        r = budget_get(wb, &load);
        if (r != -ENOSPC)
                return r;
        if (frees) {
                r = frees_budget_get(wb, &load, alone);
        } else if (alone) {
                pthread_mutex_unlock(&wb->lock);
                r = ask(wb, &load, 1, false);
                pthread_mutex_lock(&wb->lock);
        }
        if (r != -ENOSPC || (alone && !frees))
                return r;
        if (alone && !wb->batch_running)
                return wb_write_through(wb, t);
        wb->drain = wb->published;
        return -ERR_RETRY;
}

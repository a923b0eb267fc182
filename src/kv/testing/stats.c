/* SPDX-License-Identifier: MIT */
/* stats: counts calls and bytes. */
#include "base/array.h"
#include "kv/layer/filter.h"
#include "kv/testing/testing.h"

#include <errno.h>
#include <stdlib.h>

struct stats {
        struct filter filter;
        struct kv_stats n; /* each counter by atomic operations */
};

struct stats_txn {
        struct filter_txn filter;
        /* Reads in flight, in order of their start: each a struct kv_read or kv_range of the caller's. */
        const void **started;
        size_t n_started, cap;
        size_t covered; /* number of these, from the first, that were in flight at the last wait */
};

static struct kv_stats *stats_of(struct kv_store *s)
{
        return &((struct stats *)s)->n;
}

static void count(uint64_t *counter, uint64_t n)
{
        __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* ---- rounds: which reads wait in sequence ------------------------------------------------------- */

static int round_start(struct kv_txn *txn, const void *read)
{
        struct stats_txn *t = (struct stats_txn *)txn;

        if (array_reserve(&t->started, &t->cap, t->n_started + 1) < 0)
                return -ENOMEM;
        t->started[t->n_started++] = read;
        return 0;
}

/* READ is waited for, or abandoned (!WAIT). A wait covers all reads in flight: they return in the same
 * round. */
static void round_end(struct kv_txn *txn, const void *read, bool wait)
{
        struct stats_txn *t = (struct stats_txn *)txn;
        size_t i = 0;

        while (i < t->n_started && t->started[i] != read)
                i++;
        if (i == t->n_started)
                return; /* a range that was waited for already */
        if (wait && i >= t->covered) {
                count(&stats_of(txn->store)->read_rounds, 1);
                t->covered = t->n_started;
        }
        memmove(&t->started[i], &t->started[i + 1], (t->n_started - i - 1) * sizeof(t->started[0]));
        t->n_started--;
        if (i < t->covered)
                t->covered--;
}

/* ---- counting ------------------------------------------------------------------------------------ */

static int stats_sync(struct kv_store *s)
{
        count(&stats_of(s)->syncs, 1);
        return kv_sync(filter_store_below(s));
}

static int stats_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret)
{
        int r = filter_begin_sized(s, flags, sizeof(struct stats_txn), ret);

        if (r >= 0)
                count(&stats_of(s)->txns, 1);
        return r;
}

static int stats_commit(struct kv_txn *t)
{
        struct kv_stats *n = stats_of(t->store);
        int r = filter_commit(t);

        count(r >= 0 ? &n->commits : r == -ERR_CONFLICT ? &n->conflicts : &n->commit_errors, 1);
        return r;
}

static void stats_end(struct kv_txn *t)
{
        free(((struct stats_txn *)t)->started);
        filter_end(t);
}

static void stats_get_start(struct kv_txn *t, struct kv_read *r)
{
        count(&stats_of(t->store)->gets, 1);
        filter_get_start(t, r);
        if (round_start(t, r) < 0)
                r->err = -ENOMEM;
}

static void stats_get_wait(struct kv_txn *t, struct kv_read *r)
{
        round_end(t, r, true);
        filter_get_wait(t, r);
        if (r->err == 0)
                count(&stats_of(t->store)->read_bytes, r->value.len);
}

static void stats_range_start(struct kv_txn *t, struct kv_range *r)
{
        count(&stats_of(t->store)->ranges, 1);
        filter_range_start(t, r);
        if (round_start(t, r) < 0)
                r->err = -ENOMEM;
}

static int stats_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value)
{
        struct kv_stats *n = stats_of(r->txn->store);
        int more;

        if (r->err < 0)
                return r->err;
        round_end(r->txn, r, true);
        more = filter_range_next(r, ret_key, ret_value);
        if (more > 0) {
                count(&n->range_pairs, 1);
                count(&n->read_bytes, ret_key->len + ret_value->len);
        }
        return more;
}

static void stats_range_end(struct kv_range *r)
{
        round_end(r->txn, r, false);
        filter_range_end(r);
}

static int stats_set(struct kv_txn *t, struct slice key, struct slice value)
{
        struct kv_stats *n = stats_of(t->store);

        count(&n->sets, 1);
        count(&n->written_bytes, key.len + value.len);
        return kv_set(filter_below(t), key, value);
}

static int stats_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret)
{
        struct kv_stats *n = stats_of(t->store);

        count(&n->sets, 1);
        count(&n->written_bytes, key.len + len);
        return kv_set_reserve(filter_below(t), key, len, ret);
}

static int stats_patch(struct kv_txn *t, struct slice key, size_t at, struct slice data)
{
        struct kv_stats *n = stats_of(t->store);

        count(&n->sets, 1);
        count(&n->written_bytes, key.len + data.len);
        return kv_patch(filter_below(t), key, at, data);
}

static int stats_clear(struct kv_txn *t, struct slice key)
{
        count(&stats_of(t->store)->clears, 1);
        return kv_clear(filter_below(t), key);
}

static int stats_clear_range(struct kv_txn *t, struct slice begin, struct slice end)
{
        count(&stats_of(t->store)->clear_ranges, 1);
        return kv_clear_range(filter_below(t), begin, end);
}

static int stats_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand)
{
        struct kv_stats *n = stats_of(t->store);

        count(&n->atomics, 1);
        count(&n->written_bytes, key.len + operand.len);
        return kv_atomic(filter_below(t), op, key, operand);
}

static int stats_watch(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret)
{
        count(&stats_of(t->store)->watches, 1);
        return filter_watch(t, key, fn, arg, ret);
}

int kv_stats_open(struct kv_store *below, struct kv_store **ret)
{
        struct stats *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        filter_init(&s->filter, "stats", below);
        s->filter.ops.sync = stats_sync;
        s->filter.ops.begin = stats_begin;
        s->filter.ops.commit = stats_commit;
        s->filter.ops.end = stats_end;
        s->filter.ops.get_start = stats_get_start;
        s->filter.ops.get_wait = stats_get_wait;
        s->filter.ops.range_start = stats_range_start;
        s->filter.ops.range_next = stats_range_next;
        s->filter.ops.range_end = stats_range_end;
        s->filter.ops.set = stats_set;
        s->filter.ops.set_reserve = stats_set_reserve;
        s->filter.ops.patch = stats_patch;
        s->filter.ops.clear = stats_clear;
        s->filter.ops.clear_range = stats_clear_range;
        s->filter.ops.atomic = stats_atomic;
        s->filter.ops.watch = stats_watch;
        *ret = &s->filter.base;
        return 0;
}

/* All members of struct kv_stats are counters. */
#define COUNTERS (sizeof(struct kv_stats) / sizeof(uint64_t))

void kv_stats_get(struct kv_store *s, struct kv_stats *ret)
{
        const uint64_t *from = (const uint64_t *)stats_of(s);
        uint64_t *to = (uint64_t *)ret;

        for (size_t i = 0; i < COUNTERS; i++)
                to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
}

void kv_stats_reset(struct kv_store *s)
{
        uint64_t *n = (uint64_t *)stats_of(s);

        for (size_t i = 0; i < COUNTERS; i++)
                __atomic_store_n(&n[i], 0, __ATOMIC_RELAXED);
}

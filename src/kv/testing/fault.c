/* SPDX-License-Identifier: MIT */
/* fault: a store that fails as a real one may; a seed decides when. */
#include "base/lock.h"
#include "base/rng.h"
#include "kv/layer/filter.h"
#include "kv/testing/testing.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

struct fault {
        struct filter filter;
        bool keep_below;

        struct lock lock; /* protects what follows */
        struct rng rng;
        struct kv_fault_opts opts;
        bool crash_planned, crash_after;
        uint64_t crash_in; /* commits until then */
        bool dead;
};

static struct fault *fault_of(struct kv_store *s)
{
        return (struct fault *)s;
}

static bool happens_locked(struct fault *f, unsigned ppm)
{
        lock_assert_held(&f->lock);
        return ppm > 0 && rng_below(&f->rng, 1000000) < ppm;
}

static void sleep_us(unsigned us)
{
        nanosleep(&(struct timespec){ .tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000 }, NULL);
}

static int decide(struct fault *f, bool may_retry, unsigned *ret_sleep_us)
{
        LOCK_GUARD(&f->lock);

        *ret_sleep_us = happens_locked(f, f->opts.slow_ppm) ? f->opts.slow_us : 0;
        if (f->dead)
                return -EIO;
        return may_retry && happens_locked(f, f->opts.retry_ppm) ? -ERR_RETRY : 0;
}

/* Called for each call that reaches the store: may sleep, and fails with EIO or, if MAY_RETRY, with
 * ERR_RETRY. */
static int pass(struct kv_store *s, bool may_retry)
{
        unsigned us;
        int r = decide(fault_of(s), may_retry, &us);

        if (us > 0)
                sleep_us(us);
        return r;
}

/* For calls that only collect what a commit will do. */
static int check_alive(struct kv_txn *t)
{
        struct fault *f = fault_of(t->store);
        LOCK_GUARD(&f->lock);

        return f->dead ? -EIO : 0;
}

static int fault_close(struct kv_store *s)
{
        struct fault *f = fault_of(s);
        int r = f->keep_below ? 0 : kv_close(f->filter.below);

        if (f->dead)
                r = -EIO;
        lock_destroy(&f->lock);
        free(f);
        return r;
}

static int fault_sync(struct kv_store *s)
{
        struct fault *f = fault_of(s);
        int r = pass(s, false);

        if (r < 0)
                return r;
        lock_acquire(&f->lock);
        if (happens_locked(f, f->opts.io_error_ppm))
                r = -EIO;
        lock_release(&f->lock);
        return r < 0 ? r : kv_sync(f->filter.below);
}

static int fault_space(struct kv_store *s, struct kv_space *ret)
{
        int r = pass(s, false);

        return r < 0 ? r : kv_space(filter_store_below(s), ret);
}

static int fault_reserve(struct kv_store *s, const struct kv_need *need)
{
        struct kv_store *below = filter_store_below(s);
        int r = pass(s, false);

        return r < 0 ? r : below->ops->reserve(below, need);
}

static int fault_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret)
{
        int r = pass(s, true);

        return r < 0 ? r : filter_begin_sized(s, flags, sizeof(struct filter_txn), ret);
}

/* The outcome of a commit: whether it is done below, and the result (0: that of the store below). */
struct outcome {
        bool done;
        int result;
};

static struct outcome commit_outcome(struct fault *f)
{
        const struct kv_fault_opts *o = &f->opts;
        LOCK_GUARD(&f->lock);

        if (f->dead)
                return (struct outcome){ false, -EIO };
        if (f->crash_planned && f->crash_in-- == 0) {
                f->dead = true;
                return (struct outcome){ f->crash_after, -EIO };
        }
        if (happens_locked(f, o->retry_ppm))
                return (struct outcome){ false, -ERR_RETRY };
        if (happens_locked(f, o->conflict_ppm))
                return (struct outcome){ false, -ERR_CONFLICT };
        if (happens_locked(f, o->io_error_ppm))
                return (struct outcome){ false, -EIO };
        if (happens_locked(f, o->no_space_ppm))
                return (struct outcome){ false, -ENOSPC };
        if (happens_locked(f, o->unknown_not_done_ppm))
                return (struct outcome){ false, -ERR_UNKNOWN_RESULT };
        if (happens_locked(f, o->unknown_done_ppm))
                return (struct outcome){ true, -ERR_UNKNOWN_RESULT };
        return (struct outcome){ true, 0 };
}

static int fault_commit(struct kv_txn *t)
{
        struct fault *f = fault_of(t->store);
        struct outcome outcome;
        /* Not to be retried: a reader may have had its external effect already. */
        int r = pass(t->store, false);

        if (!(t->flags & KV_WRITE))
                return r < 0 ? r : filter_commit(t);
        outcome = commit_outcome(f);
        if (!outcome.done)
                return outcome.result;
        r = filter_commit(t);
        return r < 0 ? r : outcome.result;
}

static void fault_get_wait(struct kv_txn *t, struct kv_read *r)
{
        int err = pass(t->store, true);

        filter_get_wait(t, r);
        if (err < 0)
                r->err = err;
}

static void fault_range_start(struct kv_txn *t, struct kv_range *r)
{
        int err = pass(t->store, true);

        filter_range_start(t, r);
        if (err < 0)
                r->err = err;
}

static int fault_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value)
{
        int err = r->err < 0 ? r->err : check_alive(r->txn);

        return err < 0 ? err : filter_range_next(r, ret_key, ret_value);
}

static int fault_set(struct kv_txn *t, struct slice key, struct slice value)
{
        int r = check_alive(t);

        return r < 0 ? r : kv_set(filter_below(t), key, value);
}

static int fault_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret)
{
        int r = check_alive(t);

        return r < 0 ? r : kv_set_reserve(filter_below(t), key, len, ret);
}

static int fault_clear(struct kv_txn *t, struct slice key)
{
        int r = check_alive(t);

        return r < 0 ? r : kv_clear(filter_below(t), key);
}

static int fault_clear_range(struct kv_txn *t, struct slice begin, struct slice end)
{
        int r = check_alive(t);

        return r < 0 ? r : kv_clear_range(filter_below(t), begin, end);
}

static int fault_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand)
{
        int r = check_alive(t);

        return r < 0 ? r : kv_atomic(filter_below(t), op, key, operand);
}

static int fault_watch(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret)
{
        int r = pass(t->store, true);

        return r < 0 ? r : filter_watch(t, key, fn, arg, ret);
}

int kv_fault_open(struct kv_store *below, const struct kv_fault_opts *opts, struct kv_store **ret)
{
        struct fault *f = calloc(1, sizeof(*f));

        if (!f)
                return -ENOMEM;
        filter_init(&f->filter, "fault", below);
        if (opts->unknown_done_ppm > 0 || opts->unknown_not_done_ppm > 0)
                f->filter.base.limits.unknown_results = true;
        f->filter.ops.close = fault_close;
        f->filter.ops.sync = fault_sync;
        f->filter.ops.space = fault_space;
        if (f->filter.ops.reserve)
                f->filter.ops.reserve = fault_reserve;
        f->filter.ops.begin = fault_begin;
        f->filter.ops.commit = fault_commit;
        f->filter.ops.get_wait = fault_get_wait;
        f->filter.ops.range_start = fault_range_start;
        f->filter.ops.range_next = fault_range_next;
        f->filter.ops.set = fault_set;
        f->filter.ops.set_reserve = fault_set_reserve;
        f->filter.ops.clear = fault_clear;
        f->filter.ops.clear_range = fault_clear_range;
        f->filter.ops.atomic = fault_atomic;
        f->filter.ops.watch = fault_watch;
        lock_init(&f->lock);
        rng_seed(&f->rng, opts->seed);
        f->opts = *opts;
        f->keep_below = opts->keep_below;
        *ret = &f->filter.base;
        return 0;
}

void kv_fault_set(struct kv_store *s, const struct kv_fault_opts *opts)
{
        struct fault *f = fault_of(s);
        LOCK_GUARD(&f->lock);

        assert(s->limits.unknown_results || (!opts->unknown_done_ppm && !opts->unknown_not_done_ppm));
        f->opts = *opts;
}

void kv_fault_crash_at(struct kv_store *s, uint64_t n, bool after)
{
        struct fault *f = fault_of(s);
        LOCK_GUARD(&f->lock);

        f->crash_planned = true;
        f->crash_in = n;
        f->crash_after = after;
}

/* SPDX-License-Identifier: MIT */
/* The writebehind layer over mem and the fault layer: what survives a crash, how writers behave when the
 * store is full or fails, bounds, and that a reader's view and snapshot are a pair. tests/kv tests the store
 * contract itself. */
#include "base/rng.h"
#include "kv/layer/filter.h"
#include "kv/layer/layer.h"
#include "kv/layer/writebehind/internal.h"
#include "kv/testing/testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

/* writebehind over fault over mem; the stores below stay open, to be examined after a crash. */
struct stack {
        struct kv_store *mem, *fault, *top;
};

static void stack_open(struct stack *s, const struct kv_fault_opts *faults,
                       const struct kv_writebehind_opts *opts)
{
        struct kv_open_opts create = { .flags = KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE };

        assert_int_equal(kv_testing_open("mem:", &create, &s->mem, NULL), 0);
        assert_int_equal(kv_fault_open(s->mem, faults, &s->fault), 0);
        assert_int_equal(kv_writebehind_open(s->fault, opts, &s->top), 0);
}

static uint64_t seed_get(void)
{
        const char *env = getenv("ASHLAR_SEED");
        uint64_t seed;

        if (env)
                seed = strtoull(env, NULL, 0);
        else
                rng_system(&seed, sizeof(seed));
        print_message("replay with ASHLAR_SEED=%llu\n", (unsigned long long)seed);
        return seed;
}

/* ---- bodies -------------------------------------------------------------------------------------- */

struct pair {
        const char *key;
        uint64_t value;
};

static int set_body(struct kv_txn *t, void *arg)
{
        const struct pair *p = arg;

        return kv_set(t, slice_str(p->key), slice_of(&p->value, sizeof(p->value)));
}

static int set(struct kv_store *s, unsigned flags, const char *key, uint64_t value)
{
        struct pair p = { .key = key, .value = value };

        return kv_run(s, KV_WRITE | flags, set_body, &p);
}

static int get_body(struct kv_txn *t, void *arg)
{
        struct pair *p = arg;
        struct slice v;
        int r = kv_get(t, slice_str(p->key), 0, &v);

        if (r < 0)
                return r;
        if (v.len != sizeof(p->value))
                return -EBADMSG;
        memcpy(&p->value, v.data, v.len);
        return 0;
}

/* The value, or a negative error. */
static int64_t get(struct kv_store *s, const char *key)
{
        struct pair p = { .key = key };
        int r = kv_run(s, KV_READ, get_body, &p);

        return r < 0 ? r : (int64_t)p.value;
}

static int fail_body(struct kv_txn *t, void *arg)
{
        int r = set_body(t, arg);

        return r < 0 ? r : -ENOTDIR;
}

/* ---- crash: a prefix ----------------------------------------------------------------------------- */

#define SLOTS 16u

/* Transaction N sets "last" and one slot to N, so that a state shows which transactions it includes. */
static int numbered_body(struct kv_txn *t, void *arg)
{
        uint64_t n = *(uint64_t *)arg;
        char key[16];
        int r;

        snprintf(key, sizeof(key), "slot%02u", (unsigned)(n % SLOTS));
        r = kv_set(t, slice_str(key), slice_of(&n, sizeof(n)));
        if (r >= 0)
                r = kv_set(t, slice_str("last"), slice_of(&n, sizeof(n)));
        return r;
}

static void check_is_prefix(struct kv_store *below, uint64_t synced, uint64_t acknowledged)
{
        int64_t last = get(below, "last");

        if (last == -ENOENT)
                last = 0;
        assert_true(last >= 0);
        assert_true((uint64_t)last >= synced && (uint64_t)last <= acknowledged);
        for (unsigned i = 0; i < SLOTS; i++) {
                /* The newest transaction up to `last` that chose this slot. */
                int64_t expect = last - (int64_t)(((uint64_t)last - i) % SLOTS);
                char key[16];

                snprintf(key, sizeof(key), "slot%02u", i);
                if (expect > 0)
                        assert_int_equal(get(below, key), expect);
                else
                        assert_int_equal(get(below, key), -ENOENT);
        }
}

static void crash_leaves_a_prefix(void **state)
{
        struct rng rng;

        (void)state;
        rng_seed(&rng, seed_get());
        for (int round = 0; round < 200; round++) {
                struct kv_writebehind_opts opts = { .age_ms = 1, .batch_bytes = 4096, .close_ms = 1 };
                struct kv_fault_opts faults = { .seed = rng_next(&rng), .slow_ppm = 100000, .slow_us = 100 };
                uint64_t acknowledged = 0, synced = 0;
                struct stack s;

                stack_open(&s, &faults, &opts);
                kv_fault_crash_at(s.fault, rng_below(&rng, 20), rng_below(&rng, 2));
                for (uint64_t n = 1; n <= 2000; n++) {
                        if (kv_run(s.top, KV_WRITE, numbered_body, &n) < 0)
                                break;
                        acknowledged = n;
                        if (rng_below(&rng, 100) == 0) {
                                if (kv_sync(s.top) < 0)
                                        break;
                                synced = n;
                        }
                }
                /* If the crash has not happened yet, no batch may run during the check. */
                if (kv_sync(s.top) >= 0)
                        synced = acknowledged;
                check_is_prefix(s.mem, synced, acknowledged);
                kv_close(s.top); /* fails if the crash happened before the end */
        }
}

static void everything_is_there_after_close_and_sync(void **state)
{
        struct kv_writebehind_opts opts = { .age_ms = 60000, .sequence = slice_str("seq") };
        struct kv_fault_opts none = { 0 };
        struct stack s;

        (void)state;
        stack_open(&s, &none, &opts);
        for (uint64_t n = 1; n <= 100; n++)
                assert_true(kv_run(s.top, KV_WRITE, numbered_body, &n) >= 0);
        assert_int_equal(get(s.mem, "last"), -ENOENT);
        assert_int_equal(get(s.top, "last"), 100);
        assert_int_equal(kv_sync(s.top), 0);
        check_is_prefix(s.mem, 100, 100);
        assert_int_equal(get(s.mem, "seq"), 1);
        assert_int_equal(kv_sync(s.top), 0); /* nothing to do: no batch */
        assert_int_equal(get(s.mem, "seq"), 1);
        assert_int_equal(kv_close(s.top), 0);
}

static void becomes_durable_by_itself(void **state)
{
        struct kv_writebehind_opts opts = { .age_ms = 20 };
        struct kv_fault_opts none = { 0 };
        struct stack s;
        int tries = 0;

        (void)state;
        stack_open(&s, &none, &opts);
        assert_true(set(s.top, 0, "a", 1) >= 0);
        while (get(s.mem, "a") != 1) {
                assert_true(++tries < 500);
                nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
        }
        assert_int_equal(kv_close(s.top), 0);
}

static void batches_are_numbered_on(void **state)
{
        struct kv_writebehind_opts opts = { .age_ms = 60000, .sequence = slice_str("seq") };
        struct kv_fault_opts keep = { .keep_below = true };
        struct stack s;

        (void)state;
        stack_open(&s, &keep, &opts);
        for (uint64_t n = 1; n <= 3; n++) {
                assert_true(set(s.top, 0, "a", n) >= 0);
                assert_int_equal(kv_close(s.top), 0);
                assert_int_equal(get(s.mem, "seq"), n);
                assert_int_equal(kv_fault_open(s.mem, &keep, &s.fault), 0);
                assert_int_equal(kv_writebehind_open(s.fault, &opts, &s.top), 0);
        }
        assert_int_equal(kv_close(s.top), 0);
        assert_int_equal(kv_close(s.mem), 0);
}

static int patch_body(struct kv_txn *t, void *arg)
{
        char key[24];

        snprintf(key, sizeof(key), "block%06u", *(unsigned *)arg);
        return kv_patch(t, slice_str(key), 30000, slice_of("x", 1));
}

/* A patch far beyond the end makes a small value large, and the batch must have space for the whole value. */
static void patches_count_as_what_they_make(void **state)
{
        struct kv_writebehind_opts opts = { .age_ms = 60000 };
        struct kv_fault_opts none = { 0 };
        struct stack s;

        (void)state;
        stack_open(&s, &none, &opts);
        for (unsigned i = 0; i < 1000; i++) /* three times the limit of a transaction of mem */
                assert_true(kv_run(s.top, KV_WRITE, patch_body, &i) >= 0);
        assert_int_equal(kv_sync(s.top), 0);
        for (unsigned i = 0; i < 1000; i++)
                assert_true(kv_run(s.top, KV_WRITE, patch_body, &i) >= 0);
        assert_int_equal(kv_close(s.top), 0);
}

/* ---- errors -------------------------------------------------------------------------------------- */

static void a_discarded_transaction_leaves_nothing(void **state)
{
        struct kv_writebehind_opts opts = { .age_ms = 60000 };
        struct kv_fault_opts none = { 0 };
        struct stack s;
        struct pair p = { .key = "a", .value = 2 };

        (void)state;
        stack_open(&s, &none, &opts);
        assert_int_equal(kv_run(s.top, KV_WRITE, fail_body, &p), -ENOTDIR);
        assert_int_equal(get(s.top, "a"), -ENOENT);
        assert_true(set(s.top, 0, "a", 1) >= 0);
        assert_int_equal(kv_run(s.top, KV_WRITE, fail_body, &p), -ENOTDIR);
        assert_int_equal(get(s.top, "a"), 1);
        assert_int_equal(kv_sync(s.top), 0);
        assert_int_equal(kv_run(s.top, KV_WRITE, fail_body, &p), -ENOTDIR);
        assert_int_equal(get(s.top, "a"), 1);
        assert_int_equal(get(s.mem, "a"), 1);
        assert_int_equal(kv_close(s.top), 0);
}

static void failing_batches_lose_nothing(void **state)
{
        static const int errors[] = { ENOSPC, EIO };

        (void)state;
        for (int i = 0; i < 2; i++) {
                struct kv_writebehind_opts opts = { .age_ms = 60000 };
                struct kv_fault_opts none = { 0 }, faults = { 0 };
                struct stack s;

                faults.no_space_ppm = errors[i] == ENOSPC ? 1000000 : 0;
                faults.io_error_ppm = errors[i] == EIO ? 1000000 : 0;
                stack_open(&s, &none, &opts);
                assert_true(set(s.top, 0, "acknowledged", 7) >= 0);
                kv_fault_set(s.fault, &faults);
                assert_int_equal(kv_sync(s.top), -errors[i]);
                /* Writers get the error, readers go on, and transactions that free space may begin. */
                assert_int_equal(set(s.top, 0, "new", 8), -errors[i]);
                assert_int_equal(get(s.top, "new"), -ENOENT);
                assert_int_equal(get(s.top, "acknowledged"), 7);
                assert_int_equal(set(s.top, KV_RESERVE, "free", 9), errors[i] == ENOSPC ? 0 : -EIO);
                assert_int_equal(kv_sync(s.top), -errors[i]);
                kv_fault_set(s.fault, &none);
                assert_int_equal(kv_sync(s.top), 0);
                assert_true(set(s.top, 0, "new", 8) >= 0);
                assert_int_equal(kv_sync(s.top), 0);
                assert_int_equal(get(s.mem, "acknowledged"), 7);
                assert_int_equal(get(s.mem, "new"), 8);
                assert_int_equal(get(s.mem, "free"), errors[i] == ENOSPC ? 9 : -ENOENT);
                assert_int_equal(kv_close(s.top), 0);
        }
}

static void note_err(int err, void *arg)
{
        *(int *)arg = err;
}

/* The watch of a transaction that could not commit breaks. */
static void a_failed_commit_arms_no_watch(void **state)
{
        struct kv_writebehind_opts opts = { .age_ms = 60000 };
        struct kv_fault_opts none = { 0 };
        struct kv_watch *watch;
        struct kv_txn *t;
        struct stack s;
        int err = 1;

        (void)state;
        stack_open(&s, &none, &opts);
        assert_int_equal(kv_begin(s.top, KV_WRITE, &t), 0);
        assert_int_equal(kv_watch(t, slice_str("a"), note_err, &err, &watch), 0);
        assert_int_equal(kv_set(t, slice_str("b"), slice_str("1")), 0);
        wb_of(s.top)->error = -ENOSPC; /* as after a batch that failed */
        assert_int_equal(kv_commit(t), -ENOSPC);
        kv_end(t);
        assert_int_equal(err, -ECANCELED);
        kv_unwatch(watch);
        wb_of(s.top)->error = 0;
        assert_int_equal(kv_close(s.top), 0);
}

static void the_committer_tries_again_by_itself(void **state)
{
        struct kv_writebehind_opts opts = { .age_ms = 10 };
        struct kv_fault_opts none = { 0 }, faults = { .no_space_ppm = 1000000 };
        struct stack s;
        int tries = 0;

        (void)state;
        stack_open(&s, &none, &opts);
        kv_fault_set(s.fault, &faults);
        assert_true(set(s.top, 0, "a", 1) >= 0);
        assert_int_equal(kv_sync(s.top), -ENOSPC);
        kv_fault_set(s.fault, &none);
        while (get(s.mem, "a") != 1) {
                assert_true(++tries < 500);
                nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
        }
        assert_int_equal(kv_close(s.top), 0);
}

static void a_lost_owner_writes_nothing(void **state)
{
        struct kv_writebehind_opts opts = { .age_ms = 60000, .fence = slice_str("owner") };
        struct kv_fault_opts none = { 0 };
        struct kv_open_opts create = { .flags = KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE };
        struct stack s;

        (void)state;
        assert_int_equal(kv_testing_open("mem:", &create, &s.mem, NULL), 0);
        assert_true(set(s.mem, 0, "owner", 1) >= 0);
        assert_int_equal(kv_fault_open(s.mem, &none, &s.fault), 0);
        assert_int_equal(kv_writebehind_open(s.fault, &opts, &s.top), 0);
        assert_true(set(s.top, 0, "a", 1) >= 0);
        assert_int_equal(kv_sync(s.top), 0);
        assert_true(set(s.top, 0, "a", 2) >= 0);
        /* The eviction, directly in the store below. */
        assert_true(set(s.mem, 0, "other", 1) >= 0);
        {
                struct kv_txn *t;

                assert_int_equal(kv_begin(s.mem, KV_WRITE, &t), 0);
                assert_int_equal(kv_clear(t, slice_str("owner")), 0);
                assert_int_equal(kv_commit(t), 0);
                kv_end(t);
        }
        assert_int_equal(kv_sync(s.top), -ERR_FENCED);
        assert_int_equal(set(s.top, 0, "a", 3), -ERR_FENCED);
        assert_int_equal(set(s.top, KV_RESERVE, "a", 3), -ERR_FENCED);
        assert_int_equal(get(s.mem, "a"), 1);
        assert_int_equal(kv_close(s.top), -ERR_FENCED);
}

/* ---- bounds -------------------------------------------------------------------------------------- */

static int big_body(struct kv_txn *t, void *arg)
{
        uint64_t n = *(uint64_t *)arg;
        char key[24];
        void *data;
        int r;

        snprintf(key, sizeof(key), "big%08llu", (unsigned long long)n);
        r = kv_set_reserve(t, slice_str(key), 20000, &data);
        if (r >= 0)
                memset(data, (int)n, 20000);
        return r;
}

static void memory_is_bounded(void **state)
{
        struct kv_writebehind_opts opts = { .memory_bytes = 1 << 20, .batch_bytes = 256 << 10 };
        struct kv_fault_opts slow = { .slow_ppm = 1000000, .slow_us = 20 };
        struct stack s;

        (void)state;
        stack_open(&s, &slow, &opts);
        for (uint64_t n = 0; n < 500; n++) {
                struct wb_store *wb = wb_of(s.top);

                assert_true(kv_run(s.top, KV_WRITE, big_body, &n) >= 0);
                lock_acquire(&wb->lock);
                assert_true(wb->memory_used <= (1 << 20) + 100000);
                lock_release(&wb->lock);
        }
        /* The versions of one key that is written often must not fill memory. */
        for (uint64_t n = 0; n < 1000; n++) {
                uint64_t same = 3;

                assert_true(kv_run(s.top, KV_WRITE, big_body, &same) >= 0);
        }
        assert_int_equal(kv_close(s.top), 0);
}

static int big_fail_body(struct kv_txn *t, void *arg)
{
        int r = big_body(t, arg);

        return r < 0 ? r : -ENOTDIR;
}

/* Values of undone transactions must not fill memory, although no batch includes them. */
static void discarded_transactions_do_not_block(void **state)
{
        struct kv_writebehind_opts opts = { .memory_bytes = 1 << 20, .batch_bytes = 256 << 10 };
        struct kv_fault_opts none = { 0 };
        struct stack s;

        (void)state;
        stack_open(&s, &none, &opts);
        for (uint64_t n = 0; n < 500; n++)
                assert_int_equal(kv_run(s.top, KV_WRITE, big_fail_body, &n), -ENOTDIR);
        assert_true(set(s.top, 0, "a", 1) >= 0);
        assert_int_equal(kv_close(s.top), 0);
}

/* ---- readers beside batches ---------------------------------------------------------------------- */

#define ACCOUNTS 40u
#define TOTAL    (ACCOUNTS * 1000)

struct bank {
        struct kv_store *s;
        _Atomic bool done;
        uint64_t seed;
};

static int transfer_body(struct kv_txn *t, void *arg)
{
        const unsigned *ends = arg;
        uint64_t balance[2];
        char key[2][16];
        struct slice v;
        int r;

        for (int i = 0; i < 2; i++) {
                snprintf(key[i], sizeof(key[i]), "acc%04u", ends[i]);
                r = kv_get(t, slice_str(key[i]), 0, &v);
                if (r < 0)
                        return r;
                memcpy(&balance[i], v.data, sizeof(balance[i]));
        }
        if (balance[0] == 0)
                return 0;
        balance[0]--;
        balance[1]++;
        /* Sometimes as clear and set: the absent key in between must never be seen. */
        if (ends[0] % 3 == 0) {
                r = kv_clear_range(t, slice_str(key[0]), slice_str("acd"));
                if (r >= 0)
                        return -EXDEV;
                return r;
        }
        for (int i = 0; i < 2; i++) {
                r = kv_set(t, slice_str(key[i]), slice_of(&balance[i], sizeof(balance[i])));
                if (r < 0)
                        return r;
        }
        return 0;
}

struct sum {
        bool reverse;
        uint64_t total;
        unsigned n;
};

static int sum_body(struct kv_txn *t, void *arg)
{
        struct sum *sum = arg;
        struct kv_range_opts opts = { .begin = slice_str("acc"),
                                      .end = slice_str("acd"),
                                      .reverse = sum->reverse };
        struct kv_range range;
        struct slice key, value;
        int r;

        sum->total = 0;
        sum->n = 0;
        kv_range_start(t, &range, &opts);
        while ((r = kv_range_next(&range, &key, &value)) > 0) {
                uint64_t balance;

                memcpy(&balance, value.data, sizeof(balance));
                sum->total += balance;
                sum->n++;
        }
        kv_range_end(&range);
        return r;
}

static void *bank_reader(void *arg)
{
        struct bank *bank = arg;
        struct sum sum = { 0 };

        while (!atomic_load(&bank->done)) {
                sum.reverse = !sum.reverse;
                assert_true(kv_run(bank->s, KV_READ, sum_body, &sum) >= 0);
                assert_int_equal(sum.n, ACCOUNTS);
                assert_int_equal(sum.total, TOTAL);
        }
        return NULL;
}

static void *bank_writer(void *arg)
{
        struct bank *bank = arg;
        struct rng rng;

        rng_seed(&rng, bank->seed);
        for (int i = 0; i < 20000; i++) {
                unsigned from = (unsigned)rng_below(&rng, ACCOUNTS);
                unsigned ends[2] = { from, (unsigned)rng_below(&rng, ACCOUNTS) };
                int r;

                if (ends[0] == ends[1])
                        continue;
                r = kv_run(bank->s, KV_WRITE, transfer_body, ends);
                assert_true(r == 0 || r == -EXDEV);
        }
        return NULL;
}

static void readers_see_whole_transactions(void **state)
{
        struct kv_writebehind_opts opts = { .age_ms = 1, .batch_bytes = 2048 };
        struct kv_fault_opts none = { 0 };
        struct bank bank = { .seed = seed_get() };
        pthread_t readers[2], writers[2];
        struct stack s;

        (void)state;
        stack_open(&s, &none, &opts);
        for (unsigned i = 0; i < ACCOUNTS; i++) {
                char key[16];

                snprintf(key, sizeof(key), "acc%04u", i);
                assert_true(set(s.top, 0, key, 1000) >= 0);
        }
        bank.s = s.top;
        for (int i = 0; i < 2; i++) {
                assert_int_equal(pthread_create(&readers[i], NULL, bank_reader, &bank), 0);
                assert_int_equal(pthread_create(&writers[i], NULL, bank_writer, &bank), 0);
        }
        for (int i = 0; i < 2; i++)
                pthread_join(writers[i], NULL);
        atomic_store(&bank.done, true);
        for (int i = 0; i < 2; i++)
                pthread_join(readers[i], NULL);
        assert_int_equal(kv_close(s.top), 0);
}

/* ---- transactions that are written through ------------------------------------------------------- */

#define TWINS 25u

/* A store that has no space to reserve once FULL is set, and whose commits then return late. */
struct full {
        struct filter filter;
        _Atomic bool full;
};

static int full_reserve(struct kv_store *s, const struct kv_need *need)
{
        struct kv_store *below = filter_store_below(s);

        return atomic_load(&((struct full *)s)->full) ? -ENOSPC : below->ops->reserve(below, need);
}

static int full_commit(struct kv_txn *t)
{
        int r = filter_commit(t);

        if ((t->flags & KV_WRITE) && atomic_load(&((struct full *)t->store)->full))
                nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
        return r;
}

static struct full *full_open(void)
{
        struct kv_open_opts create = { .flags = KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE };
        struct full *f = calloc(1, sizeof(*f));
        struct kv_store *mem;

        assert_non_null(f);
        assert_int_equal(kv_testing_open("mem:", &create, &mem, NULL), 0);
        filter_init(&f->filter, "full", mem);
        f->filter.ops.reserve = full_reserve;
        f->filter.ops.commit = full_commit;
        return f;
}

/* The twins "a" N and "b" N always have the same value. */
static struct slice twin_key(char which, unsigned n, char buf[16])
{
        return slice_of(buf, (size_t)snprintf(buf, 16, "%c%u", which, n));
}

struct twins_write {
        unsigned n;
        bool both; /* false: only "a", with the value that it has */
        uint64_t value;
};

static int twins_body(struct kv_txn *t, void *arg)
{
        const struct twins_write *w = arg;
        struct slice value = slice_of(&w->value, sizeof(w->value));
        char key[16];
        int r = kv_set(t, twin_key('a', w->n, key), value);

        return r < 0 || !w->both ? r : kv_set(t, twin_key('b', w->n, key), value);
}

static void twins_set(struct kv_store *s, unsigned n, bool both, uint64_t value)
{
        struct twins_write w = { .n = n, .both = both, .value = value };

        assert_true(kv_run(s, KV_WRITE | KV_RESERVE, twins_body, &w) >= 0);
}

static int compare_body(struct kv_txn *t, void *arg)
{
        uint64_t *sum = arg;

        *sum = 0;
        for (unsigned n = 0; n < TWINS; n++) {
                uint64_t values[2];
                char key[16];

                for (int i = 0; i < 2; i++) {
                        struct slice v;
                        int r = kv_get(t, twin_key("ab"[i], n, key), 0, &v);

                        if (r < 0)
                                return r;
                        memcpy(&values[i], v.data, sizeof(values[i]));
                }
                if (values[0] != values[1])
                        return -EBADMSG;
                *sum += values[0];
        }
        return 0;
}

struct comparison {
        struct kv_store *s;
        _Atomic bool done;
        int result; /* of the first comparison that failed */
};

static void *compare_main(void *arg)
{
        struct comparison *c = arg;
        uint64_t sum, last = 0;

        while (c->result == 0 && !atomic_load(&c->done)) {
                c->result = kv_run(c->s, KV_READ, compare_body, &sum);
                if (c->result == 0 && sum < last)
                        c->result = -ESTALE;
                last = sum;
        }
        return NULL;
}

/* In a full store a transaction that frees space is committed below before it is published. Here a reader
 * finds the old value of one key in the overlay, and that of the other one below. */
static void what_is_written_through_is_seen_whole(void **state)
{
        struct kv_writebehind_opts opts = { .age_ms = 3600000 };
        struct comparison c = { .s = NULL };
        struct full *full = full_open();
        pthread_t reader;
        uint64_t sum;

        (void)state;
        assert_int_equal(kv_writebehind_open(&full->filter.base, &opts, &c.s), 0);
        for (unsigned n = 0; n < TWINS; n++)
                twins_set(c.s, n, true, 0);
        assert_int_equal(kv_sync(c.s), 0);
        atomic_store(&full->full, true);
        assert_int_equal(pthread_create(&reader, NULL, compare_main, &c), 0);
        for (unsigned n = 0; n < TWINS; n++) {
                twins_set(c.s, n, false, 0);
                twins_set(c.s, n, true, 1);
                /* It is visible when its commit returns. */
                assert_int_equal(kv_run(c.s, KV_READ, compare_body, &sum), 0);
                assert_int_equal(sum, n + 1);
        }
        atomic_store(&c.done, true);
        pthread_join(reader, NULL);
        assert_int_equal(c.result, 0);
        assert_int_equal(kv_close(c.s), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(everything_is_there_after_close_and_sync),
                cmocka_unit_test(crash_leaves_a_prefix),
                cmocka_unit_test(batches_are_numbered_on),
                cmocka_unit_test(patches_count_as_what_they_make),
                cmocka_unit_test(a_failed_commit_arms_no_watch),
                cmocka_unit_test(becomes_durable_by_itself),
                cmocka_unit_test(a_discarded_transaction_leaves_nothing),
                cmocka_unit_test(failing_batches_lose_nothing),
                cmocka_unit_test(the_committer_tries_again_by_itself),
                cmocka_unit_test(a_lost_owner_writes_nothing),
                cmocka_unit_test(memory_is_bounded),
                cmocka_unit_test(discarded_transactions_do_not_block),
                cmocka_unit_test(readers_see_whole_transactions),
                cmocka_unit_test(what_is_written_through_is_seen_whole),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* kv_run: definite outcomes, the fence, the markers. */
#include "harness.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int return_it(struct kv_txn *t, void *arg)
{
        int r = kv_set(t, slice_str("k"), slice_str("v"));

        return r < 0 ? r : *(int *)arg;
}

static void test_returns(void **state)
{
        static const int errors[] = { -ENOENT, -EEXIST, -EIO, -ENOSPC, -ERR_CORRUPT, -ERR_FENCED };
        struct ctx *c = *state;
        int value = 42;

        for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
                value = errors[i];
                assert_int_equal(kv_run(c->store, KV_WRITE, return_it, &value), errors[i]);
                expect(c, "k", NULL);
        }
        value = 42;
        assert_int_equal(kv_run(c->store, KV_WRITE, return_it, &value), 42);
        expect(c, "k", "v");
        assert_int_equal(kv_run(c->store, KV_WRITE | KV_IDEMPOTENT, return_it, &value), 42);
}

struct again {
        int error, times, runs;
};

static int fail_at_first(struct kv_txn *t, void *arg)
{
        struct again *a = arg;
        int r = kv_atomic(t, KV_ADD, slice_str("n"), slice_str("\1"));

        if (r < 0)
                return r;
        a->runs++;
        return a->runs <= a->times ? a->error : 0;
}

/* A body may ask to be run again; the writes of its earlier run are discarded. */
static void test_runs_again(void **state)
{
        struct ctx *c = *state;
        struct again a = { .error = -ERR_CONFLICT, .times = 3 };

        put(c, "n", "0");
        assert_int_equal(kv_run(c->store, KV_WRITE, fail_at_first, &a), 0);
        assert_true(a.runs >= 4);
        expect(c, "n", "1");
        a = (struct again){ .error = -ERR_RETRY, .times = 2 };
        assert_int_equal(kv_run(c->store, KV_WRITE, fail_at_first, &a), 0);
        expect(c, "n", "2");
}

/* ---- counting from several threads -------------------------------------------------------------- */

#define THREADS 4

struct counting {
        struct ctx *ctx;
        unsigned rounds;
        bool atomic;
        unsigned done, failed;
};

/* Counts by reading and writing; the number is text. */
static int increment(struct kv_txn *t, void *arg)
{
        const struct counting *k = arg;
        struct slice value;
        char text[32] = "0";
        int r;

        if (k->atomic)
                return kv_atomic(t, KV_ADD, slice_str("n"), slice_of("\1\0\0\0", 4));
        r = kv_get(t, slice_str("n"), 0, &value);
        if (r == 0 && value.len < sizeof(text)) {
                memcpy(text, value.data, value.len);
                text[value.len] = '\0';
        } else if (r != -ENOENT) {
                return r;
        }
        snprintf(text, sizeof(text), "%lu", strtoul(text, NULL, 10) + 1);
        return kv_set(t, slice_str("n"), slice_str(text));
}

static void *count_thread(void *arg)
{
        struct counting *k = arg;

        for (unsigned i = 0; i < k->rounds; i++) {
                if (kv_run(k->ctx->store, KV_WRITE, increment, k) == 0)
                        k->done++;
                else
                        k->failed++;
        }
        return NULL;
}

static unsigned count_in_threads(struct ctx *c, bool atomic)
{
        struct counting k[THREADS];
        pthread_t threads[THREADS];
        unsigned done = 0;

        for (int i = 0; i < THREADS; i++) {
                k[i] = (struct counting){ .ctx = c, .rounds = ctx_rounds(c, 2000), .atomic = atomic };
                assert_int_equal(pthread_create(&threads[i], NULL, count_thread, &k[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
                pthread_join(threads[i], NULL);
                assert_int_equal(k[i].failed, 0);
                done += k[i].done;
        }
        return done;
}

/* Each kv_run that succeeds counts exactly once, also when results of commits are unknown. */
static void test_counts_once(void **state)
{
        struct ctx *c = *state;
        char text[32];

        snprintf(text, sizeof(text), "%u", count_in_threads(c, false));
        expect(c, "n", text);
}

static void atomic_count_check(struct tx *x)
{
        const unsigned *n = x->arg;
        const uint8_t bytes[4] = { *n & 255, *n >> 8 & 255, *n >> 16 & 255, *n >> 24 };
        struct slice value = slice_of(bytes, 4);

        tx_expect_slice(x, slice_str("n"), &value);
}

static void test_counts_once_atomically(void **state)
{
        struct ctx *c = *state;
        unsigned n = count_in_threads(c, true);

        run(c, KV_READ, atomic_count_check, &n);
}

/* The same in sequence, with a check after each. */
static void test_counts_in_sequence(void **state)
{
        struct ctx *c = *state;
        struct counting k = { .ctx = c };
        char text[32];

        for (unsigned i = 1; i <= ctx_rounds(c, 1600); i++) {
                assert_int_equal(kv_run(c->store, KV_WRITE, increment, &k), 0);
                snprintf(text, sizeof(text), "%u", i);
                expect(c, "n", text);
        }
}

/* ---- an invariant over two keys ----------------------------------------------------------------- */

/* At least one of two flags must stay set: each thread clears its own if the other one is set. */
struct flags {
        struct ctx *ctx;
        const char *mine, *other;
        unsigned rounds;
};

static int drop_mine(struct kv_txn *t, void *arg)
{
        const struct flags *f = arg;
        struct slice value;
        int r = kv_get(t, slice_str(f->other), 0, &value);

        if (r == -ENOENT)
                return 0; /* then this one must stay */
        return r < 0 ? r : kv_clear(t, slice_str(f->mine));
}

static int raise_mine(struct kv_txn *t, void *arg)
{
        const struct flags *f = arg;

        return kv_set(t, slice_str(f->mine), slice_str("up"));
}

static int count_flags(struct kv_txn *t, void *arg)
{
        struct slice value;
        int a = kv_get(t, slice_str("flag a"), 0, &value), b = kv_get(t, slice_str("flag b"), 0, &value);

        (void)arg;
        if ((a < 0 && a != -ENOENT) || (b < 0 && b != -ENOENT))
                return a < 0 && a != -ENOENT ? a : b;
        return (a == 0) + (b == 0);
}

static void *flag_thread(void *arg)
{
        struct flags *f = arg;
        bool wrong = false;

        for (unsigned i = 0; i < f->rounds; i++) {
                wrong |= kv_run(f->ctx->store, KV_WRITE, drop_mine, f) < 0;
                wrong |= kv_run(f->ctx->store, KV_READ, count_flags, NULL) < 1;
                wrong |= kv_run(f->ctx->store, KV_WRITE | KV_IDEMPOTENT, raise_mine, f) < 0;
        }
        return wrong ? f : NULL;
}

static void test_no_write_skew(void **state)
{
        struct ctx *c = *state;
        struct flags f[2] = { { c, "flag a", "flag b", ctx_rounds(c, 2400) },
                              { c, "flag b", "flag a", ctx_rounds(c, 2400) } };
        pthread_t threads[2];
        void *wrong;

        put(c, "flag a", "up");
        put(c, "flag b", "up");
        for (int i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, flag_thread, &f[i]), 0);
        for (int i = 0; i < 2; i++) {
                pthread_join(threads[i], &wrong);
                assert_null(wrong);
        }
}

/* ---- fence and markers -------------------------------------------------------------------------- */

static void test_fence(void **state)
{
        struct ctx *c = *state;
        int value = 1;

        assert_int_equal(kv_set_fence(c->store, slice_str("\xf1"
                                                          "fence")),
                         0);
        assert_int_equal(kv_run(c->store, KV_WRITE, return_it, &value), -ERR_FENCED);
        assert_int_equal(kv_run(c->store, KV_READ, count_flags, NULL), -ERR_FENCED);
        assert_int_equal(kv_set_fence(c->store, slice_str("")), 0);
        expect(c, "k", NULL);
        put(c,
            "\xf1"
            "fence",
            "here");
        assert_int_equal(kv_set_fence(c->store, slice_str("\xf1"
                                                          "fence")),
                         0);
        assert_int_equal(kv_run(c->store, KV_WRITE, return_it, &value), 1);
        expect(c, "k", "v");
        put(c,
            "\xf1"
            "fence",
            NULL); /* no transaction can follow */
        assert_int_equal(kv_run(c->store, KV_READ, count_flags, NULL), -ERR_FENCED);
        assert_int_equal(kv_run(c->store, KV_WRITE, return_it, &value), -ERR_FENCED);
        /* After an eviction the body's result does not matter. */
        value = -EEXIST;
        assert_int_equal(kv_run(c->store, KV_WRITE, return_it, &value), -ERR_FENCED);
}

/* A mount that is evicted between begin and commit must not commit. */
static void test_fence_conflict(void **state)
{
        struct ctx *c = *state;
        struct slice value;
        struct tx x;

        if (!c->optimistic || c->chaotic)
                skip();
        put(c, "fence", "here");
        x = begin(c, KV_WRITE);
        assert_int_equal(kv_get(x.txn, slice_str("fence"), 0, &value), 0);
        put(c, "fence", NULL);
        tx_set(&x, "k", "late");
        assert_int_equal(commit(&x), -ERR_CONFLICT);
        expect_range(c, "", KEYS_END, "");
}

static int count_keys(struct kv_txn *t, void *arg)
{
        const struct kv_range_opts opts = {
                .begin = slice_str("\xf1marker"),
                .end = slice_str("\xf1markes"),
        };
        struct slice key, value;
        _cleanup_range_ struct kv_range r = KV_RANGE_NONE;
        int more, n = 0;

        (void)arg;
        kv_range_start(t, &r, &opts);
        while ((more = kv_range_next(&r, &key, &value)) > 0)
                n++;
        return more < 0 ? more : n;
}

/* There are few markers after any number of transactions. */
static void test_markers_are_few(void **state)
{
        struct ctx *c = *state;
        int n;

        count_in_threads(c, false);
        n = kv_run(c->store, KV_READ, count_keys, NULL);
        if (kv_limits(c->store)->unknown_results)
                assert_in_range(n, 1, 64);
        else
                assert_true(n >= 0 && n <= 64);
}

struct test_table tests_run(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_returns),
                TEST(test_runs_again),
                TEST(test_counts_once),
                TEST(test_counts_once_atomically),
                TEST(test_counts_in_sequence),
                TEST(test_no_write_skew),
                TEST(test_fence),
                TEST(test_fence_conflict),
                TEST(test_markers_are_few),
        };

        return TABLE(tests);
}

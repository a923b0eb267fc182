/* SPDX-License-Identifier: MIT */
/* Properties of the fault and stats layers beyond the contract. */
#include "kv/kv.h"
#include "kv/layer/layer.h"
#include "kv/testing/testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CERTAIN 1000000 /* parts per million */

static struct kv_store *open_mem(void)
{
        const struct kv_open_opts opts = { .flags = KV_OPEN_CREATE };
        struct err_text text;
        struct kv_store *s;

        assert_int_equal(kv_testing_open("mem:", &opts, &s, &text), 0);
        return s;
}

static struct kv_store *open_fault(struct kv_store *below, struct kv_fault_opts opts)
{
        struct kv_store *s;

        assert_int_equal(kv_fault_open(below, &opts, &s), 0);
        return s;
}

static int put(struct kv_store *s, const char *key, const char *value)
{
        _cleanup_txn_ struct kv_txn *t = NULL;
        int r = kv_begin(s, KV_WRITE, &t);

        if (r < 0)
                return r;
        r = kv_set(t, slice_str(key), slice_str(value));
        return r < 0 ? r : kv_commit(t);
}

/* 1: the key exists, 0: it is absent, or an error. */
static int look(struct kv_store *s, const char *key)
{
        struct slice value;
        _cleanup_txn_ struct kv_txn *t = NULL;
        int r = kv_begin(s, KV_READ, &t);

        if (r < 0)
                return r;
        r = kv_get(t, slice_str(key), 0, &value);
        return r == 0 ? 1 : r == -ENOENT ? 0 : r;
}

/* ---- fault -------------------------------------------------------------------------------------- */

static void test_each_fault(void **state)
{
        static const struct {
                struct kv_fault_opts opts;
                int result;
                bool done;
        } cases[] = {
                { { .conflict_ppm = CERTAIN }, -ERR_CONFLICT, false },
                { { .unknown_done_ppm = CERTAIN }, -ERR_UNKNOWN_RESULT, true },
                { { .unknown_not_done_ppm = CERTAIN }, -ERR_UNKNOWN_RESULT, false },
                { { .io_error_ppm = CERTAIN }, -EIO, false },
                { { .no_space_ppm = CERTAIN }, -ENOSPC, false },
                { { .retry_ppm = CERTAIN }, -ERR_RETRY, false },
                { { .slow_ppm = CERTAIN, .slow_us = 10 }, 0, true },
        };

        (void)state;
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct kv_store *mem = open_mem(), *s = open_fault(mem, cases[i].opts);
                bool unknown = cases[i].result == -ERR_UNKNOWN_RESULT;

                assert_int_equal(kv_limits(s)->unknown_results, unknown);
                assert_int_equal(put(s, "k", "v"), cases[i].result);
                assert_int_equal(look(mem, "k"), cases[i].done);
                assert_int_equal(kv_sync(s), cases[i].result == -EIO ? -EIO : 0);
                kv_fault_set(s, &(struct kv_fault_opts){ 0 });
                assert_int_equal(put(s, "k", "v"), 0);
                assert_int_equal(look(s, "k"), 1);
                kv_close(s);
        }
}

/* Transactions that only read get no failures but transient ones of reads. */
static void test_readers_are_spared(void **state)
{
        struct kv_store *s = open_fault(open_mem(), (struct kv_fault_opts){
                                                            .conflict_ppm = CERTAIN,
                                                            .unknown_done_ppm = CERTAIN,
                                                            .io_error_ppm = CERTAIN,
                                                            .no_space_ppm = CERTAIN,
                                                    });
        struct kv_txn *t;

        (void)state;
        assert_int_equal(kv_begin(s, KV_READ, &t), 0);
        kv_fault_set(s, &(struct kv_fault_opts){ .retry_ppm = CERTAIN, .conflict_ppm = CERTAIN });
        assert_int_equal(kv_commit(t), 0); /* it may have had an external effect: not to be run again */
        kv_end(t);
        assert_int_equal(look(s, "k"), -ERR_RETRY);
        kv_close(s);
}

static void outcomes(uint64_t seed, int *out, int n)
{
        struct kv_store *s = open_fault(open_mem(), (struct kv_fault_opts){
                                                            .seed = seed,
                                                            .conflict_ppm = 200000,
                                                            .unknown_done_ppm = 200000,
                                                            .unknown_not_done_ppm = 100000,
                                                            .retry_ppm = 100000,
                                                            .io_error_ppm = 100000,
                                                            .no_space_ppm = 50000,
                                                    });

        for (int i = 0; i < n; i++) {
                char key[16];

                snprintf(key, sizeof(key), "%d", i);
                out[2 * i] = put(s, key, "v");
                out[2 * i + 1] = look(s, key);
        }
        kv_close(s);
}

static void test_seed_replays(void **state)
{
        int first[400], again[400], other[400];

        (void)state;
        outcomes(1, first, 200);
        outcomes(1, again, 200);
        outcomes(2, other, 200);
        assert_memory_equal(first, again, sizeof(first));
        assert_memory_not_equal(first, other, sizeof(first));
}

/* A body that counts "n", for kv_run_since. */
struct counted {
        struct kv_store *fault;
        unsigned runs, blind;
        bool reading_helps; /* no more faults from the first attempt that reads */
};

static int count_blindly(struct kv_txn *t, void *arg)
{
        struct counted *c = arg;
        struct slice value;
        int r;

        c->runs++;
        if (kv_is_blind(t)) {
                c->blind++;
                r = kv_conflict_key(t, KV_CONFLICT_READ, slice_str("n"));
        } else {
                if (c->reading_helps)
                        kv_fault_set(c->fault, &(struct kv_fault_opts){ 0 });
                r = kv_get(t, slice_str("n"), 0, &value);
                r = r == -ENOENT ? 0 : r;
        }
        return r < 0 ? r : kv_atomic(t, KV_ADD, slice_str("n"), slice_of("\1\0", 2));
}

/* The value of "n". */
static void expect_count(struct kv_store *s, unsigned n)
{
        struct slice value;
        struct kv_txn *t;

        assert_int_equal(kv_begin(s, KV_READ, &t), 0);
        assert_int_equal(kv_get(t, slice_str("n"), 0, &value), 0);
        assert_int_equal(value.len, 2);
        assert_int_equal(value.data[0] | value.data[1] << 8, n);
        kv_end(t);
}

/* A blind commit with an unknown result: its marker decides; an idempotent body is run again and reads. */
static void test_blind_unknown(void **state)
{
        const struct kv_fault_opts none = { 0 }, done = { .unknown_done_ppm = CERTAIN };
        struct kv_store *mem = open_mem(), *s = open_fault(mem, done);
        struct counted c = { .fault = s };
        kv_version m = 0;

        (void)state;
        assert_int_equal(kv_set_markers(s, slice_str("marker")), 0);
        kv_fault_set(s, &none);
        assert_int_equal(kv_run_since(s, KV_WRITE, &m, count_blindly, &c), 0);
        assert_true(m > 0 && c.runs == 1 && c.blind == 0);
        assert_int_equal(kv_run_since(s, KV_WRITE, &m, count_blindly, &c), 0);
        assert_true(m > 0 && c.runs == 2 && c.blind == 1);
        kv_fault_set(s, &done);
        assert_int_equal(kv_run_since(s, KV_WRITE, &m, count_blindly, &c), 0);
        assert_true(m == 0 && c.runs == 3 && c.blind == 2); /* its version is unknown */
        expect_count(mem, 3);
        kv_fault_set(s, &none);
        assert_int_equal(kv_run_since(s, KV_WRITE, &m, count_blindly, &c), 0);
        c = (struct counted){ .fault = s, .reading_helps = true };
        kv_fault_set(s, &done);
        assert_int_equal(kv_run_since(s, KV_WRITE | KV_IDEMPOTENT, &m, count_blindly, &c), 0);
        assert_true(m > 0 && c.runs == 2 && c.blind == 1);
        expect_count(mem, 6);
        /* Not done, or with an unknown result, until it is done. */
        for (unsigned i = 0; i < 200; i++) {
                kv_fault_set(s, &(struct kv_fault_opts){ .unknown_not_done_ppm = 300000,
                                                         .unknown_done_ppm = 300000 });
                assert_int_equal(kv_run_since(s, KV_WRITE, &m, count_blindly, &c), 0);
                expect_count(mem, 7 + i);
        }
        kv_close(s);
}

static void test_crash(void **state)
{
        (void)state;
        for (unsigned at = 0; at < 5; at++)
                for (int after = 0; after < 2; after++) {
                        struct kv_store *mem = open_mem();
                        struct kv_store *s = open_fault(mem, (struct kv_fault_opts){ .keep_below = true });
                        struct kv_space space;
                        struct kv_txn *open_before;
                        char key[16];

                        assert_int_equal(kv_begin(s, KV_WRITE, &open_before), 0);
                        kv_fault_crash_at(s, at, after);
                        for (unsigned i = 0; i < 8; i++) {
                                snprintf(key, sizeof(key), "%u", i);
                                assert_int_equal(put(s, key, "v"), i < at ? 0 : -EIO);
                                assert_int_equal(look(s, key), i < at ? 1 : -EIO);
                        }
                        assert_int_equal(kv_set(open_before, slice_str("k"), slice_str("v")), -EIO);
                        assert_int_equal(kv_commit(open_before), -EIO);
                        kv_end(open_before);
                        assert_int_equal(kv_sync(s), -EIO);
                        assert_int_equal(kv_space(s, &space), -EIO);
                        assert_int_equal(kv_close(s), -EIO);

                        /* The store after the crash. */
                        for (unsigned i = 0; i < 8; i++) {
                                snprintf(key, sizeof(key), "%u", i);
                                assert_int_equal(look(mem, key), i < at || (i == at && after));
                        }
                        assert_int_equal(look(mem, "k"), 0);
                        s = open_fault(mem, (struct kv_fault_opts){ 0 });
                        assert_int_equal(put(s, "next", "v"), 0);
                        assert_int_equal(kv_close(s), 0);
                }
}

/* ---- stats -------------------------------------------------------------------------------------- */

static void test_counts(void **state)
{
        const struct kv_range_opts opts = { .begin = slice_str("a"), .end = slice_str("z") };
        struct kv_stats n;
        struct kv_store *s;
        struct kv_range r;
        struct slice key, value;
        struct kv_txn *t, *other;
        void *data;

        (void)state;
        assert_int_equal(kv_stats_open(open_mem(), &s), 0);
        kv_begin(s, KV_WRITE, &t);
        kv_begin(s, KV_WRITE, &other);
        kv_get(t, slice_str("b"), 0, &value);
        kv_set(t, slice_str("b"), slice_str("123"));
        kv_set_reserve(t, slice_str("c"), 5, &data);
        memset(data, 'x', 5);
        kv_clear(t, slice_str("d"));
        kv_clear_range(t, slice_str("e"), slice_str("g"));
        kv_atomic(t, KV_ADD, slice_str("h"), slice_str("1"));
        kv_get(other, slice_str("b"), 0, &value);
        kv_set(other, slice_str("b"), slice_str("4"));
        assert_int_equal(kv_commit(other), 0);
        assert_int_equal(kv_commit(t), -ERR_CONFLICT);
        kv_end(other);
        kv_end(t);
        kv_begin(s, KV_READ, &t);
        kv_range_start(t, &r, &opts);
        while (kv_range_next(&r, &key, &value) > 0)
                continue;
        kv_range_end(&r);
        kv_get(t, slice_str("b"), 0, &value);
        assert_int_equal(kv_commit(t), 0);
        kv_end(t);
        kv_sync(s);

        kv_stats_get(s, &n);
        assert_int_equal(n.txns, 3);
        assert_int_equal(n.commits, 2);
        assert_int_equal(n.conflicts, 1);
        assert_int_equal(n.commit_errors, 0);
        assert_int_equal(n.gets, 3);
        assert_int_equal(n.ranges, 1);
        assert_int_equal(n.range_pairs, 1);
        assert_int_equal(n.sets, 3);
        assert_int_equal(n.clears, 1);
        assert_int_equal(n.clear_ranges, 1);
        assert_int_equal(n.atomics, 1);
        assert_int_equal(n.watches, 0);
        assert_int_equal(n.syncs, 1);
        assert_int_equal(n.read_bytes, 3); /* "b" "4" of the range, "4" of the get */
        assert_int_equal(n.written_bytes, 4 + 6 + 2 + 2);
        assert_int_equal(n.read_rounds, 4);
        kv_stats_reset(s);
        kv_stats_get(s, &n);
        assert_int_equal(n.txns, 0);
        assert_int_equal(n.read_rounds, 0);
        kv_close(s);
}

static uint64_t rounds(struct kv_store *s)
{
        struct kv_stats n;

        kv_stats_get(s, &n);
        kv_stats_reset(s);
        return n.read_rounds;
}

/* Reads in flight at the same time cost one round. */
static void test_rounds(void **state)
{
        const struct kv_range_opts opts = { .begin = slice_str("a"), .end = slice_str("z") };
        struct kv_read r[20];
        struct kv_range range, idle;
        struct slice key, value;
        struct kv_store *s;
        struct kv_txn *t;

        (void)state;
        assert_int_equal(kv_stats_open(open_mem(), &s), 0);
        assert_int_equal(put(s, "b", "1"), 0);
        kv_begin(s, KV_READ, &t);

        for (int i = 0; i < 20; i++)
                kv_get_start(t, &r[i], slice_str("b"), 0);
        for (int i = 0; i < 20; i++)
                kv_get_wait(t, &r[(i * 7) % 20], &value);
        assert_int_equal(rounds(s), 1);

        for (int i = 0; i < 3; i++)
                kv_get(t, slice_str("b"), 0, &value);
        assert_int_equal(rounds(s), 3);

        /* A read that is started first and waited for last costs no round beside others in sequence. */
        kv_get_start(t, &r[0], slice_str("b"), 0);
        for (int i = 0; i < 3; i++)
                kv_get(t, slice_str("b"), 0, &value);
        kv_get_wait(t, &r[0], &value);
        assert_int_equal(rounds(s), 3);

        /* A read started after the first wait is not covered by it. */
        kv_get_start(t, &r[0], slice_str("b"), 0);
        kv_get_start(t, &r[1], slice_str("b"), 0);
        kv_get_wait(t, &r[0], &value);
        kv_get_start(t, &r[2], slice_str("b"), 0);
        kv_get_wait(t, &r[2], &value);
        kv_get_wait(t, &r[1], &value);
        assert_int_equal(rounds(s), 2);

        /* A range is a read; one that is never waited for costs no round. */
        kv_range_start(t, &range, &opts);
        kv_range_start(t, &idle, &opts);
        kv_get_start(t, &r[0], slice_str("b"), 0);
        while (kv_range_next(&range, &key, &value) > 0)
                continue;
        kv_get_wait(t, &r[0], &value);
        kv_range_end(&range);
        kv_range_end(&idle);
        assert_int_equal(rounds(s), 1);
        kv_end(t);
        kv_close(s);
}

/* ---- writebehind over a store whose reads cost round trips ---------------------------------------- */

/* The values that the patches of a batch apply to are read together. */
static void test_batch_rounds(void **state)
{
        const struct kv_writebehind_opts opts = { .age_ms = 1000000 };
        struct kv_store *below, *s;
        char values[4001];
        struct slice value;
        struct kv_txn *t;

        (void)state;
        assert_int_equal(kv_stats_open(open_mem(), &below), 0);
        memset(values, '.', sizeof(values) - 1);
        values[sizeof(values) - 1] = '\0';
        ((struct kv_limits *)(uintptr_t)kv_limits(below))->remote = true;
        for (char key[] = "a"; key[0] <= 'z'; key[0]++)
                assert_int_equal(put(below, key, values), 0);
        assert_int_equal(kv_writebehind_open(below, &opts, &s), 0);
        assert_int_equal(kv_begin(s, KV_WRITE, &t), 0);
        for (char key[] = "a"; key[0] <= 'z'; key[0]++)
                assert_int_equal(kv_patch(t, slice_str(key), 3, slice_str(key)), 0);
        assert_int_equal(kv_commit(t), 0);
        kv_end(t);
        kv_stats_reset(below);
        assert_int_equal(kv_sync(s), 0);
        assert_int_equal(rounds(below), 1);

        assert_int_equal(kv_begin(below, KV_READ, &t), 0);
        for (char key[] = "a"; key[0] <= 'z'; key[0]++) {
                values[3] = key[0];
                assert_int_equal(kv_get(t, slice_str(key), 0, &value), 0);
                assert_true(slice_eq(value, slice_str(values)));
        }
        kv_end(t);
        assert_int_equal(kv_close(s), 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_fault),   cmocka_unit_test(test_readers_are_spared),
                cmocka_unit_test(test_seed_replays), cmocka_unit_test(test_blind_unknown),
                cmocka_unit_test(test_crash),        cmocka_unit_test(test_counts),
                cmocka_unit_test(test_rounds),       cmocka_unit_test(test_batch_rounds),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

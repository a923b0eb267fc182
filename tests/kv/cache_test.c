/* SPDX-License-Identifier: MIT */
/* Properties of the cache layer beyond the contract: which reads it saves, and that a transaction never sees
 * another version than that of its snapshot. */
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

struct stack {
        struct kv_store *fault, *stats, *cache; /* from below, over mem */
};

static void stack_open(struct stack *s)
{
        const struct kv_open_opts opts = { .flags = KV_OPEN_CREATE };
        const struct kv_fault_opts faults = { .unknown_not_done_ppm = 1 };
        const struct kv_fault_opts none = { 0 };
        struct err_text text;
        struct kv_store *mem;

        assert_int_equal(kv_testing_open("mem:", &opts, &mem, &text), 0);
        assert_int_equal(kv_fault_open(mem, &faults, &s->fault), 0);
        kv_fault_set(s->fault, &none);
        assert_int_equal(kv_stats_open(s->fault, &s->stats), 0);
        assert_int_equal(kv_cache_open(s->stats, &(struct kv_cache_opts){ .prefixes = "abf" }, &s->cache), 0);
}

static int write_one(struct stack *s, const char *key, const char *value)
{
        _cleanup_txn_ struct kv_txn *t = NULL;
        int r;

        assert_int_equal(kv_begin(s->cache, KV_WRITE, &t), 0);
        r = value ? kv_set(t, slice_str(key), slice_str(value)) : kv_clear(t, slice_str(key));
        assert_int_equal(r, 0);
        return kv_commit(t);
}

static void put(struct stack *s, const char *key, const char *value)
{
        assert_int_equal(write_one(s, key, value), 0);
}

/* T reads VALUE (NULL: absent), with READS below. */
static void expect_in(struct stack *s, struct kv_txn *t, const char *key, const char *value, unsigned reads)
{
        struct kv_stats n;
        struct slice found;

        kv_stats_reset(s->stats);
        if (value) {
                assert_int_equal(kv_get(t, slice_str(key), 0, &found), 0);
                assert_true(slice_eq(found, slice_str(value)));
        } else {
                assert_int_equal(kv_get(t, slice_str(key), 0, &found), -ENOENT);
        }
        kv_stats_get(s->stats, &n);
        assert_int_equal(n.gets, reads);
}

static void expect(struct stack *s, const char *key, const char *value, unsigned reads)
{
        struct kv_txn *t;

        assert_int_equal(kv_begin(s->cache, KV_READ, &t), 0);
        expect_in(s, t, key, value, reads);
        kv_end(t);
}

static void test_saves_reads(void **state)
{
        const struct kv_range_opts all = { .begin = slice_str("a"), .end = slice_str("z") };
        struct slice key, value;
        struct kv_range range;
        struct kv_txn *t;
        struct stack s;
        char large[2000];

        (void)state;
        memset(large, 'l', sizeof(large) - 1);
        large[sizeof(large) - 1] = '\0';
        stack_open(&s);
        expect(&s, "a", NULL, 1);
        expect(&s, "a", NULL, 0);
        put(&s, "a", "1");
        expect(&s, "a", "1", 0);
        put(&s, "a", NULL);
        expect(&s, "a", NULL, 0);
        /* The last of several writes in one transaction counts. */
        assert_int_equal(kv_begin(s.cache, KV_WRITE, &t), 0);
        kv_set(t, slice_str("a"), slice_str("2"));
        kv_clear(t, slice_str("a"));
        kv_set(t, slice_str("a"), slice_str("3"));
        kv_set(t, slice_str("b"), slice_str("1"));
        kv_atomic(t, KV_BYTE_MAX, slice_str("b"), slice_str("2"));
        assert_int_equal(kv_commit(t), 0);
        kv_end(t);
        expect(&s, "a", "3", 0);
        expect(&s, "b", "2", 1);
        expect(&s, "b", "2", 0);
        /* Large values, and keys that others may write, are not cached. */
        put(&s, "f", large);
        expect(&s, "f", large, 1);
        expect(&s, "f", large, 1);
        put(&s, "p", "1");
        expect(&s, "p", "1", 1);
        expect(&s, "p", "1", 1);
        /* Pairs that a range returned. */
        assert_int_equal(kv_begin(s.cache, KV_WRITE, &t), 0);
        assert_int_equal(kv_clear_range(t, slice_str("b"), slice_str("c")), 0);
        assert_int_equal(kv_commit(t), 0);
        kv_end(t);
        assert_int_equal(kv_begin(s.cache, KV_READ, &t), 0);
        kv_range_start(t, &range, &all);
        while (kv_range_next(&range, &key, &value) > 0)
                continue;
        kv_range_end(&range);
        kv_end(t);
        expect(&s, "a", "3", 0);
        expect(&s, "b", NULL, 1);
        assert_int_equal(kv_close(s.cache), 0);
}

/* A transaction sees the version of its begin, also if others are cached later, and values that it reads are
 * not cached for later transactions. */
static void test_versions(void **state)
{
        struct kv_txn *old, *older;
        struct stack s;

        (void)state;
        stack_open(&s);
        put(&s, "a", "1");
        assert_int_equal(kv_begin(s.cache, KV_READ, &older), 0);
        put(&s, "a", "2");
        put(&s, "b", "1");
        assert_int_equal(kv_begin(s.cache, KV_READ, &old), 0);
        put(&s, "a", "3");
        expect_in(&s, old, "a", "2", 1);
        expect(&s, "a", "3", 0);
        expect_in(&s, older, "a", "1", 1);
        expect_in(&s, older, "b", NULL, 1);
        expect_in(&s, old, "b", "1", 0);
        expect(&s, "a", "3", 0);
        kv_end(old);
        kv_end(older);
        assert_int_equal(kv_close(s.cache), 0);
}

/* A key of a commit with an unknown result is read each time, until a later commit decides it. */
static void test_unknown(void **state)
{
        const struct kv_fault_opts unknown = { .unknown_not_done_ppm = CERTAIN };
        const struct kv_fault_opts conflict = { .conflict_ppm = CERTAIN };
        const struct kv_fault_opts none = { 0 };
        struct stack s;

        (void)state;
        stack_open(&s);
        put(&s, "a", "1");
        kv_fault_set(s.fault, &conflict);
        assert_int_equal(write_one(&s, "a", "2"), -ERR_CONFLICT);
        expect(&s, "a", "1", 1);
        expect(&s, "a", "1", 0);
        kv_fault_set(s.fault, &unknown);
        assert_int_equal(write_one(&s, "a", "2"), -ERR_UNKNOWN_RESULT);
        expect(&s, "a", "1", 1);
        expect(&s, "a", "1", 1);
        kv_fault_set(s.fault, &conflict);
        assert_int_equal(write_one(&s, "b", "2"), -ERR_CONFLICT);
        expect(&s, "a", "1", 1);
        expect(&s, "a", "1", 1);
        kv_fault_set(s.fault, &none);
        put(&s, "b", "2");
        expect(&s, "a", "1", 1);
        expect(&s, "a", "1", 0);
        assert_int_equal(kv_close(s.cache), 0);
}

static void test_fresh(void **state)
{
        struct stack s;

        (void)state;
        stack_open(&s);
        assert_int_equal(kv_cache_fresh(s.cache, slice_str("b"), slice_str("c")), 0);
        for (int i = 0; i < 1000; i++) {
                char key[8];

                snprintf(key, sizeof(key), "b%d", i);
                expect(&s, key, NULL, 0);
        }
        expect(&s, "c", NULL, 1);
        put(&s, "b1", "1");
        expect(&s, "b1", "1", 0);
        assert_int_equal(kv_close(s.cache), 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_saves_reads),
                cmocka_unit_test(test_versions),
                cmocka_unit_test(test_unknown),
                cmocka_unit_test(test_fresh),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

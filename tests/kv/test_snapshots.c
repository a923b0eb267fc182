/* SPDX-License-Identifier: MIT */
/* Readers see one version while writers commit, in every kind of store. */
#include "harness.h"

#include <stdio.h>
#include <string.h>

static void test_reader_keeps_its_version(void **state)
{
        struct ctx *c = *state;
        struct tx reader, later;

        if (c->chaotic)
                skip();
        put(c, "a", "1");
        put(c, "b", "1");
        put(c, "c", "1");
        reader = begin(c, KV_READ);
        put(c, "a", "2");
        put(c, "b", NULL);
        put(c, "d", "2");
        tx_expect_range(&reader, "", KEYS_END, "a=1 b=1 c=1");
        tx_expect_reverse(&reader, "", KEYS_END, "c=1 b=1 a=1");
        tx_expect(&reader, "a", "1");
        tx_expect(&reader, "b", "1");
        tx_expect(&reader, "d", NULL);
        later = begin(c, KV_READ);
        tx_expect_range(&later, "", KEYS_END, "a=2 c=1 d=2");
        put(c, "b", "3");
        put(c, "a", NULL);
        tx_expect(&reader, "b", "1");
        tx_expect(&later, "b", NULL);
        tx_expect_range(&reader, "", KEYS_END, "a=1 b=1 c=1");
        tx_expect_range(&later, "", KEYS_END, "a=2 c=1 d=2");
        assert_int_equal(kv_sync(c->store), 0);
        tx_expect_range(&reader, "", KEYS_END, "a=1 b=1 c=1");
        assert_int_equal(commit(&reader), 0);
        tx_expect_range(&later, "", KEYS_END, "a=2 c=1 d=2");
        assert_int_equal(commit(&later), 0);
        expect_range(c, "", KEYS_END, "b=3 c=1 d=2");
}

/* Bytes that were returned do not change until the transaction ends, while writers change the keys. */
static void test_slices_stay(void **state)
{
        struct ctx *c = *state;
        struct slice small, large;
        static char value[5000];
        struct tx reader;

        if (c->chaotic)
                skip();
        memset(value, 'x', sizeof(value) - 1);
        put(c, "large", value);
        put(c, "small", "tiny");
        reader = begin(c, KV_READ);
        assert_int_equal(kv_get(reader.txn, slice_str("large"), 0, &large), 0);
        assert_int_equal(kv_get(reader.txn, slice_str("small"), 0, &small), 0);
        for (int i = 0; i < 30; i++) {
                memset(value, 'a' + i % 26, sizeof(value) - 1);
                put(c, "large", i % 3 == 2 ? NULL : value);
                put(c, "small", i % 3 == 2 ? NULL : "other");
                put(c, "more", value);
                if (i == 15)
                        assert_int_equal(kv_sync(c->store), 0);
        }
        assert_int_equal(large.len, sizeof(value) - 1);
        for (size_t i = 0; i < large.len; i++)
                assert_int_equal(large.data[i], 'x');
        assert_true(slice_eq(small, slice_str("tiny")));
        discard(&reader);
}

/* A range that has begun continues in the version of its transaction's begin. */
static void test_range_under_way(void **state)
{
        struct ctx *c = *state;
        const struct kv_range_opts opts = { .begin = slice_str("k"), .end = slice_str("l") };
        struct slice key, value;
        struct kv_range r;
        struct tx reader;
        char name[16];

        if (c->chaotic)
                skip();
        for (int i = 0; i < 20; i++) {
                snprintf(name, sizeof(name), "k%02d", i);
                put(c, name, "old");
        }
        reader = begin(c, KV_READ);
        kv_range_start(reader.txn, &r, &opts);
        for (int i = 0; i < 20; i++) {
                snprintf(name, sizeof(name), "k%02d", i);
                assert_int_equal(kv_range_next(&r, &key, &value), 1);
                assert_true(slice_eq(key, slice_str(name)));
                assert_true(slice_eq(value, slice_str("old")));
                /* The key that was returned, the next one, and a new one in between. */
                put(c, name, NULL);
                snprintf(name, sizeof(name), "k%02d", i + 1);
                put(c, name, i & 1 ? "new" : NULL);
                snprintf(name, sizeof(name), "k%02dx", i);
                put(c, name, "new");
                if (i == 10)
                        assert_int_equal(kv_sync(c->store), 0);
        }
        assert_int_equal(kv_range_next(&r, &key, &value), 0);
        kv_range_end(&r);
        assert_int_equal(commit(&reader), 0);
}

struct test_table tests_snapshots(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_reader_keeps_its_version),
                TEST(test_slices_stay),
                TEST(test_range_under_way),
        };

        return TABLE(tests);
}

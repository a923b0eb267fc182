/* SPDX-License-Identifier: MIT */
/* Reading, writing, ranges, limits. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_set_get_clear(void **state)
{
        struct ctx *c = *state;

        expect(c, "a", NULL);
        put(c, "a", "1");
        expect(c, "a", "1");
        put(c, "a", "another");
        expect(c, "a", "another");
        put(c, "a", "");
        expect(c, "a", "");
        put(c, "a", NULL);
        expect(c, "a", NULL);
        put(c, "a", NULL); /* an absent key can be cleared */
        expect(c, "a", NULL);
        put(c, "a", "2");
        expect(c, "a", "2");
        expect(c, "", NULL);
        expect(c, "aa", NULL);
}

static void binary_body(struct tx *x)
{
        tx_set_slice(x, slice_of("a", 1), slice_of("0", 1));
        tx_set_slice(x, slice_of("a\0", 2), slice_of("\0", 1));
        tx_set_slice(x, slice_of("a\0b", 3), slice_of("\0\0\0", 3));
        tx_set_slice(x, slice_of("\0", 1), slice_of("z", 1));
        tx_set_slice(x, slice_of("\0\0", 2), slice_of("y", 1));
        tx_set_slice(x, slice_of("\xef\xff", 2), slice_of("\xff", 1));
}

static void binary_check(struct tx *x)
{
        static const struct slice keys[] = {
                { (const uint8_t *)"\0", 1 },   { (const uint8_t *)"\0\0", 2 },
                { (const uint8_t *)"a", 1 },    { (const uint8_t *)"a\0", 2 },
                { (const uint8_t *)"a\0b", 3 }, { (const uint8_t *)"\xef\xff", 2 },
        };
        const struct kv_range_opts opts = { .end = slice_str(KEYS_END) };
        struct slice key, value;
        _cleanup_range_ struct kv_range r = KV_RANGE_NONE;
        size_t n = 0;
        int more;

        kv_range_start(x->txn, &r, &opts);
        while ((more = kv_range_next(&r, &key, &value)) > 0) {
                assert_true(n < 6);
                assert_true(slice_eq(key, keys[n]));
                n++;
        }
        if (tx_ok(x, more))
                assert_int_equal(n, 6);
        tx_expect_slice(x, slice_of("a\0b", 3), &(struct slice){ (const uint8_t *)"\0\0\0", 3 });
}

static void test_binary(void **state)
{
        run(*state, KV_WRITE, binary_body, NULL);
        run(*state, KV_READ, binary_check, NULL);
}

static void letters(struct tx *x)
{
        tx_set(x, "b", "1");
        tx_set(x, "d", "2");
        tx_set(x, "f", "3");
        tx_set(x, "h", "4");
}

static void ranges_check(struct tx *x)
{
        static const struct {
                const char *begin, *end;
                size_t limit;
                bool reverse;
                const char *pairs;
        } cases[] = {
                { "", KEYS_END, 0, false, "b=1 d=2 f=3 h=4" },
                { "", KEYS_END, 0, true, "h=4 f=3 d=2 b=1" },
                { "b", "h", 0, false, "b=1 d=2 f=3" },
                { "b", "h", 0, true, "f=3 d=2 b=1" },
                { "c", "g", 0, false, "d=2 f=3" },
                { "c", "g", 0, true, "f=3 d=2" },
                { "a", "b", 0, false, "" },
                { "a", "b", 0, true, "" },
                { "i", "z", 0, false, "" },
                { "i", "z", 0, true, "" },
                { "b", "b", 0, false, "" },
                { "f", "b", 0, false, "" },
                { "f", "b", 0, true, "" },
                { "", "", 0, true, "" },
                { "b", "ba", 0, false, "b=1" },
                { "ba", "d", 0, false, "" },
                { "", KEYS_END, 1, false, "b=1" },
                { "", KEYS_END, 1, true, "h=4" },
                { "", KEYS_END, 2, false, "b=1 d=2" },
                { "", KEYS_END, 3, true, "h=4 f=3 d=2" },
                { "", KEYS_END, 4, false, "b=1 d=2 f=3 h=4" },
                { "", KEYS_END, 9, true, "h=4 f=3 d=2 b=1" },
                { "c", "z", 1, false, "d=2" },
                { "a", "g", 1, true, "f=3" },
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                for (int mode = 0; mode < 4; mode++) {
                        const struct kv_range_opts opts = {
                                .begin = slice_str(cases[i].begin),
                                .end = slice_str(cases[i].end),
                                .limit = cases[i].limit,
                                .reverse = cases[i].reverse,
                                .mode = mode & 1 ? KV_ALL : KV_ITERATE,
                                .snapshot = mode & 2,
                        };

                        tx_expect_opts(x, &opts, cases[i].pairs);
                }
}

static void ranges_written_and_checked(struct tx *x)
{
        letters(x);
        ranges_check(x);
}

static void test_ranges(void **state)
{
        run(*state, KV_WRITE, ranges_written_and_checked, NULL);
        run(*state, KV_READ, ranges_check, NULL);
        run(*state, KV_WRITE, ranges_check, NULL);
}

/* Several reads and ranges at once, and ranges that stop early. */
static void together_body(struct tx *x)
{
        const struct kv_range_opts up = { .begin = slice_str("a"), .end = slice_str("z") };
        const struct kv_range_opts down = { .begin = slice_str("a"), .end = slice_str("z"), .reverse = true };
        static const char *const keys[] = { "b", "c", "d", "h", "d" };
        static const char *const values[] = { "1", NULL, "2", "4", "2" };
        struct kv_read reads[5];
        struct kv_range r1, r2;
        struct slice k1, k2, v1, v2;

        kv_range_start(x->txn, &r1, &up);
        for (int i = 0; i < 5; i++)
                kv_get_start(x->txn, &reads[i], slice_str(keys[i]), i & 1 ? KV_SNAPSHOT : 0);
        kv_range_start(x->txn, &r2, &down);
        for (int i = 0; i < 4 && x->err == 0; i++)
                if (tx_ok(x, kv_range_next(&r1, &k1, &v1)) && tx_ok(x, kv_range_next(&r2, &k2, &v2))) {
                        assert_int_equal(k1.data[0], "bdfh"[i]);
                        assert_int_equal(k2.data[0], "hfdb"[i]);
                        assert_int_equal(v1.data[0], "1234"[i]);
                        assert_int_equal(v2.data[0], "4321"[i]);
                        tx_expect(x, "f", "3");
                }
        kv_range_end(&r1);
        for (int i = 4; i >= 0; i--) {
                int r = kv_get_wait(x->txn, &reads[i], &v1);

                if (!values[i] && r != -ERR_RETRY)
                        assert_int_equal(r, -ENOENT);
                else if (tx_ok(x, r))
                        assert_true(slice_eq(v1, slice_str(values[i])));
        }
        kv_range_end(&r2);
}

static void test_together(void **state)
{
        run(*state, KV_WRITE, letters, NULL);
        run(*state, KV_READ, together_body, NULL);
        run(*state, KV_WRITE, together_body, NULL);
}

static void clear_ranges(struct tx *x)
{
        tx_clear_range(x, "c", "f");
        tx_clear_range(x, "x", "z");
        tx_clear_range(x, "h", "h");
        tx_clear_range(x, "h", "a");
}

static void clear_all(struct tx *x)
{
        tx_clear_range(x, "", KEYS_END);
}

static void test_clear_range(void **state)
{
        struct ctx *c = *state;

        run(c, KV_WRITE, letters, NULL);
        run(c, KV_WRITE, clear_ranges, NULL);
        expect_range(c, "", KEYS_END, "b=1 f=3 h=4");
        run(c, KV_WRITE, clear_all, NULL);
        expect_range(c, "", KEYS_END, "");
        run(c, KV_WRITE, letters, NULL);
        expect_range(c, "", KEYS_END, "b=1 d=2 f=3 h=4");
}

static void reserve_body(struct tx *x)
{
        void *data;

        for (size_t len = 0; len <= KV_VALUE_MAX; len = len * 7 + 1) {
                char key[32];

                snprintf(key, sizeof(key), "r%06zu", len);
                if (!tx_ok(x, kv_set_reserve(x->txn, slice_str(key), len, &data)))
                        return;
                memset(data, (int)(len % 251), len);
        }
}

static void reserve_check(struct tx *x)
{
        for (size_t len = 0; len <= KV_VALUE_MAX; len = len * 7 + 1) {
                uint8_t *wanted = malloc(len + 1);
                struct slice value = slice_of(wanted, len);
                char key[32];

                snprintf(key, sizeof(key), "r%06zu", len);
                memset(wanted, (int)(len % 251), len);
                tx_expect_slice(x, slice_str(key), &value);
                free(wanted);
        }
}

static void test_set_reserve(void **state)
{
        run(*state, KV_WRITE, reserve_body, NULL);
        run(*state, KV_READ, reserve_check, NULL);
        /* Over existing values of other lengths. */
        run(*state, KV_WRITE, reserve_body, NULL);
        run(*state, KV_READ, reserve_check, NULL);
}

static void sizes_write(struct tx *x)
{
        static uint8_t data[KV_VALUE_MAX];
        struct rng rng;

        rng_seed(&rng, 7);
        rng_fill(&rng, data, sizeof(data));
        for (size_t len = 1; len <= KV_VALUE_MAX; len = len < 3000 ? len + 97 : len * 2 + 3) {
                char key[32];

                snprintf(key, sizeof(key), "s%06zu", len);
                tx_set_slice(x, slice_str(key), slice_of(data + KV_VALUE_MAX - len, len));
        }
        tx_set_slice(x, slice_str("smax"), slice_of(data, KV_VALUE_MAX));
}

static void sizes_check(struct tx *x)
{
        static uint8_t data[KV_VALUE_MAX];
        struct slice value;
        struct rng rng;

        rng_seed(&rng, 7);
        rng_fill(&rng, data, sizeof(data));
        for (size_t len = 1; len <= KV_VALUE_MAX; len = len < 3000 ? len + 97 : len * 2 + 3) {
                char key[32];

                snprintf(key, sizeof(key), "s%06zu", len);
                value = slice_of(data + KV_VALUE_MAX - len, len);
                tx_expect_slice(x, slice_str(key), &value);
        }
        value = slice_of(data, KV_VALUE_MAX);
        tx_expect_slice(x, slice_str("smax"), &value);
}

static void test_value_sizes(void **state)
{
        run(*state, KV_WRITE, sizes_write, NULL);
        run(*state, KV_READ, sizes_check, NULL);
}

static int fails(struct kv_txn *t, void *arg)
{
        int r = kv_set(t, slice_str("a"), slice_str("new"));

        if (r >= 0)
                r = kv_set(t, slice_str("b"), slice_str("new"));
        if (r >= 0)
                r = kv_clear_range(t, slice_str("x"), slice_str("z"));
        if (r >= 0)
                r = kv_atomic(t, KV_ADD, slice_str("n"), slice_str("\1"));
        return r < 0 ? r : *(int *)arg;
}

static void test_discard(void **state)
{
        struct ctx *c = *state;
        int r = -ENOTEMPTY;

        put(c, "a", "old");
        put(c, "y", "old");
        assert_int_equal(kv_run(c->store, KV_WRITE, fails, &r), -ENOTEMPTY);
        expect_range(c, "", KEYS_END, "a=old y=old");
        if (!c->chaotic) {
                struct tx x = begin(c, KV_WRITE);

                tx_set(&x, "a", "new");
                tx_clear(&x, "y");
                discard(&x);
                expect_range(c, "", KEYS_END, "a=old y=old");
        }
        r = 17; /* kv_run returns the result of the body */
        assert_int_equal(kv_run(c->store, KV_WRITE, fails, &r), 17);
        expect_range(c, "", KEYS_END, "a=new b=new n=\1");
}

static int too_big(struct kv_txn *t, void *arg)
{
        static uint8_t value[KV_VALUE_MAX];
        size_t *bytes = arg;

        for (size_t n = 0; n <= *bytes; n += sizeof(value)) {
                char key[32];
                int r;

                snprintf(key, sizeof(key), "big%09zu", n);
                r = kv_set(t, slice_str(key), slice_of(value, sizeof(value)));
                if (r < 0)
                        return r;
        }
        return 0;
}

static void test_too_big(void **state)
{
        struct ctx *c = *state;
        size_t bytes = kv_limits(c->store)->txn_bytes;

        if (bytes > 100000000)
                skip();
        put(c, "a", "1");
        assert_int_equal(kv_run(c->store, KV_WRITE, too_big, &bytes), -E2BIG);
        expect_range(c, "", KEYS_END, "a=1");
        /* The store works after that. */
        bytes = kv_limits(c->store)->txn_plan_bytes - 200000;
        assert_int_equal(kv_run(c->store, KV_WRITE, too_big, &bytes), 0);
        expect(c, "a", "1");
}

static void test_limits(void **state)
{
        struct ctx *c = *state;
        const struct kv_limits *l = kv_limits(c->store);

        assert_true(l->key_bytes >= KV_KEY_MAX);
        assert_true(l->value_bytes >= KV_VALUE_MAX);
        assert_true(l->txn_plan_bytes >= 500000 && l->txn_plan_bytes <= l->txn_bytes);
        assert_true(l->clear_keys >= 1000);
}

static void test_sync_and_space(void **state)
{
        struct ctx *c = *state;
        struct kv_space space;

        assert_int_equal(kv_sync(c->store), 0);
        put(c, "a", "1");
        assert_int_equal(kv_sync(c->store), 0);
        assert_int_equal(kv_space(c->store, &space), 0);
        assert_int_equal(space.total_bytes, space.used_bytes + space.free_bytes);
        assert_true(space.free_bytes > 0);
        run(c, KV_WRITE | KV_RESERVE, clear_all, NULL);
        assert_int_equal(kv_sync(c->store), 0);
        expect_range(c, "", KEYS_END, "");
}

static void test_reopen(void **state)
{
        struct ctx *c = *state;

        if (!c->persistent)
                skip();
        run(c, KV_WRITE, letters, NULL);
        run(c, KV_WRITE, sizes_write, NULL);
        ctx_reopen(c);
        run(c, KV_READ, sizes_check, NULL);
        expect_range(c, "", "r", "b=1 d=2 f=3 h=4");
        run(c, KV_WRITE, clear_ranges, NULL);
        ctx_reopen(c);
        expect_range(c, "", "r", "b=1 f=3 h=4");
        run(c, KV_READ, sizes_check, NULL);
}

struct test_table tests_basic(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_set_get_clear), TEST(test_binary),         TEST(test_ranges),
                TEST(test_together),      TEST(test_clear_range),    TEST(test_set_reserve),
                TEST(test_value_sizes),   TEST(test_discard),        TEST(test_too_big),
                TEST(test_limits),        TEST(test_sync_and_space), TEST(test_reopen),
        };

        return TABLE(tests);
}

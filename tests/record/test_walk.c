/* SPDX-License-Identifier: MIT */
/* Walks in a transaction and in chunks, and clearing in steps. */
#include "fixture.h"
#include "kv/layer/filter.h"
#include "record/walk.h"

#define PAIRS     300u
#define VALUE_LEN 20000u /* so that a walk takes several chunks */

static struct slice number_key(char *buf, unsigned i)
{
        snprintf(buf, 16, "k%06u", i);
        return slice_str(buf);
}

static void fill(struct kv_store *s, unsigned first, unsigned count)
{
        uint8_t value[VALUE_LEN];
        char key[16];

        for (unsigned i = first; i < first + count; i++) {
                memset(value, (int)i, sizeof(value));
                set_raw(s, number_key(key, i), slice_of(value, i % 7 == 0 ? 0 : sizeof(value)));
        }
}

/* Asserts that the walk goes on with the pairs [FIRST, END) and then ends. */
static void assert_pairs(struct rec_walk *w, unsigned first, unsigned end)
{
        struct slice key, value;
        char expected[16];

        for (unsigned i = first; i < end; i++) {
                assert_int_equal(rec_walk_next(w, &key, &value), 1);
                assert_true(slice_eq(key, number_key(expected, i)));
                assert_int_equal(value.len, i % 7 == 0 ? 0 : VALUE_LEN);
                assert_true(value.len == 0 || value.data[VALUE_LEN - 1] == (uint8_t)i);
        }
        assert_ok(rec_walk_next(w, &key, &value));
        assert_ok(rec_walk_next(w, &key, &value));
}

static void test_both_ways(void **state)
{
        struct kv_txn *t;
        struct rec_walk w;
        char from[16];

        fill(*state, 0, PAIRS);
        t = begin(*state);
        for (int chunks = 0; chunks < 2; chunks++) {
                assert_ok(rec_walk_start(&w, *state, chunks ? NULL : t, rec_keys_begin, rec_keys_end));
                assert_pairs(&w, 0, PAIRS);
                rec_walk_end(&w);
                rec_walk_end(&w);
                assert_ok(rec_walk_start(&w, *state, chunks ? NULL : t, number_key(from, 123), rec_keys_end));
                assert_pairs(&w, 123, PAIRS);
                rec_walk_end(&w);
                assert_ok(rec_walk_start(&w, *state, chunks ? NULL : t, slice_str("a"), slice_str("b")));
                assert_pairs(&w, 0, 0);
                rec_walk_end(&w);
        }
        kv_end(t);
}

/* A walk in chunks sees what was committed behind the chunk that it is in, and holds no transaction. */
static void test_changes(void **state)
{
        struct rec_walk w;
        struct slice key, value;

        fill(*state, 0, PAIRS);
        assert_ok(rec_walk_start(&w, *state, NULL, rec_keys_begin, rec_keys_end));
        assert_int_equal(rec_walk_next(&w, &key, &value), 1);
        fill(*state, PAIRS, 1);
        assert_pairs(&w, 1, PAIRS + 1);
        rec_walk_end(&w);
}

/* A store whose first commit comes too late: by then PAIRS were written. */
struct late {
        struct filter filter;
        bool committed;
};

static int late_commit(struct kv_txn *t)
{
        struct late *l = (struct late *)t->store;

        if (l->committed)
                return filter_commit(t);
        l->committed = true;
        fill(l->filter.below, 1, PAIRS - 1);
        return -ERR_RETRY;
}

static int late_close(struct kv_store *s)
{
        free(s);
        return 0;
}

/* A chunk that is read again, and is longer then, is not the last one although it was at first. */
static void test_chunk_again(void **state)
{
        struct late *l = calloc(1, sizeof(*l));
        struct rec_walk w;

        assert_non_null(l);
        filter_init(&l->filter, "late", *state);
        l->filter.ops.commit = late_commit;
        l->filter.ops.close = late_close;
        fill(*state, 0, 1);
        assert_ok(rec_walk_start(&w, &l->filter.base, NULL, rec_keys_begin, rec_keys_end));
        assert_pairs(&w, 0, PAIRS);
        assert_true(l->committed);
        rec_walk_end(&w);
        assert_ok(kv_close(&l->filter.base));
}

/* The longest keys, at the end of a chunk as well. */
static void test_long_keys(void **state)
{
        uint8_t key[KV_KEY_MAX], value[KV_VALUE_MAX];
        struct slice got_key, got_value;
        struct rec_walk w;

        memset(key, 0xfe, sizeof(key));
        memset(value, 1, sizeof(value));
        for (unsigned i = 0; i < 30; i++) {
                key[KV_KEY_MAX - 1] = (uint8_t)i;
                set_raw(*state, slice_of(key, sizeof(key)), slice_of(value, sizeof(value)));
        }
        assert_ok(rec_walk_start(&w, *state, NULL, rec_keys_begin, rec_keys_end));
        for (unsigned i = 0; i < 30; i++) {
                assert_int_equal(rec_walk_next(&w, &got_key, &got_value), 1);
                assert_int_equal(got_key.len, KV_KEY_MAX);
                assert_int_equal(got_key.data[KV_KEY_MAX - 1], i);
                assert_int_equal(got_value.len, KV_VALUE_MAX);
        }
        assert_ok(rec_walk_next(&w, &got_key, &got_value));
        rec_walk_end(&w);
}

/* Every key is in one part or in one gap between them, and damaged short keys in the part of their
 * letter. */
static void test_parts(void **state)
{
        static const char *inside[REC_PARTS][3] = {
                [REC_PART_DIRENTS] = { "d", "d\xff\xff\xff\xff\xff\xff\xff\xff\xff", "dname" },
                [REC_PART_BLOCKS] = { "f", "f\xff\xff\xff\xff\xff\xff\xff\xff\xff", "fblock" },
                [REC_PART_GARBAGE] = { "g", "g\xff\xff\xff\xff\xff\xff\xff\xff\xff", "ginode" },
                [REC_PART_INODES] = { "i", "i\xff\xff\xff\xff\xff\xff\xff\xff\xff", "iinode" },
        };
        struct fmt_key begin, end, last = { .len = 0 };

        (void)state;
        for (unsigned part = 0; part < REC_PARTS; part++) {
                rec_part_keys(part, &begin, &end);
                assert_true(slice_cmp(fmt_slice(&last), fmt_slice(&begin)) <= 0);
                for (unsigned i = 0; i < 3; i++) {
                        struct slice key = slice_str(inside[part][i]);

                        assert_true(slice_cmp(fmt_slice(&begin), key) <= 0);
                        assert_true(slice_cmp(key, fmt_slice(&end)) < 0);
                }
                last = end;
        }
        assert_true(slice_cmp(fmt_slice(&last), rec_keys_end) < 0);
}

static int clear_body(struct kv_txn *t, void *arg)
{
        return rec_walk_clear(t, slice_str("k"), slice_str("l"));
}

static void test_clear(void **state)
{
        size_t before = 10000, step = kv_limits(*state)->clear_keys;
        char key[16];
        unsigned steps = 1;

        for (unsigned i = 0; i < before; i++)
                set_raw(*state, number_key(key, i), slice_str(""));
        set_raw(*state, slice_str("j"), slice_str(""));
        set_raw(*state, slice_str("l"), slice_str(""));
        for (; kv_run(*state, KV_WRITE, clear_body, NULL) > 0; steps++) {
                size_t left = count_pairs(*state);

                assert_true(left < before && before - left <= step);
                before = left;
        }
        assert_true(steps > 1);
        assert_int_equal(count_pairs(*state), 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                STORE_TEST(test_both_ways), STORE_TEST(test_changes), STORE_TEST(test_chunk_again),
                STORE_TEST(test_long_keys), STORE_TEST(test_parts),   STORE_TEST(test_clear),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

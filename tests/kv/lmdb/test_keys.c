/* SPDX-License-Identifier: MIT */
/* Keys of all lengths, most of them near LMDB's limit, against a model; damaged buckets. */
#include "fixture.h"
#include "kv/lmdb/bucket.h"
#include "kv/lmdb/key.h"

#include <errno.h>
#include <stdlib.h>

#define MODEL_MAX       512
#define VALUE_BYTES_MAX 6000

struct pair {
        uint8_t *key;
        size_t key_len;
        uint8_t *value;
        size_t value_len;
};

/* Sorted. */
struct model {
        struct pair pairs[MODEL_MAX];
        size_t n;
};

static struct slice pair_key(const struct pair *p)
{
        return slice_of(p->key, p->key_len);
}

static size_t model_seek(const struct model *m, struct slice key)
{
        size_t i = 0;

        while (i < m->n && slice_cmp(pair_key(&m->pairs[i]), key) < 0)
                i++;
        return i;
}

static void model_remove(struct model *m, size_t from, size_t to)
{
        for (size_t i = from; i < to; i++) {
                free(m->pairs[i].key);
                free(m->pairs[i].value);
        }
        memmove(m->pairs + from, m->pairs + to, (m->n - to) * sizeof(m->pairs[0]));
        m->n -= to - from;
}

static uint8_t *copy(struct slice s)
{
        uint8_t *p = malloc(s.len + 1);

        assert_non_null(p);
        if (s.len > 0)
                memcpy(p, s.data, s.len);
        return p;
}

static bool model_set(struct model *m, struct slice key, struct slice value)
{
        size_t i = model_seek(m, key);

        if (i < m->n && slice_eq(pair_key(&m->pairs[i]), key))
                model_remove(m, i, i + 1);
        if (m->n == MODEL_MAX)
                return false;
        memmove(m->pairs + i + 1, m->pairs + i, (m->n - i) * sizeof(m->pairs[0]));
        m->pairs[i] = (struct pair){ copy(key), key.len, copy(value), value.len };
        m->n++;
        return true;
}

/* A few long prefixes, so that buckets have several entries, and lengths on both sides of each limit. */
static struct slice random_key(struct rng *g, uint8_t *buf)
{
        static const size_t lens[] = {
                0,          1, 2, 3, 508, 509, 510, 511, 512, 513, 530, 1022, KV_KEY_MAX - 3, KV_KEY_MAX - 1,
                KV_KEY_MAX,
        };
        size_t len = lens[rng_below(g, sizeof(lens) / sizeof(lens[0]))];
        uint64_t prefix = rng_below(g, 4);

        memset(buf, prefix == 0 ? 0 : prefix == 1 ? 0xff : 'k', len);
        for (int i = 0; i < 2 && len > 0; i++) {
                bool anywhere = rng_below(g, 4) == 0;
                size_t at = anywhere ? rng_below(g, len) : len - 1 - rng_below(g, len < 6 ? len : 6);

                buf[at] = (uint8_t)rng_below(g, 3) * 0x7f;
        }
        return slice_of(buf, len);
}

static void check_range(struct kv_txn *t, const struct model *m, struct slice begin, struct slice end,
                        bool reverse)
{
        struct kv_range_opts opts = { .begin = begin, .end = end, .reverse = reverse };
        size_t from = model_seek(m, begin), to = model_seek(m, end);
        struct slice key, value;
        struct kv_range r;
        int n;

        kv_range_start(t, &r, &opts);
        while ((n = kv_range_next(&r, &key, &value)) > 0) {
                const struct pair *p;

                assert_true(from < to);
                p = reverse ? &m->pairs[--to] : &m->pairs[from++];
                assert_true(slice_eq(key, pair_key(p)));
                assert_true(slice_eq(value, slice_of(p->value, p->value_len)));
        }
        assert_int_equal(n, 0);
        assert_true(from >= to);
        kv_range_end(&r);
}

static void random_write(struct kv_txn *t, struct model *m, struct rng *g)
{
        uint8_t buf[2][KV_KEY_MAX];
        struct slice key = random_key(g, buf[0]), end;
        uint8_t value[VALUE_BYTES_MAX];
        void *data;
        size_t len, i;

        switch (rng_below(g, 10)) {
        case 0:
                end = random_key(g, buf[1]);
                assert_int_equal(kv_clear_range(t, key, end), 0);
                if (slice_cmp(key, end) < 0)
                        model_remove(m, model_seek(m, key), model_seek(m, end));
                break;
        case 1:
        case 2:
                i = model_seek(m, key);
                assert_int_equal(kv_clear(t, key), 0);
                if (i < m->n && slice_eq(pair_key(&m->pairs[i]), key))
                        model_remove(m, i, i + 1);
                break;
        default:
                len = rng_below(g, 8) == 0 ? rng_below(g, sizeof(value)) : rng_below(g, 40);
                rng_fill(g, value, len);
                if (!model_set(m, key, slice_of(value, len)))
                        break;
                if (rng_below(g, 2)) {
                        assert_int_equal(kv_set(t, key, slice_of(value, len)), 0);
                } else {
                        assert_int_equal(kv_set_reserve(t, key, len, &data), 0);
                        if (len > 0)
                                memcpy(data, value, len);
                }
        }
}

static void random_read(struct kv_txn *t, const struct model *m, struct rng *g)
{
        uint8_t buf[2][KV_KEY_MAX];
        struct slice key = random_key(g, buf[0]), value;
        size_t i = model_seek(m, key);
        int r = kv_get(t, key, 0, &value);

        if (i < m->n && slice_eq(pair_key(&m->pairs[i]), key)) {
                assert_int_equal(r, 0);
                assert_true(slice_eq(value, slice_of(m->pairs[i].value, m->pairs[i].value_len)));
        } else {
                assert_int_equal(r, -ENOENT);
        }
        check_range(t, m, key, random_key(g, buf[1]), rng_below(g, 2));
}

static void test_model(void **state)
{
        struct fixture *f = *state;
        struct kv_store *s = store_open(f, KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE);
        uint8_t last[KV_KEY_MAX];
        struct model *m = calloc(1, sizeof(*m));
        struct kv_txn *t;
        struct rng g;

        assert_non_null(m);
        memset(last, 0xff, sizeof(last));
        rng_seed(&g, test_seed("lmdb keys"));
        for (int round = 0; round < 120; round++) {
                assert_int_equal(kv_begin(s, KV_WRITE, &t), 0);
                for (int i = 0; i < 40; i++) {
                        random_write(t, m, &g);
                        if (rng_below(&g, 4) == 0)
                                random_read(t, m, &g);
                }
                assert_int_equal(kv_commit(t), 0);
                kv_end(t);
                assert_int_equal(kv_begin(s, KV_READ, &t), 0);
                for (int i = 0; i < 10; i++)
                        random_read(t, m, &g);
                check_range(t, m, slice_of("", 0), slice_of(last, sizeof(last)), round % 2);
                kv_end(t);
                if (round % 40 == 39) {
                        assert_int_equal(kv_close(s), 0);
                        s = store_open(f, KV_OPEN_EXCLUSIVE);
                }
        }
        assert_int_equal(kv_close(s), 0);
        model_remove(m, 0, m->n);
        free(m);
}

/* The mapping keeps the order and is reversible. */
static void test_mapping(void **state)
{
        static const char *const keys[] = { "", "\0", "\0\0", "\0\0\1", "\0\1", "\0\2", "\1", "a", "\xff" };
        static const size_t lens[] = { 0, 1, 2, 3, 2, 2, 1, 1, 1 };
        uint8_t buf[2][LMDB_MAPPED_MAX];
        struct slice back, last = { 0 };

        for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
                struct slice key = slice_of(keys[i], lens[i]), mapped = lmdb_key_map(key, buf[i % 2]);

                assert_true(mapped.len > 0);
                assert_true(i == 0 || slice_cmp(last, mapped) < 0);
                assert_int_equal(lmdb_key_unmap(mapped, &back), 0);
                assert_true(slice_eq(back, key));
                last = mapped;
        }
        assert_int_equal(lmdb_key_unmap(slice_of("\0\0", 2), &back), -ERR_CORRUPT);
        assert_int_equal(lmdb_key_unmap(slice_of("\0\1x", 3), &back), -ERR_CORRUPT);
        assert_int_equal(lmdb_key_unmap(slice_of("\0\2x", 3), &back), -ERR_CORRUPT);
        assert_int_equal(lmdb_key_unmap(slice_of("\0", 1), &back), -ERR_CORRUPT);
        assert_int_equal(lmdb_key_unmap(slice_of("", 0), &back), -ERR_CORRUPT);
}

/* Reading a bucket of any bytes ends, stays inside of it, and never goes backwards. */
static void test_damaged_buckets(void **state)
{
        struct rng g;

        rng_seed(&g, test_seed("lmdb buckets"));
        for (int round = 0; round < 20000; round++) {
                size_t len = rng_below(&g, 80), pos = 0;
                uint8_t *bytes = malloc(len + 1);
                struct bucket_entry e = { 0 };
                struct slice bucket = slice_of(bytes, len), value;
                int r;

                assert_non_null(bytes);
                for (size_t i = 0; i < len; i++)
                        bytes[i] = rng_below(&g, 3) ? (uint8_t)rng_below(&g, 4) : (uint8_t)rng_next(&g);
                while ((r = bucket_next(bucket, &e)) > 0) {
                        assert_true(e.end > pos && e.end <= len);
                        assert_true(e.value.data + e.value.len == bytes + e.end);
                        pos = e.end;
                }
                assert_true(r == 0 || r == -ERR_CORRUPT);
                r = bucket_get(bucket, slice_str("x"), &value);
                assert_true(r == 0 || r == -ENOENT || r == -ERR_CORRUPT);
                r = bucket_before(bucket, rng_below(&g, 80), &e);
                assert_true(r >= 0 || r == -ERR_CORRUPT);
                free(bytes);
        }
}

static int range_all(struct kv_store *s, bool reverse)
{
        struct kv_range_opts opts = {
                .begin = slice_of("", 0),
                .end = slice_str("\xff"),
                .reverse = reverse,
        };
        struct slice key, value;
        _cleanup_txn_ struct kv_txn *t = NULL;
        _cleanup_range_ struct kv_range r = KV_RANGE_NONE;
        int n;

        assert_int_equal(kv_begin(s, KV_READ, &t), 0);
        kv_range_start(t, &r, &opts);
        while ((n = kv_range_next(&r, &key, &value)) > 0)
                ;
        return n;
}

static void test_damaged_records(void **state)
{
        uint8_t key[LMDB_KEY_MAX], longer[600];
        struct fixture *f = *state;
        struct kv_store *s = store_open(f, KV_OPEN_CREATE);
        struct slice value;
        struct kv_txn *t;

        assert_int_equal(kv_close(s), 0);
        memset(key, 'k', sizeof(key));
        memset(longer, 'k', sizeof(longer));
        put_raw(f, slice_of(key, sizeof(key)), "no bucket at all");
        s = store_open(f, 0);
        assert_int_equal(range_all(s, false), -ERR_CORRUPT);
        assert_int_equal(range_all(s, true), -ERR_CORRUPT);
        assert_int_equal(kv_begin(s, KV_WRITE, &t), 0);
        assert_int_equal(kv_get(t, slice_of(longer, sizeof(longer)), 0, &value), -ERR_CORRUPT);
        assert_int_equal(kv_set(t, slice_of(longer, sizeof(longer)), slice_str("x")), -ERR_CORRUPT);
        /* A transaction with a write that failed half-way must not be committed. */
        assert_int_equal(kv_commit(t), -ERR_CORRUPT);
        kv_end(t);
        assert_int_equal(kv_close(s), 0);

        put_raw(f, slice_of((const uint8_t *)"\0\3", 2), "no key maps to this one");
        s = store_open(f, 0);
        assert_int_equal(range_all(s, false), -ERR_CORRUPT);
        assert_int_equal(kv_close(s), 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_mapping),
                TEST(test_model),
                TEST(test_damaged_buckets),
                TEST(test_damaged_records),
        };

        return cmocka_run_group_tests_name("lmdb keys", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Long keys: every length up to KV_KEY_MAX, many that share a long beginning, and the empty key. An engine
 * that stores long keys in another way than short ones must keep their order and their neighbours. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#define KEYS_MAX 1200

struct keys {
        struct slice key[KEYS_MAX]; /* sorted after they are made */
        bool present[KEYS_MAX];
        size_t n;
        uint8_t *bytes;
        size_t used;
};

#define BYTES_MAX (KEYS_MAX * (size_t)KV_KEY_MAX)

/* PREFIX times FILL, then TAIL bytes that RNG chooses from few, so that they collide and nest. */
static void add_key(struct keys *k, struct rng *rng, uint8_t fill, size_t prefix, size_t tail)
{
        uint8_t *p = k->bytes + k->used;

        assert_true(k->n < KEYS_MAX && k->used + prefix + tail <= BYTES_MAX);
        memset(p, fill, prefix);
        for (size_t i = 0; i < tail; i++)
                p[prefix + i] = "\0\1a\x7f\xff"[rng_below(rng, 5)];
        k->key[k->n++] = slice_of(p, prefix + tail);
        k->used += prefix + tail;
}

static int by_key(const void *a, const void *b)
{
        return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static struct keys *make_keys(struct ctx *c)
{
        struct keys *k = calloc(1, sizeof(*k));
        size_t n = 1;

        k->bytes = malloc(BYTES_MAX);
        /* Around the lengths from which stores treat keys in another way. */
        for (size_t len = 0; len <= 520; len += len < 440 ? 40 : 1)
                add_key(k, &c->rng, 'k', len, 0);
        for (size_t prefix = 490; prefix < 516; prefix += 2)
                for (int i = 0; i < 4; i++)
                        add_key(k, &c->rng, 'k', prefix, 1 + (size_t)i * 7);
        /* Many under one beginning of 600 bytes, as parity makes them. */
        for (int i = 0; i < 250; i++)
                add_key(k, &c->rng, 'p', 600, rng_below(&c->rng, 6));
        for (int i = 0; i < 50; i++)
                add_key(k, &c->rng, 'p', 600, rng_below(&c->rng, 600));
        for (int i = 0; i < 20; i++)
                add_key(k, &c->rng, 'q', KV_KEY_MAX - 3, 1 + rng_below(&c->rng, 3));
        add_key(k, &c->rng, 'q', KV_KEY_MAX, 0);
        for (int i = 0; i < 300; i++)
                add_key(k, &c->rng, 'm', 1 + rng_below(&c->rng, 3), rng_below(&c->rng, 4));
        qsort(k->key, k->n, sizeof(k->key[0]), by_key);
        for (size_t i = 1; i < k->n; i++)
                if (!slice_eq(k->key[i], k->key[n - 1]))
                        k->key[n++] = k->key[i];
        k->n = n;
        return k;
}

static void free_keys(struct keys *k)
{
        free(k->bytes);
        free(k);
}

static struct slice value_of(size_t i, char buf[600])
{
        memset(buf, (int)('A' + i % 26), 600);
        memcpy(buf, &i, sizeof(i));
        return slice_of(buf, sizeof(i) + i % 590);
}

/* The keys in parts, so that each transaction stays within its plan. */
struct part {
        struct keys *keys;
        size_t from, to;
        bool reverse;
};

static void write_part(struct tx *x)
{
        const struct part *p = x->arg;
        char buf[600];

        for (size_t i = p->from; i < p->to && x->err == 0; i++) {
                if (p->keys->present[i])
                        tx_set_slice(x, p->keys->key[i], value_of(i, buf));
                else
                        tx_ok(x, kv_clear(x->txn, p->keys->key[i]));
        }
}

static void write_keys(struct ctx *c, struct keys *k)
{
        for (size_t i = 0; i < k->n; i += 50) {
                struct part p = { k, i, i + 50 < k->n ? i + 50 : k->n, false };

                run(c, KV_WRITE, write_part, &p);
        }
}

/* The range between two keys has exactly the expected ones, and each is found by a get. */
static void check_part(struct tx *x)
{
        const struct part *p = x->arg;
        const struct kv_range_opts opts = {
                .begin = p->keys->key[p->from],
                .end = p->to < p->keys->n ? p->keys->key[p->to] : slice_str(KEYS_END),
                .reverse = p->reverse,
        };
        size_t count = p->to - p->from;
        struct slice key, value;
        _cleanup_range_ struct kv_range r = KV_RANGE_NONE;
        char buf[600];
        int more = 0;

        for (size_t i = p->from; i < p->to; i++) {
                struct slice wanted = value_of(i, buf);

                tx_expect_slice(x, p->keys->key[i], p->keys->present[i] ? &wanted : NULL);
        }
        if (x->err < 0)
                return;
        kv_range_start(x->txn, &r, &opts);
        for (size_t j = 0; j < count && more >= 0; j++) {
                size_t i = p->reverse ? p->to - 1 - j : p->from + j;

                if (!p->keys->present[i])
                        continue;
                more = kv_range_next(&r, &key, &value);
                if (more >= 0) {
                        assert_int_equal(more, 1);
                        assert_true(slice_eq(key, p->keys->key[i]));
                        assert_true(slice_eq(value, value_of(i, buf)));
                }
        }
        if (more >= 0)
                more = kv_range_next(&r, &key, &value);
        if (tx_ok(x, more))
                assert_int_equal(more, 0);
}

static void check_keys(struct ctx *c, struct keys *k)
{
        struct part whole = { k, 0, k->n, false };

        run(c, KV_READ, check_part, &whole);
        whole.reverse = true;
        run(c, KV_READ, check_part, &whole);
        for (int i = 0; i < 60; i++) {
                size_t a = rng_below(&c->rng, k->n), b = rng_below(&c->rng, k->n + 1);
                struct part p = { k, a < b ? a : b, a < b ? b : a, i & 1 };

                if (p.from < p.to)
                        run(c, i & 2 ? KV_READ : KV_WRITE, check_part, &p);
        }
}

static void clear_part(struct tx *x)
{
        const struct part *p = x->arg;

        tx_ok(x, kv_clear_range(x->txn, p->keys->key[p->from], p->keys->key[p->to]));
        if (x->err == 0)
                check_part(x); /* before the commit, too */
}

static void test_long_keys(void **state)
{
        struct ctx *c = *state;
        struct keys *k = make_keys(c);

        print_message("# replay: ASHLAR_SEED=%llu kv_contract %s test_long_keys\n",
                      (unsigned long long)c->seed, c->spec);
        for (size_t i = 0; i < k->n; i++)
                k->present[i] = true;
        write_keys(c, k);
        check_keys(c, k);
        for (size_t i = 0; i < k->n; i++)
                k->present[i] = rng_below(&c->rng, 2);
        write_keys(c, k);
        check_keys(c, k);
        if (c->persistent) {
                ctx_reopen(c);
                check_keys(c, k);
        }
        for (int i = 0; i < 20; i++) {
                size_t a = rng_below(&c->rng, k->n - 60);
                struct part p = { k, a, a + 1 + rng_below(&c->rng, 58), i & 1 };

                memset(&k->present[p.from], 0, (p.to - p.from) * sizeof(k->present[0]));
                run(c, KV_WRITE, clear_part, &p);
        }
        check_keys(c, k);
        for (size_t i = 0; i < k->n; i++)
                k->present[i] = rng_below(&c->rng, 4) > 0;
        write_keys(c, k);
        check_keys(c, k);
        free_keys(k);
}

static void empty_key_body(struct tx *x)
{
        tx_set(x, "", "nothing");
        tx_set(x, "a", "1");
        tx_expect_range(x, "", "a", "=nothing");
        tx_expect_reverse(x, "", "b", "a=1 =nothing");
}

static void test_empty_key(void **state)
{
        struct ctx *c = *state;

        run(c, KV_WRITE, empty_key_body, NULL);
        expect_range(c, "", "b", "=nothing a=1");
        put(c, "", "more");
        expect(c, "", "more");
        put(c, "", NULL);
        expect_range(c, "", "b", "a=1");
}

struct test_table tests_keys(void)
{
        static const struct CMUnitTest tests[] = { TEST(test_long_keys), TEST(test_empty_key) };

        return TABLE(tests);
}

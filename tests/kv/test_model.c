/* SPDX-License-Identifier: MIT */
/* Random transactions, each step compared with the reference model, beside readers of earlier versions.
 * ASHLAR_SEED replays. */
#include "harness.h"
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READERS 3

struct reader {
        struct tx x;
        struct model model;
        bool open;
};

struct game {
        struct ctx *ctx;
        struct arena arena;
        struct model now;  /* what is committed */
        struct model next; /* with the writes of the running transaction */
        struct rng rng;    /* at the beginning of the transaction, for when it runs again */
        bool read_only, give_up;
        struct reader readers[READERS];
};

/* ---- random keys and values --------------------------------------------------------------------- */

static struct slice random_key(struct game *g, struct rng *rng)
{
        static const size_t fills[] = { 300, 505, 509, 511, 512, 600, KV_KEY_MAX - 4 };
        uint8_t buf[KV_KEY_MAX];
        size_t n = 0;

        buf[n++] = (uint8_t)('a' + rng_below(rng, 4));
        if (rng_below(rng, 12) == 0) {
                size_t fill = fills[rng_below(rng, sizeof(fills) / sizeof(fills[0]))];

                memset(buf + n, 'f', fill);
                n += fill;
        }
        for (uint64_t more = rng_below(rng, 4); more > 0; more--)
                buf[n++] = "\0ab\xff"[rng_below(rng, 4)];
        return arena_copy(&g->arena, slice_of(buf, n));
}

static struct slice random_value(struct game *g, struct rng *rng)
{
        uint64_t kind = rng_below(rng, 100);
        size_t len = rng_below(rng, kind < 90 ? 20 : kind < 98 ? 5000 : 70000);
        uint8_t *data = arena_alloc(&g->arena, len);

        rng_fill(rng, data, len);
        return slice_of(data, len);
}

/* ---- steps -------------------------------------------------------------------------------------- */

static void check_get(struct game *g, struct tx *x, const struct model *m, struct rng *rng)
{
        struct slice key = random_key(g, rng);
        const struct pair *p = model_get(m, key);

        tx_expect_slice(x, key, p ? &p->value : NULL);
}

static void check_range(struct tx *x, const struct model *m, const struct kv_range_opts *o)
{
        size_t from = model_at(m, o->begin), to = model_at(m, o->end), n = to > from ? to - from : 0;
        struct slice key, value;
        _cleanup_range_ struct kv_range r = KV_RANGE_NONE;
        int more = 0;

        if (o->limit > 0 && n > o->limit)
                n = o->limit;
        kv_range_start(x->txn, &r, o);
        for (size_t i = 0; i < n; i++) {
                const struct pair *p = &m->pairs[o->reverse ? to - 1 - i : from + i];

                more = kv_range_next(&r, &key, &value);
                if (more < 0)
                        break;
                assert_int_equal(more, 1);
                assert_true(slice_eq(key, p->key));
                assert_true(slice_eq(value, p->value));
        }
        if (more >= 0)
                more = kv_range_next(&r, &key, &value);
        if (tx_ok(x, more))
                assert_int_equal(more, 0);
}

static void check_random_range(struct game *g, struct tx *x, const struct model *m, struct rng *rng)
{
        struct slice a = random_key(g, rng), b = random_key(g, rng);
        bool swap = slice_cmp(a, b) > 0 && rng_below(rng, 8) > 0;
        const struct kv_range_opts opts = {
                .begin = swap ? b : a,
                .end = swap ? a : b,
                .limit = rng_below(rng, 2) ? 0 : 1 + rng_below(rng, 5),
                .reverse = rng_below(rng, 2),
                .snapshot = rng_below(rng, 2),
                .mode = rng_below(rng, 2) ? KV_ALL : KV_ITERATE,
        };

        if (x->err == 0)
                check_range(x, m, &opts);
}

static void check_whole(struct tx *x, const struct model *m)
{
        struct kv_range_opts opts = { .begin = slice_str(""), .end = slice_str(KEYS_END) };

        check_range(x, m, &opts);
        opts.reverse = true;
        if (x->err == 0)
                check_range(x, m, &opts);
}

static void write_set(struct game *g, struct tx *x, struct rng *rng)
{
        struct slice key = random_key(g, rng), value = random_value(g, rng);
        void *data;

        model_set(&g->next, key, value);
        if (rng_below(rng, 4) > 0) {
                tx_set_slice(x, key, value);
        } else if (tx_ok(x, kv_set_reserve(x->txn, key, value.len, &data)) && value.len > 0) {
                memcpy(data, value.data, value.len);
        }
}

/* Mostly small parts of large values, which a store may keep as patches. */
static void write_patch(struct game *g, struct tx *x, struct rng *rng)
{
        struct slice key = random_key(g, rng), data = random_value(g, rng);
        const struct pair *old = model_get(&g->next, key);
        size_t old_len = old ? old->value.len : 0, at = rng_below(rng, old_len + 100), len;
        uint8_t *value;

        if (data.len > KV_VALUE_MAX - at)
                data.len = KV_VALUE_MAX - at;
        len = at + data.len > old_len ? at + data.len : old_len;
        value = arena_alloc(&g->arena, len + 1);
        memset(value, 0, len);
        if (old_len > 0)
                memcpy(value, old->value.data, old_len);
        if (data.len > 0)
                memcpy(value + at, data.data, data.len);
        model_set(&g->next, key, slice_of(value, len));
        tx_ok(x, kv_patch(x->txn, key, at, data));
}

static void write_clear_range(struct game *g, struct tx *x, struct rng *rng)
{
        struct slice a = random_key(g, rng), b = random_key(g, rng);

        if (rng_below(rng, 4) > 0) {
                /* Mostly narrow ranges, or the store would stay nearly empty. */
                uint8_t *end = arena_alloc(&g->arena, a.len);

                memcpy(end, a.data, a.len);
                end[a.len - 1]++;
                b = slice_of(end, a.len);
        }
        if (slice_cmp(a, b) < 0)
                model_clear_range(&g->next, a, b);
        tx_ok(x, kv_clear_range(x->txn, a, b));
}

static void write_atomic(struct game *g, struct tx *x, struct rng *rng)
{
        struct slice key = random_key(g, rng), operand = random_value(g, rng);
        enum kv_atomic_op op = rng_below(rng, 2) ? KV_ADD : KV_BYTE_MAX;

        model_atomic(&g->next, &g->arena, op, key, operand);
        tx_ok(x, kv_atomic(x->txn, op, key, operand));
}

static void step(struct game *g, struct tx *x, struct rng *rng)
{
        uint64_t kind = rng_below(rng, 100);
        struct slice key;

        if (kind < 25 || (g->read_only && kind < 60)) {
                check_get(g, x, &g->next, rng);
        } else if (kind < 45 || g->read_only) {
                check_random_range(g, x, &g->next, rng);
        } else if (kind < 62) {
                write_set(g, x, rng);
        } else if (kind < 75) {
                write_patch(g, x, rng);
        } else if (kind < 84) {
                key = random_key(g, rng);
                model_clear(&g->next, key);
                tx_ok(x, kv_clear(x->txn, key));
        } else if (kind < 88) {
                write_clear_range(g, x, rng);
        } else {
                write_atomic(g, x, rng);
        }
}

/* ---- transactions ------------------------------------------------------------------------------- */

static int play(struct kv_txn *t, void *arg)
{
        struct game *g = arg;
        struct tx x = { .ctx = g->ctx, .txn = t };
        struct rng rng = g->rng; /* the same sequence if it runs again */

        g->ctx->held++;
        model_free(&g->next);
        model_copy(&g->next, &g->now);
        for (uint64_t n = 1 + rng_below(&rng, 20); n > 0 && x.err == 0; n--)
                step(g, &x, &rng);
        if (x.err == 0 && rng_below(&rng, 10) == 0)
                check_whole(&x, &g->next);
        g->ctx->held--;
        if (x.err < 0)
                return x.err;
        return g->give_up ? -ECANCELED : 0;
}

static void one_transaction(struct game *g)
{
        g->read_only = rng_below(&g->ctx->rng, 4) == 0;
        g->give_up = rng_below(&g->ctx->rng, 8) == 0;
        rng_seed(&g->rng, rng_next(&g->ctx->rng));
        assert_int_equal(kv_run(g->ctx->store, g->read_only ? KV_READ : KV_WRITE, play, g),
                         g->give_up ? -ECANCELED : 0);
        if (!g->give_up) {
                struct model old = g->now;

                g->now = g->next;
                g->next = old;
        }
}

static void close_reader(struct reader *r)
{
        if (!r->open)
                return;
        check_whole(&r->x, &r->model);
        assert_int_equal(commit(&r->x), 0);
        model_free(&r->model);
        r->open = false;
}

static void use_reader(struct game *g)
{
        struct reader *r = &g->readers[rng_below(&g->ctx->rng, READERS)];

        if (!r->open) {
                r->x = begin(g->ctx, KV_READ);
                model_copy(&r->model, &g->now);
                r->open = true;
        } else if (rng_below(&g->ctx->rng, 8) == 0) {
                close_reader(r);
        } else {
                check_get(g, &r->x, &r->model, &g->ctx->rng);
                check_random_range(g, &r->x, &r->model, &g->ctx->rng);
        }
}

static void close_readers(struct game *g)
{
        for (int i = 0; i < READERS; i++)
                close_reader(&g->readers[i]);
}

static void check_now(struct tx *x)
{
        check_whole(x, x->arg);
}

/* The test has one thread. ThreadSanitizer can find races with the threads of layers only, and slows it down
 * twentyfold. */
#ifdef __SANITIZE_THREAD__
#define TRANSACTIONS 3000u
#else
#define TRANSACTIONS 12000u
#endif

static void test_model(void **state)
{
        struct ctx *c = *state;
        struct game g = { .ctx = c };
        unsigned rounds = ctx_rounds(c, TRANSACTIONS);

        print_message("# replay: ASHLAR_SEED=%llu kv_contract %s test_model\n", (unsigned long long)c->seed,
                      c->spec);
        for (unsigned i = 0; i < rounds; i++) {
                one_transaction(&g);
                if (!c->chaotic)
                        use_reader(&g);
                if (i % 400 == 399) {
                        close_readers(&g);
                        if (c->persistent)
                                ctx_reopen(c);
                        run(c, KV_READ, check_now, &g.now);
                }
        }
        close_readers(&g);
        run(c, KV_READ, check_now, &g.now);
        model_free(&g.now);
        model_free(&g.next);
        arena_free(&g.arena);
}

struct test_table tests_model(void)
{
        static const struct CMUnitTest tests[] = { TEST(test_model) };

        return TABLE(tests);
}

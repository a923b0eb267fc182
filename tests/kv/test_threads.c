/* SPDX-License-Identifier: MIT */
/* Serializability with threads: sums that must not change, sequences without gaps. */
#include "harness.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITERS  3
#define ACCOUNTS 16
#define START    100

struct worker {
        struct ctx *ctx;
        struct rng rng;
        unsigned rounds, number;
        unsigned wrong; /* counted, because a test may not fail in another thread */
        const bool *stop;
        /* of the running transaction */
        unsigned from, to, amount;
};

static struct worker new_worker(struct ctx *c, unsigned number, unsigned rounds)
{
        struct worker w = { .ctx = c, .rounds = rounds, .number = number };

        rng_seed(&w.rng, c->seed + number);
        return w;
}

static struct slice account_key(char buf[32], unsigned n)
{
        snprintf(buf, 32, "account %02u", n);
        return slice_str(buf);
}

/* Numbers are text. Absent counts as 0. */
static int get_number(struct kv_txn *t, struct slice key, unsigned *ret)
{
        struct slice value;
        char text[16];
        int r = kv_get(t, key, 0, &value);

        if (r == -ENOENT) {
                *ret = 0;
                return 0;
        }
        if (r < 0)
                return r;
        if (value.len >= sizeof(text))
                return -ERR_CORRUPT;
        memcpy(text, value.data, value.len);
        text[value.len] = '\0';
        *ret = (unsigned)strtoul(text, NULL, 10);
        return 0;
}

static int set_number(struct kv_txn *t, struct slice key, unsigned n)
{
        char text[16];

        snprintf(text, sizeof(text), "%u", n);
        return kv_set(t, key, slice_str(text));
}

/* ---- a bank ------------------------------------------------------------------------------------- */

static int open_accounts(struct kv_txn *t, void *arg)
{
        char buf[32];
        int r = 0;

        (void)arg;
        for (unsigned i = 0; i < ACCOUNTS && r >= 0; i++)
                r = set_number(t, account_key(buf, i), START);
        return r;
}

/* Accounts without a balance are removed, so that ranges have gaps that open and close. */
static int transfer(struct kv_txn *t, void *arg)
{
        struct worker *w = arg;
        unsigned from, to;
        char a[32], b[32];
        int r = get_number(t, account_key(a, w->from), &from);

        if (r >= 0)
                r = get_number(t, account_key(b, w->to), &to);
        if (r < 0 || from < w->amount)
                return r;
        r = from == w->amount ? kv_clear(t, account_key(a, w->from))
                              : set_number(t, account_key(a, w->from), from - w->amount);
        return r < 0 ? r : set_number(t, account_key(b, w->to), to + w->amount);
}

static int sum(struct kv_txn *t, void *arg)
{
        const struct worker *w = arg;
        const struct kv_range_opts opts = {
                .begin = slice_str("account"),
                .end = slice_str("accounu"),
                .reverse = w && (w->from & 1),
        };
        struct slice key, value;
        _cleanup_range_ struct kv_range r = KV_RANGE_NONE;
        int more, total = 0;

        kv_range_start(t, &r, &opts);
        while ((more = kv_range_next(&r, &key, &value)) > 0) {
                char text[16] = "";

                memcpy(text, value.data, value.len < 15 ? value.len : 15);
                total += (int)strtoul(text, NULL, 10);
        }
        return more < 0 ? more : total;
}

/* Moves an amount only if the total is right, so that the range is read in a transaction that writes. */
static int audit_and_transfer(struct kv_txn *t, void *arg)
{
        struct worker *w = arg;
        int total = sum(t, w), r;

        if (total < 0)
                return total;
        if (total != ACCOUNTS * START)
                return -EBADMSG;
        r = transfer(t, w);
        return r < 0 ? r : 0;
}

static void *bank_writer(void *arg)
{
        struct worker *w = arg;

        for (unsigned i = 0; i < w->rounds; i++) {
                w->from = (unsigned)rng_below(&w->rng, ACCOUNTS);
                w->to = (w->from + 1 + (unsigned)rng_below(&w->rng, ACCOUNTS - 1)) % ACCOUNTS;
                w->amount = 1 + (unsigned)rng_below(&w->rng, START);
                w->wrong += kv_run(w->ctx->store, KV_WRITE, i % 8 ? transfer : audit_and_transfer, w) < 0;
        }
        return NULL;
}

static void *bank_reader(void *arg)
{
        struct worker *w = arg;

        while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
                w->wrong += kv_run(w->ctx->store, KV_READ, sum, w) != ACCOUNTS * START;
                w->from++;
        }
        return NULL;
}

static void test_bank(void **state)
{
        struct ctx *c = *state;
        struct worker w[WRITERS + 1];
        pthread_t threads[WRITERS + 1];
        bool stop = false;

        assert_int_equal(kv_run(c->store, KV_WRITE, open_accounts, NULL), 0);
        for (unsigned i = 0; i <= WRITERS; i++) {
                w[i] = new_worker(c, i, ctx_rounds(c, 4000));
                w[i].stop = &stop;
                assert_int_equal(pthread_create(&threads[i], NULL, i < WRITERS ? bank_writer : bank_reader,
                                                &w[i]),
                                 0);
        }
        for (unsigned i = 0; i <= WRITERS; i++) {
                if (i == WRITERS)
                        __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
                pthread_join(threads[i], NULL);
                assert_int_equal(w[i].wrong, 0);
        }
        assert_int_equal(kv_run(c->store, KV_READ, sum, NULL), ACCOUNTS * START);
}

/* ---- sequences ---------------------------------------------------------------------------------- */

#define SEQUENCES 3

/* Takes the next number of a sequence and records it. A number that is recorded already was taken twice. */
static int take_number(struct kv_txn *t, void *arg)
{
        struct worker *w = arg;
        char counter[32], log[64];
        struct slice value;
        unsigned n;
        int r;

        snprintf(counter, sizeof(counter), "counter %u", w->from);
        r = get_number(t, slice_str(counter), &n);
        if (r < 0)
                return r;
        snprintf(log, sizeof(log), "log %u %08u", w->from, n);
        r = kv_get(t, slice_str(log), KV_SNAPSHOT, &value);
        if (r != -ENOENT)
                return r < 0 ? r : -EEXIST;
        r = set_number(t, slice_str(log), w->number);
        return r < 0 ? r : set_number(t, slice_str(counter), n + 1);
}

static void *sequence_thread(void *arg)
{
        struct worker *w = arg;

        for (unsigned i = 0; i < w->rounds; i++) {
                w->from = (unsigned)rng_below(&w->rng, SEQUENCES);
                w->wrong += kv_run(w->ctx->store, KV_WRITE, take_number, w) < 0;
        }
        return NULL;
}

/* The numbers have no gaps, and are as many as were taken. */
static int check_sequences(struct kv_txn *t, void *arg)
{
        const struct kv_range_opts opts = { .begin = slice_str("log"), .end = slice_str("loh") };
        unsigned expected[SEQUENCES] = { 0 };
        struct slice key, value;
        _cleanup_range_ struct kv_range range = KV_RANGE_NONE;
        int more, total = 0;

        (void)arg;
        kv_range_start(t, &range, &opts);
        while ((more = kv_range_next(&range, &key, &value)) > 0) {
                unsigned which, n;
                char text[64] = "";

                memcpy(text, key.data, key.len < 63 ? key.len : 63);
                if (sscanf(text, "log %u %u", &which, &n) != 2 || which >= SEQUENCES ||
                    n != expected[which]++)
                        total = -1000000;
                total++;
        }
        return more < 0 ? more : total < 0 ? -EBADMSG : total;
}

static void test_sequences(void **state)
{
        struct ctx *c = *state;
        struct worker w[WRITERS];
        pthread_t threads[WRITERS];
        unsigned rounds = ctx_rounds(c, 4000);

        for (unsigned i = 0; i < WRITERS; i++) {
                w[i] = new_worker(c, i, rounds);
                assert_int_equal(pthread_create(&threads[i], NULL, sequence_thread, &w[i]), 0);
        }
        for (unsigned i = 0; i < WRITERS; i++) {
                pthread_join(threads[i], NULL);
                assert_int_equal(w[i].wrong, 0);
        }
        assert_int_equal(kv_run(c->store, KV_READ, check_sequences, NULL), (int)(WRITERS * rounds));
        if (c->persistent) {
                ctx_reopen(c);
                assert_int_equal(kv_run(c->store, KV_READ, check_sequences, NULL), (int)(WRITERS * rounds));
        }
}

struct test_table tests_threads(void)
{
        static const struct CMUnitTest tests[] = { TEST(test_bank), TEST(test_sequences) };

        return TABLE(tests);
}

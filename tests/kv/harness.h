/* SPDX-License-Identifier: MIT */
/* Common parts of the tests of the store contract: opening the stack of stores under test, and transactions
 * that check what they read.
 *
 * A stack is named from below upwards: "lmdb+faulty+writebehind+stats". Layers:
 *   mem, lmdb    engines; lmdb in a temporary directory, removed at the end
 *   fdb          FoundationDB, by the client library that $ASHLAR_FDB_LIB names: the cluster of
 *                $ASHLAR_TEST_CLUSTER under a new prefix if set, else the stand-in of tests/kv/fdb
 *   fdb-faulty   the stand-in, with every error that FoundationDB has
 *   fault        the fault layer with nothing to inject
 *   faulty       the fault layer with conflicts, unknown results, transient failures and slow calls
 *   writebehind  with small and frequent batches, so that tests cross their boundaries
 *   cache        with little memory, over a store with no other writer
 *   stats
 */
#ifndef TESTS_KV_HARNESS_H
#define TESTS_KV_HARNESS_H

#include "base/rng.h"
#include "kv/kv.h"
#include "kv/layer/layer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Keys of the tests sort below this; those of kv_run and of layers above. */
#define KEYS_END "\xf0"

struct ctx {
        const char *spec;
        struct kv_store *store;
        char *dir;        /* of lmdb, or with the cluster file of the stand-in; NULL: none */
        uint64_t prefix;  /* in a cluster's keys */
        bool clean_up;    /* the keys of the test must be cleared */
        bool persistent;  /* survives ctx_reopen */
        bool chaotic;     /* kv calls fail transiently: all transactions use kv_run */
        bool optimistic;  /* limits->optimistic */
        bool slow_commit; /* each commit waits for a disk or a cluster */
        _Atomic int held; /* transactions and watches that the test holds */
        uint64_t seed;
        struct rng rng;
};

/* Each test gets an empty store. */
void ctx_set_spec(const char *spec);
int ctx_setup(void **state);
int ctx_teardown(void **state);
/* Closes and opens it again (only if persistent). */
void ctx_reopen(struct ctx *c);

/* A number of rounds: N by default, times ASHLAR_KV_SCALE, an eighth where commits wait for a disk. */
unsigned ctx_rounds(const struct ctx *c, unsigned n);

/* ---- transactions that check -------------------------------------------------------------------- */

/* A transaction in a body: after a transient error the rest of the body has no effect, and run() runs it
 * again. Any other unexpected error fails the test. */
struct tx {
        struct ctx *ctx;
        struct kv_txn *txn;
        int err;
        void *arg;
};

/* Runs BODY by kv_run; it must succeed. */
void run(struct ctx *c, unsigned flags, void (*body)(struct tx *x), void *arg);

/* The same step by step, for tests that need two at a time; not on chaotic stacks. */
struct tx begin(struct ctx *c, unsigned flags);
int commit(struct tx *x); /* and end; returns kv_commit's result */
void discard(struct tx *x);

/* Keys and values as strings. */
void tx_set(struct tx *x, const char *key, const char *value);
void tx_clear(struct tx *x, const char *key);
void tx_clear_range(struct tx *x, const char *begin, const char *end);
void tx_add(struct tx *x, const char *key, const char *operand);
void tx_max(struct tx *x, const char *key, const char *operand);
/* VALUE NULL: absent. */
void tx_expect(struct tx *x, const char *key, const char *value);
/* Pairs as "a=1 b=2", in the order in which they are returned. */
void tx_expect_range(struct tx *x, const char *begin, const char *end, const char *pairs);
void tx_expect_reverse(struct tx *x, const char *begin, const char *end, const char *pairs);
void tx_expect_opts(struct tx *x, const struct kv_range_opts *opts, const char *pairs);

/* Arbitrary bytes. */
void tx_set_slice(struct tx *x, struct slice key, struct slice value);
void tx_expect_slice(struct tx *x, struct slice key, const struct slice *value);
/* Records R, the result of a kv call. True: the body goes on with the result. */
bool tx_ok(struct tx *x, int r);

/* One write or read, in a separate transaction. */
void put(struct ctx *c, const char *key, const char *value);
void expect(struct ctx *c, const char *key, const char *value);
void expect_range(struct ctx *c, const char *begin, const char *end, const char *pairs);

/* The tests of each file. */
struct test_table {
        const struct CMUnitTest *tests;
        size_t n;
};
struct test_table tests_basic(void);
struct test_table tests_keys(void);
struct test_table tests_own_writes(void);
struct test_table tests_conflicts(void);
struct test_table tests_snapshots(void);
struct test_table tests_run(void);
struct test_table tests_since(void);
struct test_table tests_watches(void);
struct test_table tests_model(void);
struct test_table tests_threads(void);

#define TEST(f)  cmocka_unit_test_setup_teardown(f, ctx_setup, ctx_teardown)
#define TABLE(t) ((struct test_table){ t, sizeof(t) / sizeof((t)[0]) })

#endif

/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "base/cleanup.h"
#include "fdb/standin/standin.h"
#include "kv/layer/layer.h"
#include "kv/testing/testing.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const char *spec_under_test;

void ctx_set_spec(const char *spec)
{
        spec_under_test = spec;
}

static uint64_t seed_from_environment(void)
{
        const char *s = getenv("ASHLAR_SEED");
        uint64_t seed;

        if (s)
                return strtoull(s, NULL, 0);
        rng_system(&seed, sizeof(seed));
        return seed;
}

static void make_dir(struct ctx *c)
{
        const char *tmp = getenv("TMPDIR");

        assert_true(asprintf(&c->dir, "%s/kv-contract-XXXXXX", tmp ? tmp : "/tmp") > 0);
        assert_non_null(mkdtemp(c->dir));
}

static void remove_dir(struct ctx *c)
{
        _cleanup_free_ char *command = NULL;

        if (!c->dir)
                return;
        assert_true(asprintf(&command, "rm -rf '%s'", c->dir) > 0);
        assert_int_equal(system(command), 0);
        free(c->dir);
        c->dir = NULL;
}

/* Only after the first open, which loads the library. */
static void set_standin_faults(struct ctx *c, bool faulty)
{
        const struct standin_faults faults = {
                .seed = c->seed | 1,
                .conflict_ppm = 30000,
                .too_old_ppm = 300,
                .unknown_done_ppm = 20000,
                .unknown_not_done_ppm = 20000,
                .timed_out_ppm = 10000,
                .cancelled_ppm = 10000,
                .future_version_ppm = 300,
                .behind_ppm = 300,
                .throttled_ppm = 300,
                .slow_ppm = 500,
                .slow_us = 3000,
                .watch_broken_ppm = 20000,
        };
        const struct standin_faults none = { .seed = c->seed | 1 };
        const char *path = getenv("ASHLAR_FDB_LIB");
        void *library = dlopen(path ? path : "", RTLD_NOW | RTLD_LOCAL);
        standin_set_faults_fn set_faults;

        if (!library)
                fail_msg("ASHLAR_FDB_LIB must name the stand-in: %s", dlerror());
        *(void **)&set_faults = dlsym(library, "standin_set_faults");
        if (set_faults)
                set_faults(faulty ? &faults : &none);
        else if (faulty)
                fail_msg("%s is not the stand-in", path);
}

static char *fdb_url(struct ctx *c)
{
        const char *cluster = getenv("ASHLAR_TEST_CLUSTER");
        char *url;
        FILE *f;

        if (!c->prefix) {
                rng_system(&c->prefix, sizeof(c->prefix)); /* not from the seed: a cluster has many users */
                c->prefix |= 1;
        }
        if (cluster) {
                c->clean_up = true;
                assert_true(asprintf(&url, "fdb:%s?prefix=contract-%016llx", cluster,
                                     (unsigned long long)c->prefix) > 0);
                return url;
        }
        if (!c->dir) {
                make_dir(c);
                assert_true(asprintf(&url, "%s/cluster", c->dir) > 0);
                f = fopen(url, "w");
                assert_non_null(f);
                fputs("standin:standin@127.0.0.1:1\n", f);
                fclose(f);
                free(url);
        }
        assert_true(asprintf(&url, "fdb:%s/cluster?prefix=contract", c->dir) > 0);
        return url;
}

static struct kv_store *open_backend(struct ctx *c, const char *name)
{
        const struct kv_open_opts opts = {
                .flags = KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE,
                .owner = "the contract's tests",
                .max_bytes = UINT64_C(1) << 30,
        };
        _cleanup_free_ char *url = NULL;
        struct kv_store *s = NULL;
        struct err_text text = { "" };

        if (strcmp(name, "lmdb") == 0) {
                c->persistent = c->slow_commit = true;
                if (!c->dir)
                        make_dir(c);
        }
        if (strncmp(name, "fdb", 3) == 0) {
                c->persistent = true;
                c->slow_commit = true;
                c->chaotic = strcmp(name, "fdb-faulty") == 0;
                url = fdb_url(c);
        } else {
                assert_true(asprintf(&url, "%s:%s%s", name, c->dir ? c->dir : "", c->dir ? "/store" : "") >
                            0);
        }
        if (kv_testing_open(url, &opts, &s, &text) < 0)
                fail_msg("%s: %s", url, text.text);
        if (strncmp(name, "fdb", 3) == 0)
                set_standin_faults(c, c->chaotic);
        return s;
}

static int open_fault(struct ctx *c, struct kv_store *below, bool faulty, struct kv_store **ret)
{
        const struct kv_fault_opts faults = {
                .seed = c->seed,
                .conflict_ppm = 50000,
                .unknown_done_ppm = 30000,
                .unknown_not_done_ppm = 30000,
                .retry_ppm = 500, /* per read; bodies have hundreds */
                .slow_ppm = 500,
                .slow_us = 200,
        };
        const struct kv_fault_opts none = { .seed = c->seed };

        return kv_fault_open(below, faulty ? &faults : &none, ret);
}

static struct kv_store *open_layer(struct ctx *c, struct kv_store *below, const char *name)
{
        struct kv_store *s = NULL;
        int r = -EINVAL;

        if (!below)
                return open_backend(c, name);
        if (strcmp(name, "fault") == 0) {
                r = open_fault(c, below, false, &s);
        } else if (strcmp(name, "faulty") == 0) {
                r = open_fault(c, below, true, &s);
                c->chaotic = true;
        } else if (strcmp(name, "stats") == 0) {
                r = kv_stats_open(below, &s);
        } else if (strcmp(name, "cache") == 0) {
                /* So little memory that many values are dropped. */
                r = kv_cache_open(below, &(struct kv_cache_opts){ .bytes = 64 << 10 }, &s);
        } else if (strcmp(name, "writebehind") == 0) {
                const struct kv_writebehind_opts opts = {
                        .memory_bytes = 8 << 20,
                        .batch_bytes = 64 << 10,
                        .age_ms = 2,
                        .sequence = slice_str("\xf1sequence"),
                };

                r = kv_writebehind_open(below, &opts, &s);
                c->slow_commit = false;
        }
        if (r < 0)
                fail_msg("layer '%s': %s", name, err_str(r));
        return s;
}

static void open_stack(struct ctx *c)
{
        _cleanup_free_ char *copy = strdup(c->spec);
        struct kv_store *s = NULL;
        char *save, *name;

        c->persistent = c->chaotic = c->slow_commit = false;
        for (name = strtok_r(copy, "+", &save); name; name = strtok_r(NULL, "+", &save)) {
                s = open_layer(c, s, name);
                if (kv_limits(s)->unknown_results)
                        assert_int_equal(kv_set_markers(s, slice_str("\xf1marker")), 0);
        }
        c->store = s;
        c->optimistic = kv_limits(s)->optimistic;
}

int ctx_setup(void **state)
{
        struct ctx *c = calloc(1, sizeof(*c));

        c->spec = spec_under_test;
        c->seed = seed_from_environment();
        rng_seed(&c->rng, c->seed);
        open_stack(c);
        *state = c;
        return 0;
}

static void clear_everything(struct tx *x)
{
        tx_clear_range(x, "", "\xff");
}

int ctx_teardown(void **state)
{
        struct ctx *c = *state;

        if (c->held == 0 && c->clean_up) {
                assert_int_equal(kv_set_fence(c->store, slice_of(NULL, 0)), 0);
                run(c, KV_WRITE | KV_RESERVE, clear_everything, NULL);
        }
        /* A test that failed in the middle left transactions open: the store cannot be closed. */
        if (c->held == 0)
                assert_int_equal(kv_close(c->store), 0);
        remove_dir(c);
        free(c);
        return 0;
}

void ctx_reopen(struct ctx *c)
{
        assert_true(c->persistent);
        assert_int_equal(kv_close(c->store), 0);
        open_stack(c);
}

unsigned ctx_rounds(const struct ctx *c, unsigned n)
{
        const char *s = getenv("ASHLAR_KV_SCALE");
        unsigned scale = s ? (unsigned)strtoul(s, NULL, 0) : 1;

        n = c->slow_commit ? n / 8 + 1 : n;
        return n * (scale > 0 ? scale : 1);
}

/* ---- transactions ------------------------------------------------------------------------------- */

struct run_arg {
        struct ctx *ctx;
        void (*body)(struct tx *x);
        void *arg;
};

static int run_body(struct kv_txn *t, void *arg)
{
        const struct run_arg *a = arg;
        struct tx x = { .ctx = a->ctx, .txn = t, .arg = a->arg };

        a->ctx->held++;
        a->body(&x);
        a->ctx->held--;
        return x.err;
}

void run(struct ctx *c, unsigned flags, void (*body)(struct tx *x), void *arg)
{
        struct run_arg a = { c, body, arg };

        assert_int_equal(kv_run(c->store, flags, run_body, &a), 0);
}

struct tx begin(struct ctx *c, unsigned flags)
{
        struct tx x = { .ctx = c };

        assert_false(c->chaotic);
        assert_int_equal(kv_begin(c->store, flags, &x.txn), 0);
        c->held++;
        return x;
}

int commit(struct tx *x)
{
        int r;

        assert_int_equal(x->err, 0);
        r = kv_commit(x->txn);
        kv_end(x->txn);
        x->txn = NULL;
        x->ctx->held--;
        return r;
}

void discard(struct tx *x)
{
        kv_end(x->txn);
        x->txn = NULL;
        x->ctx->held--;
}

bool tx_ok(struct tx *x, int r)
{
        if (r >= 0)
                return true;
        if (r != -ERR_CONFLICT && r != -ERR_RETRY)
                fail_msg("%s: unexpected: %s", x->ctx->spec, err_str(r));
        x->err = r;
        return false;
}

void tx_set_slice(struct tx *x, struct slice key, struct slice value)
{
        if (x->err == 0)
                tx_ok(x, kv_set(x->txn, key, value));
}

void tx_set(struct tx *x, const char *key, const char *value)
{
        tx_set_slice(x, slice_str(key), slice_str(value));
}

void tx_clear(struct tx *x, const char *key)
{
        if (x->err == 0)
                tx_ok(x, kv_clear(x->txn, slice_str(key)));
}

void tx_clear_range(struct tx *x, const char *begin, const char *end)
{
        if (x->err == 0)
                tx_ok(x, kv_clear_range(x->txn, slice_str(begin), slice_str(end)));
}

void tx_add(struct tx *x, const char *key, const char *operand)
{
        if (x->err == 0)
                tx_ok(x, kv_atomic(x->txn, KV_ADD, slice_str(key), slice_str(operand)));
}

void tx_max(struct tx *x, const char *key, const char *operand)
{
        if (x->err == 0)
                tx_ok(x, kv_atomic(x->txn, KV_BYTE_MAX, slice_str(key), slice_str(operand)));
}

/* The part of a key to print. */
static int shown(struct slice key)
{
        return key.len < 40 ? (int)key.len : 40;
}

void tx_expect_slice(struct tx *x, struct slice key, const struct slice *value)
{
        struct slice v;
        int r;

        if (x->err < 0)
                return;
        r = kv_get(x->txn, key, 0, &v);
        if (r == -ENOENT) {
                if (value)
                        fail_msg("'%.*s' is absent", shown(key), (const char *)key.data);
                return;
        }
        if (!tx_ok(x, r))
                return;
        if (!value)
                fail_msg("'%.*s' is there", shown(key), (const char *)key.data);
        assert_int_equal(v.len, value->len);
        if (v.len > 0)
                assert_memory_equal(v.data, value->data, v.len);
}

void tx_expect(struct tx *x, const char *key, const char *value)
{
        struct slice v = slice_str(value ? value : "");

        tx_expect_slice(x, slice_str(key), value ? &v : NULL);
}

void tx_expect_opts(struct tx *x, const struct kv_range_opts *opts, const char *pairs)
{
        _cleanup_free_ char *found = NULL;
        size_t found_len = 0;
        struct slice key, value;
        _cleanup_range_ struct kv_range range = KV_RANGE_NONE;
        FILE *f;
        int r;

        if (x->err < 0)
                return;
        f = open_memstream(&found, &found_len);
        kv_range_start(x->txn, &range, opts);
        while ((r = kv_range_next(&range, &key, &value)) > 0)
                fprintf(f, "%s%.*s=%.*s", ftell(f) > 0 ? " " : "", (int)key.len, (const char *)key.data,
                        (int)value.len, (const char *)value.data);
        fclose(f);
        if (tx_ok(x, r))
                assert_string_equal(found, pairs);
}

void tx_expect_range(struct tx *x, const char *begin, const char *end, const char *pairs)
{
        const struct kv_range_opts opts = { .begin = slice_str(begin), .end = slice_str(end) };

        tx_expect_opts(x, &opts, pairs);
}

void tx_expect_reverse(struct tx *x, const char *begin, const char *end, const char *pairs)
{
        const struct kv_range_opts opts = {
                .begin = slice_str(begin),
                .end = slice_str(end),
                .reverse = true,
        };

        tx_expect_opts(x, &opts, pairs);
}

struct one {
        const char *key, *end, *value;
};

static void put_body(struct tx *x)
{
        const struct one *o = x->arg;

        if (o->value)
                tx_set(x, o->key, o->value);
        else
                tx_clear(x, o->key);
}

void put(struct ctx *c, const char *key, const char *value)
{
        struct one o = { .key = key, .value = value };

        run(c, KV_WRITE, put_body, &o);
}

static void expect_body(struct tx *x)
{
        const struct one *o = x->arg;

        if (o->end)
                tx_expect_range(x, o->key, o->end, o->value);
        else
                tx_expect(x, o->key, o->value);
}

void expect(struct ctx *c, const char *key, const char *value)
{
        struct one o = { .key = key, .value = value };

        run(c, KV_READ, expect_body, &o);
}

void expect_range(struct ctx *c, const char *begin, const char *end, const char *pairs)
{
        struct one o = { .key = begin, .end = end, .value = pairs };

        run(c, KV_READ, expect_body, &o);
}

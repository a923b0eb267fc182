/* SPDX-License-Identifier: MIT */
/* kv_run_since: a blind attempt commits only if everything that it assumes still holds. Stores without commit
 * versions run the same bodies, and read. */
#include "harness.h"
#include "kv/engine.h"
#include "script.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_versions(const struct ctx *c)
{
        return c->store->ops->since;
}

/* A body and its outcome. */
struct blind {
        struct ctx *ctx;
        const char *declares;           /* as in script.h; an attempt that is not blind reads all keys */
        const char *key, *value;        /* to be set; NULL: nothing */
        void (*during)(struct blind *); /* called in the first run, before anything else */
        const char *other;              /* for that */
        unsigned runs;
        bool blind; /* the last one was */
};

static int read_all(struct kv_txn *t)
{
        const struct kv_range_opts opts = { .begin = slice_str(""), .end = slice_str(KEYS_END) };
        struct slice key, value;
        _cleanup_range_ struct kv_range r = KV_RANGE_NONE;
        int more;

        kv_range_start(t, &r, &opts);
        while ((more = kv_range_next(&r, &key, &value)) > 0)
                continue;
        return more;
}

static int declare(struct kv_txn *t, const struct blind *b)
{
        struct tx x = { .ctx = b->ctx, .txn = t };

        script_perform(&x, b->declares);
        return x.err;
}

static int blind_body(struct kv_txn *t, void *arg)
{
        struct blind *b = arg;
        int r;

        if (b->runs++ == 0 && b->during)
                b->during(b);
        b->blind = kv_is_blind(t);
        r = b->blind ? declare(t, b) : read_all(t);
        return r < 0 || !b->key ? r : kv_set(t, slice_str(b->key), slice_str(b->value));
}

static int run_since(struct blind *b, unsigned flags, kv_version *version)
{
        b->runs = 0;
        b->ctx->held++;
        int r = kv_run_since(b->ctx->store, KV_WRITE | flags, version, blind_body, b);
        b->ctx->held--;
        return r;
}

/* The version of a commit that wrote KEY; a commit whose result was unknown has none. */
static kv_version version_of_put(struct ctx *c, const char *key, const char *value)
{
        struct blind b = { .ctx = c, .declares = "", .key = key, .value = value };
        kv_version m = 0;

        for (unsigned i = 0; m == 0; i++) {
                assert_true(i < 100);
                assert_int_equal(run_since(&b, KV_IDEMPOTENT, &m), 0);
                assert_false(b.blind);
                if (!has_versions(c))
                        break;
        }
        return m;
}

/* ---- results ------------------------------------------------------------------------------------ */

/* From one commit to the next, with markers and without. */
static void test_chain(void **state)
{
        struct ctx *c = *state;

        for (int idempotent = 0; idempotent < 2; idempotent++) {
                struct blind b = { .ctx = c, .declares = "rck:n rcr:x:y", .key = "n" };
                unsigned flags = idempotent ? KV_IDEMPOTENT : 0, blind = 0;
                kv_version m = 0, before;
                char value[16];

                for (unsigned i = 0; i < 50; i++) {
                        snprintf(value, sizeof(value), "%u", i);
                        b.value = value;
                        before = m;
                        assert_int_equal(run_since(&b, flags, &m), 0);
                        expect(c, "n", value);
                        assert_true(m == 0 || m > before);
                        assert_false(b.blind && (before == 0 || !has_versions(c)));
                        assert_true(has_versions(c) || m == 0);
                        blind += b.blind;
                        if (c->chaotic)
                                continue;
                        assert_int_equal(b.runs, 1);
                        assert_int_equal(b.blind, i > 0 && has_versions(c));
                        assert_int_equal(m > 0, has_versions(c));
                }
                assert_true(blind > 20 || !has_versions(c));
        }
}

static int give_it(struct kv_txn *t, void *arg)
{
        int r = kv_set(t, slice_str("k"), slice_str("v"));

        return r < 0 ? r : *(int *)arg;
}

/* Values and errors of bodies; the version only changes on success. */
static void test_since_returns(void **state)
{
        struct ctx *c = *state;
        kv_version m = version_of_put(c, "a", "1"), before = m;
        int value = -EEXIST;

        assert_int_equal(kv_run_since(c->store, KV_WRITE, &m, give_it, &value), -EEXIST);
        assert_int_equal(m, before);
        expect(c, "k", NULL);
        value = 42;
        assert_int_equal(kv_run_since(c->store, KV_WRITE, &m, give_it, &value), 42);
        assert_true(m == 0 || m > before);
        expect(c, "k", "v");
}

/* ---- other transactions ------------------------------------------------------------------------- */

/* Keys b, d and f exist, and f was written by the commit of the version itself. */
static const struct since {
        const char *declares, *other;
        bool conflict;
} since[] = {
        { "rck:b", "set:b", true },
        { "rck:b", "clear:b", true },
        { "rck:b", "add:b", true },
        { "rck:b", "clearr:a:c", true },
        { "rck:b", "wck:b", true },
        { "rck:b", "wcr:a:c", true },
        { "rck:b", "set:ba", false },
        { "rck:b", "set:a", false },
        { "rck:b", "clearr:a:b", false },
        { "rck:b", "rck:b", false },
        { "rck:c", "set:c", true },
        { "rck:c", "set:d", false },
        { "rck:d rck:b", "set:b", true },
        { "rcr:a:e", "set:d", true },
        { "rcr:a:e", "set:a", true },
        { "rcr:a:e", "clear:d", true },
        { "rcr:a:e", "clearr:d:z", true },
        { "rcr:a:e", "set:e", false },
        { "rcr:a:e", "set:f", false },
        { "rcr:x:y rck:b", "set:xx", true },
        { "rcr:x:y rck:b", "set:w set:y set:c", false },
        { "rck:f", "set:b", false },
        { "rck:f", "set:f", true },
        { "", "set:b set:d set:f clearr:a:z", false },
};

static void perform_other(struct tx *x)
{
        const struct blind *b = x->arg;

        script_perform(x, b->other);
}

static void run_other(struct blind *b)
{
        run(b->ctx, KV_WRITE, perform_other, b);
}

static void prepare(struct tx *x)
{
        tx_clear_range(x, "", KEYS_END);
        tx_set(x, "b", "1");
        tx_set(x, "d", "1");
}

/* When the other transaction runs: between the version and the call; during the attempt; or begun before the
 * version. */
enum when { BETWEEN, DURING, OVERLAPPING, WHENS };

static void one_since(struct ctx *c, const struct since *s, enum when when)
{
        struct blind b = {
                .ctx = c, .declares = s->declares, .other = s->other, .key = "z", .value = "blind"
        };
        bool precise = !c->chaotic && has_versions(c);
        struct tx beside = { .ctx = c }, other = { .ctx = c };
        kv_version m;

        run(c, KV_WRITE, prepare, NULL);
        /* Some stores only keep an exact history while another transaction writes. */
        if (precise)
                beside = begin(c, KV_WRITE);
        if (when == OVERLAPPING)
                other = begin(c, KV_WRITE);
        m = version_of_put(c, "f", "1");
        if (when == OVERLAPPING) {
                script_perform(&other, s->other);
                assert_int_equal(commit(&other), 0);
        } else if (when == DURING) {
                b.during = run_other;
        } else {
                run_other(&b);
        }
        assert_int_equal(run_since(&b, KV_IDEMPOTENT, &m), 0);
        expect(c, "z", "blind");
        if (s->conflict ? b.blind : precise && !b.blind)
                fail_msg("declared \"%s\", another one did \"%s\" (%d): %s", s->declares, s->other, when,
                         b.blind ? "nothing noticed" : "a conflict for nothing");
        if (precise) {
                assert_int_equal(b.runs, s->conflict ? 2 : 1);
                discard(&beside);
        }
}

static void test_since_conflicts(void **state)
{
        struct ctx *c = *state;

        for (size_t i = 0; i < sizeof(since) / sizeof(since[0]); i++)
                for (enum when when = BETWEEN; when < WHENS; when++) {
                        if ((when == OVERLAPPING && c->chaotic) || (when != BETWEEN && !has_versions(c)))
                                continue;
                        one_since(c, &since[i], when);
                }
}

/* ---- versions that are too old ---------- */

#define MANY 300u

/* Enough keys that a store forgets all history that it may. */
static void commit_many(struct blind *b)
{
        char key[16];

        for (unsigned i = 0; i < MANY; i++) {
                snprintf(key, sizeof(key), "many%u", i * 7 % MANY);
                put(b->ctx, key, "x");
        }
}

/* No conflict is missed, also after old versions were forgotten: with many commits after the change, before
 * the attempt and during it; and when no other transaction ran beside the change. */
static void test_long_ago(void **state)
{
        struct ctx *c = *state;

        for (unsigned way = 0; way < 8; way++) {
                struct blind b = { .ctx = c, .declares = "rck:b", .key = "z", .value = "blind" };
                bool change = way & 1, hold = way & 2, during = way & 4;
                struct tx beside = { .ctx = c };
                kv_version m;

                if (!has_versions(c) && (hold || during))
                        continue;
                put(c, "b", "1");
                if (hold && !c->chaotic)
                        beside = begin(c, KV_WRITE);
                m = version_of_put(c, "f", "1");
                if (change)
                        put(c, "b", "2");
                if (beside.txn)
                        discard(&beside);
                if (during)
                        b.during = commit_many;
                else
                        commit_many(&b);
                assert_int_equal(run_since(&b, KV_IDEMPOTENT, &m), 0);
                if (change && b.blind)
                        fail_msg("way %u: missed a conflict", way);
                expect(c, "z", "blind");
        }
}

/* ---- the fence ----------------------------------------------------------------------------------- */

#define FENCE  \
        "\xf1" \
        "fence"

static void remove_fence(struct blind *b)
{
        put(b->ctx, FENCE, NULL);
}

/* A blind attempt does not read the fence, and still no transaction commits after its removal. */
static void test_since_fence(void **state)
{
        struct ctx *c = *state;

        for (int during = 0; during < 2; during++) {
                struct blind b = { .ctx = c, .declares = "rck:n", .key = "n", .value = "1" };
                kv_version m = 0;

                if (during && !has_versions(c))
                        continue;
                put(c, "n", NULL);
                put(c, FENCE, "here");
                assert_int_equal(kv_set_fence(c->store, slice_str(FENCE)), 0);
                m = version_of_put(c, "a", "1");
                assert_int_equal(run_since(&b, KV_IDEMPOTENT, &m), 0);
                assert_true(c->chaotic || b.blind == has_versions(c));
                expect(c, "n", "1");
                b.value = "late";
                if (during)
                        b.during = remove_fence;
                else
                        remove_fence(&b);
                assert_int_equal(run_since(&b, KV_IDEMPOTENT, &m), -ERR_FENCED);
                assert_false(b.blind);
                b.during = NULL;
                assert_int_equal(run_since(&b, 0, &m), -ERR_FENCED);
                assert_int_equal(kv_set_fence(c->store, slice_of(NULL, 0)), 0);
                expect(c, "n", "1");
        }
}

/* ---- at random ------------------------------------------------------------------------------------ */

#define KEYS     24u
#define VERSIONS 12u

/* Which commit wrote each key last; the test makes one commit at a time and counts them. */
struct history {
        struct ctx *c;
        uint64_t n, written[KEYS];
        struct {
                kv_version version;
                uint64_t n;
        } known[VERSIONS];

        bool declared[KEYS];
        unsigned set;    /* by the running call */
        unsigned during; /* commits of others within it */
        bool first, blind;
};

static struct slice key_of(unsigned k, char buf[8])
{
        snprintf(buf, 8, "k%03u", k);
        return slice_str(buf);
}

static int set_one(struct kv_txn *t, void *arg)
{
        char buf[8];

        return kv_set(t, key_of(*(unsigned *)arg, buf), slice_str("other"));
}

static void other_commit(struct history *h)
{
        unsigned k = (unsigned)rng_below(&h->c->rng, KEYS);

        assert_int_equal(kv_run(h->c->store, KV_WRITE, set_one, &k), 0);
        h->written[k] = ++h->n;
}

static int declare_some(struct kv_txn *t, const struct history *h)
{
        char a[8], b[8];
        int r = 0;

        for (unsigned k = 0; k < KEYS && r >= 0; k++) {
                unsigned end = k;

                while (end < KEYS && h->declared[end])
                        end++;
                if (end == k + 1)
                        r = kv_conflict_key(t, KV_CONFLICT_READ, key_of(k, a));
                else if (end > k)
                        r = kv_conflict_range(t, KV_CONFLICT_READ, key_of(k, a), key_of(end, b));
                k = end;
        }
        return r;
}

static int history_body(struct kv_txn *t, void *arg)
{
        struct history *h = arg;
        char buf[8];
        int r;

        h->blind = kv_is_blind(t);
        if (h->first)
                for (unsigned i = 0; i < h->during; i++)
                        other_commit(h);
        h->first = false;
        r = h->blind ? declare_some(t, h) : read_all(t);
        return r < 0 ? r : kv_set(t, key_of(h->set, buf), slice_str("since"));
}

static bool is_changed(const struct history *h, uint64_t n)
{
        for (unsigned k = 0; k < KEYS; k++)
                if (h->declared[k] && h->written[k] > n)
                        return true;
        return false;
}

/* True: it was blind. */
static bool one_call(struct history *h)
{
        struct rng *rng = &h->c->rng;
        unsigned from = (unsigned)rng_below(rng, VERSIONS), to = (unsigned)rng_below(rng, VERSIONS);
        kv_version m = h->known[from].version;

        for (unsigned k = 0; k < KEYS; k++)
                h->declared[k] = rng_below(rng, 8) == 0 || (k > 0 && h->declared[k - 1] && rng_below(rng, 2));
        h->set = (unsigned)rng_below(rng, KEYS);
        h->during = !has_versions(h->c) || rng_below(rng, 3) > 0 ? 0 : (unsigned)rng_below(rng, 4);
        if (h->during && rng_below(rng, 20) == 0)
                h->during = 100;
        h->first = true;
        h->c->held++;
        assert_int_equal(kv_run_since(h->c->store, KV_WRITE | (rng_below(rng, 2) ? KV_IDEMPOTENT : 0), &m,
                                      history_body, h),
                         0);
        h->c->held--;
        if (h->blind && is_changed(h, h->known[from].n))
                fail_msg("seed %llu: commit %llu missed a conflict", (unsigned long long)h->c->seed,
                         (unsigned long long)h->n);
        h->written[h->set] = ++h->n;
        h->known[to].version = m;
        h->known[to].n = h->n;
        return h->blind;
}

static void test_since_at_random(void **state)
{
        struct history h = { .c = *state };
        unsigned n = ctx_rounds(h.c, 2000), blind = 0;
        struct tx beside = { .ctx = h.c };

        for (unsigned i = 0; i < n; i++) {
                /* A store may know more while another transaction writes. */
                if (has_versions(h.c) && !h.c->chaotic && rng_below(&h.c->rng, 10) == 0) {
                        if (beside.txn)
                                discard(&beside);
                        else
                                beside = begin(h.c, KV_WRITE);
                }
                if (rng_below(&h.c->rng, 3) == 0)
                        other_commit(&h);
                else
                        blind += one_call(&h);
        }
        if (beside.txn)
                discard(&beside);
        /* About a tenth of the calls are blind; of the 251 on a slow store rarely fewer than 12. */
        assert_true(blind > (h.c->chaotic ? 0 : n / 50) || !has_versions(h.c));
}

/* ---- several at a time ----------------------------------------------------------------------------- */

#define THREADS 4

/* Counts from the number that it assumes; others count, too. */
struct counter {
        struct ctx *c;
        unsigned rounds, failed, blind;
        unsigned long known, next;
        kv_version version;
        bool was_blind;
};

static int count_body(struct kv_txn *t, void *arg)
{
        struct counter *k = arg;
        struct slice value;
        char text[32] = "0";
        int r;

        k->was_blind = kv_is_blind(t);
        if (k->was_blind) {
                r = kv_conflict_key(t, KV_CONFLICT_READ, slice_str("n"));
                k->next = k->known + 1;
        } else {
                r = kv_get(t, slice_str("n"), 0, &value);
                if (r == 0 && value.len < sizeof(text))
                        memcpy(text, value.data, value.len);
                r = r == -ENOENT ? 0 : r;
                k->next = strtoul(text, NULL, 10) + 1;
        }
        snprintf(text, sizeof(text), "%lu", k->next);
        return r < 0 ? r : kv_set(t, slice_str("n"), slice_str(text));
}

static void *counter_main(void *arg)
{
        struct counter *k = arg;

        for (unsigned i = 0; i < k->rounds; i++) {
                if (kv_run_since(k->c->store, KV_WRITE, &k->version, count_body, k) < 0)
                        k->failed++;
                k->known = k->next;
                k->blind += k->was_blind;
        }
        return NULL;
}

/* With unknown results, too: each call counts once, also with commits in between. */
static void test_since_counts_once(void **state)
{
        struct ctx *c = *state;
        struct counter k[THREADS];
        pthread_t threads[THREADS];
        unsigned rounds = ctx_rounds(c, 800);
        char text[32];

        for (int i = 0; i < THREADS; i++) {
                k[i] = (struct counter){ .c = c, .rounds = rounds };
                assert_int_equal(pthread_create(&threads[i], NULL, counter_main, &k[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
                pthread_join(threads[i], NULL);
                assert_int_equal(k[i].failed, 0);
        }
        snprintf(text, sizeof(text), "%u", THREADS * rounds);
        expect(c, "n", text);
        k[0].blind = 0;
        k[0].version = 0;
        counter_main(&k[0]);
        assert_int_equal(k[0].failed, 0);
        assert_true(k[0].blind > 0 || !has_versions(c));
        snprintf(text, sizeof(text), "%u", (THREADS + 1) * rounds);
        expect(c, "n", text);
}

struct test_table tests_since(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_chain),
                TEST(test_since_returns),
                TEST(test_since_conflicts),
                TEST(test_long_ago),
                TEST(test_since_fence),
                TEST(test_since_at_random),
                TEST(test_since_counts_once),
        };

        return TABLE(tests);
}

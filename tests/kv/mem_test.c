/* SPDX-License-Identifier: MIT */
/* Properties of the mem store alone: FoundationDB's age limit by a clock, bounds, and exactly FoundationDB's
 * conflicts, compared with their definition on random transactions. */
#include "base/rng.h"
#include "kv/kv.h"
#include "kv/testing/mem/mem.h"
#include "kv/testing/testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct kv_store *open_mem(const struct kv_mem_opts *opts)
{
        struct kv_store *s;

        assert_int_equal(kv_mem_open_with(opts, &s), 0);
        return s;
}

static struct kv_txn *begin(struct kv_store *s, unsigned flags)
{
        struct kv_txn *t;

        assert_int_equal(kv_begin(s, flags, &t), 0);
        return t;
}

static int commit(struct kv_txn *t)
{
        int r = kv_commit(t);

        kv_end(t);
        return r;
}

static int set(struct kv_txn *t, const char *key, const char *value)
{
        return kv_set(t, slice_str(key), slice_str(value));
}

static int put(struct kv_store *s, unsigned flags, const char *key, const char *value)
{
        struct kv_txn *t = begin(s, flags | KV_WRITE);

        assert_int_equal(value ? set(t, key, value) : kv_clear(t, slice_str(key)), 0);
        return commit(t);
}

/* ---- age ---------------------------------------------------------------------------------------- */

struct test_clock {
        struct clock clock;
        uint64_t ns;
};

static uint64_t test_monotonic_ns(const struct clock *c)
{
        return ((const struct test_clock *)c)->ns;
}

static void test_age(void **state)
{
        struct test_clock clock = { .clock.monotonic_ns = test_monotonic_ns };
        struct kv_store *s = open_mem(&(struct kv_mem_opts){ .clock = &clock.clock });
        const struct kv_range_opts opts = { .begin = slice_str("a"), .end = slice_str("z") };
        struct kv_txn *reader, *writer, *under_way;
        struct slice value, other, key;
        struct kv_range r;

        (void)state;
        assert_int_equal(kv_limits(s)->txn_ms, 5000);
        assert_int_equal(put(s, 0, "k", "v"), 0);
        assert_int_equal(put(s, 0, "l", "v"), 0);
        reader = begin(s, KV_READ);
        writer = begin(s, KV_WRITE);
        under_way = begin(s, KV_READ);
        kv_range_start(under_way, &r, &opts);
        assert_int_equal(kv_range_next(&r, &key, &value), 1);
        assert_int_equal(set(writer, "w", "1"), 0);
        clock.ns = UINT64_C(5000) * 1000000; /* the maximum age */
        assert_int_equal(kv_get(reader, slice_str("k"), 0, &value), 0);
        clock.ns++;
        assert_int_equal(kv_get(reader, slice_str("k"), 0, &other), -ERR_CONFLICT);
        assert_true(slice_eq(value, slice_str("v"))); /* what was read is still valid */
        assert_int_equal(kv_range_next(&r, &key, &other), -ERR_CONFLICT);
        kv_range_end(&r);
        assert_int_equal(commit(reader), 0);
        assert_int_equal(commit(under_way), 0);
        assert_int_equal(commit(writer), -ERR_CONFLICT);
        reader = begin(s, KV_READ);
        assert_int_equal(kv_get(reader, slice_str("w"), 0, &value), -ENOENT);
        kv_end(reader);
        kv_close(s);
}

/* ---- bounds ------------------------------------------------------------------------------------- */

static void ignore(int err, void *arg)
{
        (void)err;
        (void)arg;
}

static void test_too_many_watches(void **state)
{
        struct kv_store *s = open_mem(&(struct kv_mem_opts){ .watches = 3 });
        struct kv_watch *w[4];
        struct kv_txn *t = begin(s, KV_READ);

        (void)state;
        for (int i = 0; i < 3; i++)
                assert_int_equal(kv_watch(t, slice_str("k"), ignore, NULL, &w[i]), 0);
        assert_int_equal(kv_watch(t, slice_str("k"), ignore, NULL, &w[3]), -EMFILE);
        kv_unwatch(w[0]);
        assert_int_equal(kv_watch(t, slice_str("k"), ignore, NULL, &w[0]), 0);
        assert_int_equal(commit(t), 0);
        t = begin(s, KV_READ);
        assert_int_equal(kv_watch(t, slice_str("k"), ignore, NULL, &w[3]), -EMFILE);
        assert_int_equal(put(s, 0, "k", "v"), 0); /* all fire, so that new ones are possible */
        assert_int_equal(kv_watch(t, slice_str("k"), ignore, NULL, &w[3]), 0);
        kv_end(t);
        for (int i = 0; i < 4; i++)
                kv_unwatch(w[i]);
        kv_close(s);
}

static void test_space(void **state)
{
        struct kv_store *s = open_mem(&(struct kv_mem_opts){ .max_bytes = 100 });
        struct kv_space space;
        char value[60] = "";

        (void)state;
        memset(value, 'x', sizeof(value) - 1);
        assert_int_equal(put(s, 0, "a", value), 0);
        assert_int_equal(kv_space(s, &space), 0);
        assert_int_equal(space.total_bytes, 100);
        assert_int_equal(space.used_bytes, 60);
        assert_int_equal(space.free_bytes, 40);
        assert_int_equal(put(s, 0, "b", value), -ENOSPC);
        assert_int_equal(put(s, KV_RESERVE, "a", NULL), 0);
        assert_int_equal(kv_space(s, &space), 0);
        assert_int_equal(space.used_bytes, 0);
        assert_int_equal(put(s, 0, "b", value), 0);
        /* Full: clearing needs the reserve. */
        assert_int_equal(put(s, 0, "c", "123456789 123456789 123456789 123456789"), 0);
        assert_int_equal(put(s, 0, "b", NULL), -ENOSPC);
        assert_int_equal(put(s, KV_RESERVE, "b", NULL), 0);
        kv_close(s);
}

static void test_open(void **state)
{
        const struct kv_open_opts rdonly = { .flags = KV_OPEN_RDONLY };
        const struct kv_open_opts opts = { .flags = KV_OPEN_CREATE };
        struct err_text text;
        struct kv_store *s;
        struct kv_txn *t;

        (void)state;
        assert_int_equal(kv_testing_open("mem:name", &opts, &s, &text), -EINVAL);
        assert_non_null(strstr(text.text, "mem:name"));
        assert_int_equal(kv_testing_open("mem:", &opts, &s, &text), 0);
        assert_true(kv_limits(s)->optimistic);
        assert_false(kv_limits(s)->unknown_results);
        assert_int_equal(kv_close(s), 0);
        assert_int_equal(kv_testing_open("mem:", &rdonly, &s, &text), 0);
        assert_int_equal(kv_begin(s, KV_WRITE, &t), -EROFS);
        t = begin(s, KV_READ);
        assert_int_equal(commit(t), 0);
        kv_close(s);
}

/* ---- conflicts as defined ----------------------------------------------------------------------- */

/* Keys are numbers below KEYS. A transaction conflicts if another one that committed between its begin and
 * its commit wrote a key that it read. */
#define KEYS    300
#define RUNNING 6

struct player {
        struct kv_txn *t; /* NULL: not running */
        bool read[KEYS], written[KEYS];
        bool own[KEYS];     /* set or cleared by itself: others cannot change what it reads there */
        bool changed[KEYS]; /* by others that committed since it began */
        bool conflict, writes;
};

struct match {
        struct kv_store *store;
        struct rng rng;
        struct player players[RUNNING];
};

static struct slice number_key(unsigned n, char buf[8])
{
        snprintf(buf, 8, "k%03u", n);
        return slice_str(buf);
}

static void note_read(struct player *p, unsigned from, unsigned to)
{
        for (unsigned k = from; k < to; k++) {
                p->read[k] = true;
                p->conflict |= p->changed[k];
        }
}

static void note_write(struct player *p, unsigned from, unsigned to, bool own)
{
        for (unsigned k = from; k < to; k++) {
                p->written[k] = true;
                p->own[k] |= own;
        }
        p->writes = true;
}

static void note_commit(struct match *m, const struct player *committed)
{
        for (int i = 0; i < RUNNING; i++)
                for (int k = 0; k < KEYS; k++)
                        if (committed->written[k]) {
                                m->players[i].changed[k] = true;
                                m->players[i].conflict |= m->players[i].read[k];
                        }
}

static void act(struct match *m, struct player *p)
{
        unsigned from = (unsigned)rng_below(&m->rng, KEYS);
        unsigned to = from + 1 + (unsigned)rng_below(&m->rng, KEYS - from < 40 ? KEYS - from : 40);
        char a[8], b[8];
        struct slice key = number_key(from, a), end = number_key(to, b), value;

        switch (rng_below(&m->rng, 9)) {
        case 0:
        case 1:
                kv_get(p->t, key, 0, &value);
                if (!p->own[from])
                        note_read(p, from, from + 1);
                break;
        case 2:
                kv_get(p->t, key, KV_SNAPSHOT, &value);
                break;
        case 3:
                kv_conflict_range(p->t, KV_CONFLICT_READ, key, end);
                note_read(p, from, to);
                break;
        case 4:
                kv_conflict_range(p->t, KV_CONFLICT_WRITE, key, end);
                note_write(p, from, to, false);
                break;
        case 5:
                kv_clear_range(p->t, key, end);
                note_write(p, from, to, true);
                break;
        case 6:
                kv_atomic(p->t, KV_ADD, key, slice_str("1"));
                note_write(p, from, from + 1, false);
                break;
        case 7:
                kv_conflict_key(p->t, KV_CONFLICT_READ, key);
                note_read(p, from, from + 1);
                break;
        case 8:
                kv_set(p->t, key, slice_str("v"));
                note_write(p, from, from + 1, true);
                break;
        }
}

static void test_conflicts_as_defined(void **state)
{
        const char *env = getenv("ASHLAR_SEED");
        struct match m = { .store = open_mem(NULL) };
        unsigned commits = 0, conflicts = 0;
        uint64_t seed;

        (void)state;
        rng_system(&seed, sizeof(seed));
        if (env)
                seed = strtoull(env, NULL, 0);
        print_message("# replay: ASHLAR_SEED=%llu kv_mem_test\n", (unsigned long long)seed);
        rng_seed(&m.rng, seed);
        for (int i = 0; i < 100000; i++) {
                struct player *p = &m.players[rng_below(&m.rng, RUNNING)];

                if (!p->t) {
                        *p = (struct player){ .t = begin(m.store, KV_WRITE) };
                } else if (rng_below(&m.rng, 6) > 0) {
                        act(&m, p);
                } else {
                        bool conflict = p->writes && p->conflict;

                        assert_int_equal(commit(p->t), conflict ? -ERR_CONFLICT : 0);
                        p->t = NULL;
                        if (!conflict)
                                note_commit(&m, p);
                        conflicts += conflict;
                        commits += !conflict;
                }
        }
        assert_true(commits > 1000 && conflicts > 1000);
        for (int i = 0; i < RUNNING; i++)
                kv_end(m.players[i].t);
        kv_close(m.store);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_age),
                cmocka_unit_test(test_too_many_watches),
                cmocka_unit_test(test_space),
                cmocka_unit_test(test_open),
                cmocka_unit_test(test_conflicts_as_defined),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

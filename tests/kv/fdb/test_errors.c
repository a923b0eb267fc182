/* SPDX-License-Identifier: MIT */
/* Each class of FoundationDB's errors: the error of the contract, and that kv_run succeeds in the end. */
#include "fixture.h"

#include "base/rng.h"

#include <stdlib.h>
#include <unistd.h>

/* The result of kv_commit for an error of the cluster. */
static const struct {
        int code, err;
} commits[] = {
        { 0, 0 },
        { 1007, -ERR_CONFLICT },
        { 1020, -ERR_CONFLICT },
        { 1009, -ERR_RETRY },
        { 1037, -ERR_RETRY },
        { 1038, -ERR_RETRY },
        { 1042, -ERR_RETRY },
        { 1051, -ERR_RETRY },
        { 1213, -ERR_RETRY },
        { 1021, -ERR_UNKNOWN_RESULT },
        { 1039, -ERR_UNKNOWN_RESULT },
        { 1025, -ERR_UNKNOWN_RESULT }, /* may still happen */
        { 1031, -ERR_UNKNOWN_RESULT },
        { 1500, -ERR_UNKNOWN_RESULT }, /* the outcome for an unknown code is not certain */
        { 2101, -E2BIG },
        { 2004, -EINVAL },
};

static void test_commit(void **state)
{
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(commits) / sizeof(commits[0]); i++) {
                const struct standin_faults faults = { .next_commit = commits[i].code };
                struct kv_txn *t;
                int r;

                f->set_faults(&faults);
                assert_int_equal(kv_begin(f->store, KV_WRITE, &t), 0);
                assert_int_equal(kv_set(t, slice_str("k"), slice_str("v")), 0);
                r = kv_commit(t);
                if (r != commits[i].err)
                        fail_msg("commit with %d: %s", commits[i].code, err_str(r));
                kv_end(t);
        }
}

static int add(struct kv_txn *t, void *arg)
{
        int *runs = arg;

        (*runs)++;
        return kv_atomic(t, KV_ADD, slice_str("n"), slice_of("\1\0", 2));
}

static void expect_count(struct kv_store *s, uint8_t n)
{
        struct slice value;
        struct kv_txn *t;

        assert_int_equal(kv_begin(s, KV_READ, &t), 0);
        assert_int_equal(kv_get(t, slice_str("n"), 0, &value), 0);
        assert_int_equal(value.len, 2);
        assert_int_equal(value.data[0], n);
        kv_end(t);
}

/* A transaction happens exactly once after any error of its first commit. */
static void test_run(void **state)
{
        struct fixture *f = *state;
        uint8_t n = 0;

        for (size_t i = 0; i < sizeof(commits) / sizeof(commits[0]); i++) {
                struct standin_faults faults = { .next_commit = commits[i].code };
                bool passes = commits[i].err == -E2BIG || commits[i].err == -EINVAL;
                int runs = 0;

                f->set_faults(&faults);
                assert_int_equal(kv_run(f->store, KV_WRITE, add, &runs), passes ? commits[i].err : 0);
                /* A commit that happened is not repeated. */
                if (commits[i].code == 1021 || commits[i].code == 1039)
                        assert_int_equal(runs, 1);
                n += !passes;
                expect_count(f->store, n);
        }
}

static int read_three(struct kv_txn *t, void *arg)
{
        const struct kv_range_opts opts = { .begin = slice_str("a"), .end = slice_str("z") };
        struct slice key, value;
        struct kv_range range;
        int more, n = 0;

        (void)arg;
        kv_range_start(t, &range, &opts);
        while ((more = kv_range_next(&range, &key, &value)) > 0)
                n++;
        kv_range_end(&range);
        return more < 0 ? more : n;
}

/* Transient errors of reads and versions, even frequent ones, do not reach the caller. */
static void test_reads(void **state)
{
        struct fixture *f = *state;
        const struct standin_faults faults = {
                .seed = 7,
                .future_version_ppm = 100000,
                .behind_ppm = 100000,
                .throttled_ppm = 50000,
                .too_old_ppm = 50000,
        };

        put(f->store, "a", "1");
        put(f->store, "b", "2");
        put(f->store, "c", "3");
        f->set_faults(&faults);
        for (int i = 0; i < 50; i++) {
                expect(f->store, "b", "2");
                assert_int_equal(kv_run(f->store, KV_READ, read_three, NULL), 3);
        }
}

/* A commit that was reported as failed may happen later: the counter still counts it exactly once. */
static void test_late(void **state)
{
        struct fixture *f = *state;
        struct standin_faults faults = { .timed_out_ppm = 300000, .cancelled_ppm = 300000 };
        const char *seed = getenv("ASHLAR_SEED");
        int runs = 0;

        if (seed)
                faults.seed = strtoull(seed, NULL, 0);
        else
                rng_system(&faults.seed, sizeof(faults.seed));
        faults.seed |= 1;
        print_message("# replay: ASHLAR_SEED=%llu fdb_errors\n", (unsigned long long)faults.seed);
        f->set_faults(&faults);
        for (int i = 0; i < 150; i++)
                assert_int_equal(kv_run(f->store, KV_WRITE, add, &runs), 0);
        f->set_faults(&(struct standin_faults){ 0 });
        usleep(20000); /* late commits have happened */
        expect_count(f->store, 150);
        assert_true(runs > 150);
}

/* Opening repeats requests with transient errors. */
static void test_open(void **state)
{
        struct fixture *f = *state;

        f->set_faults(
                &(struct standin_faults){ .seed = 3, .future_version_ppm = 300000, .throttled_ppm = 300000 });
        for (int i = 0; i < 10; i++)
                assert_int_equal(kv_close(fixture_open(f, f->url)), 0);
}

/* ---- watches ------------------------------------------------------------------------------------- */

struct fired {
        _Atomic int calls, err;
};

static void on_fire(int err, void *arg)
{
        struct fired *f = arg;

        f->err = err;
        f->calls++;
}

static struct kv_watch *watch(struct kv_store *s, const char *key, struct fired *f)
{
        _cleanup_txn_ struct kv_txn *t = NULL;
        struct kv_watch *w;

        assert_int_equal(kv_begin(s, KV_READ, &t), 0);
        assert_int_equal(kv_watch(t, slice_str(key), on_fire, f, &w), 0);
        assert_int_equal(kv_commit(t), 0);
        return w;
}

static void wait_for(struct fired *f)
{
        for (int i = 0; i < 1000 && f->calls == 0; i++)
                usleep(10000);
        assert_int_equal(f->calls, 1);
}

/* Any error of a watch counts as fired. */
static void test_broken_watch(void **state)
{
        struct fixture *f = *state;
        struct fired fired = { 0 };
        struct kv_watch *w;

        f->set_faults(&(struct standin_faults){ .watch_broken_ppm = 1000000 });
        w = watch(f->store, "k", &fired);
        wait_for(&fired);
        assert_true(fired.err < 0);
        kv_unwatch(w);
}

static void test_too_many_watches(void **state)
{
        struct fixture *f = *state;
        struct fired fired[3] = { 0 };
        struct kv_watch *w[3];

        f->set_faults(&(struct standin_faults){ .watches_max = 2 });
        for (int i = 0; i < 3; i++)
                w[i] = watch(f->store, "k", &fired[i]);
        wait_for(&fired[2]);
        assert_int_equal(fired[2].err, -EMFILE);
        assert_int_equal(fired[0].calls + fired[1].calls, 0);
        put(f->store, "k", "new");
        for (int i = 0; i < 2; i++) {
                wait_for(&fired[i]);
                assert_int_equal(fired[i].err, 0);
        }
        for (int i = 0; i < 3; i++)
                kv_unwatch(w[i]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_STORE(test_commit),
                IN_STORE(test_run),
                IN_STORE(test_reads),
                IN_STORE(test_late),
                IN_STORE(test_open),
                IN_STORE(test_broken_watch),
                IN_STORE(test_too_many_watches),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

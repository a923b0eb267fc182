/* SPDX-License-Identifier: MIT */
/* Several processes: watches across them, growth of the map, processes that are killed. */
#include "fixture.h"

#include "base/thread.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct fired {
        _Atomic int calls, err;
};

static uint64_t now_ms(void)
{
        return thread_now_ns() / 1000000;
}

static void on_fire(int err, void *arg)
{
        struct fired *f = arg;

        atomic_store(&f->err, err);
        atomic_fetch_add(&f->calls, 1);
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

/* Milliseconds until it fired, or -1. */
static int wait_fired(struct fired *f, unsigned ms)
{
        uint64_t start = now_ms();

        while (now_ms() - start < ms) {
                if (atomic_load(&f->calls) > 0)
                        return (int)(now_ms() - start);
                usleep(1000);
        }
        return -1;
}

static void child_put(struct fixture *f, void *arg)
{
        struct kv_store *s = store_open(f, 0);

        put(s, arg, "from the child");
        kv_close(s);
}

/* Commits by LMDB alone, as a process that is killed between its commit and its ring. */
static void child_put_silently(struct fixture *f, void *arg)
{
        MDB_val k = { .mv_data = arg, .mv_size = strlen(arg) }, v = { .mv_data = "x", .mv_size = 1 };
        MDB_env *env;
        MDB_txn *txn;
        MDB_dbi dbi;
        int rc;

        if ((rc = mdb_env_create(&env)) || (rc = mdb_env_set_mapsize(env, 1 << 30)) ||
            (rc = mdb_env_open(env, f->path, 0, 0600)) || (rc = mdb_txn_begin(env, NULL, 0, &txn)) ||
            (rc = mdb_dbi_open(txn, NULL, 0, &dbi)) || (rc = mdb_put(txn, dbi, &k, &v, 0)) ||
            (rc = mdb_txn_commit(txn))) {
                fprintf(stderr, "in the child: %s\n", mdb_strerror(rc));
                _exit(1);
        }
        _exit(0);
}

static void test_watch_across(void **state)
{
        struct fixture *f = *state;
        struct kv_store *s = store_open(f, KV_OPEN_CREATE);
        struct fired a = { 0 }, b = { 0 }, c = { 0 };
        struct kv_watch *wa, *wb, *wc;

        put(s, "a", "1");
        wa = watch(s, "a", &a);
        wb = watch(s, "b", &b);
        wc = watch(s, "c", &c);
        assert_int_equal(in_child(child_put, f, "a"), 0);
        assert_true(wait_fired(&a, 900) >= 0);
        assert_int_equal(atomic_load(&a.err), 0);
        assert_int_equal(in_child(child_put_silently, f, "b"), 0);
        assert_true(wait_fired(&b, 10000) >= 0);
        assert_int_equal(wait_fired(&c, 50), -1);
        kv_unwatch(wa);
        kv_unwatch(wb);
        kv_unwatch(wc);
        assert_int_equal(atomic_load(&a.calls), 1);
        assert_int_equal(kv_close(s), 0);
}

/* A commit between the snapshot and the arming of the watch fires it. */
static void test_watch_late(void **state)
{
        struct kv_store *s = store_open(*state, KV_OPEN_CREATE);
        struct fired f = { 0 };
        struct kv_watch *w;
        struct kv_txn *t;

        put(s, "key", "1");
        assert_int_equal(kv_begin(s, KV_READ, &t), 0);
        assert_int_equal(kv_watch(t, slice_str("key"), on_fire, &f, &w), 0);
        put(s, "key", "2");
        assert_int_equal(wait_fired(&f, 50), -1);
        assert_int_equal(kv_commit(t), 0);
        kv_end(t);
        assert_true(wait_fired(&f, 900) >= 0);
        assert_int_equal(atomic_load(&f.err), 0);
        kv_unwatch(w);
        assert_int_equal(kv_close(s), 0);
}

/* Without a commit the watch breaks; unwatched while its transaction is open, it is not called. */
static void test_watch_broken(void **state)
{
        struct kv_store *s = store_open(*state, KV_OPEN_CREATE);
        struct fired f = { 0 }, g = { 0 };
        struct kv_watch *w, *v;
        struct kv_txn *t;

        assert_int_equal(kv_begin(s, KV_WRITE, &t), 0);
        assert_int_equal(kv_watch(t, slice_str("key"), on_fire, &f, &w), 0);
        assert_int_equal(kv_watch(t, slice_str("key"), on_fire, &g, &v), 0);
        kv_unwatch(v);
        kv_end(t);
        assert_true(wait_fired(&f, 900) >= 0);
        assert_int_equal(atomic_load(&f.err), -ECANCELED);
        assert_int_equal(wait_fired(&g, 50), -1);
        kv_unwatch(w);
        assert_int_equal(kv_close(s), 0);
}

static void test_watch_limit(void **state)
{
        struct kv_store *s = store_open(*state, KV_OPEN_CREATE);
        static struct kv_watch *w[20000];
        struct fired f = { 0 };
        struct kv_txn *t;
        int n = 0, r = 0;

        assert_int_equal(kv_begin(s, KV_READ, &t), 0);
        while (n < 20000 && (r = kv_watch(t, slice_str("key"), on_fire, &f, &w[n])) == 0)
                n++;
        assert_int_equal(r, -EMFILE);
        assert_int_equal(kv_commit(t), 0);
        kv_end(t);
        put(s, "key", "1");
        while (atomic_load(&f.calls) < n)
                usleep(1000);
        while (n-- > 0)
                kv_unwatch(w[n]);
        assert_int_equal(kv_close(s), 0);
}

/* ---- growth ------------------------------------------------------------------------------------- */

#define GROW_KEYS 200

static void child_grow(struct fixture *f, void *arg)
{
        static uint8_t value[50000];
        struct kv_store *s = store_open(f, 0);
        char name[32];

        for (int i = 0; i < GROW_KEYS; i++) {
                snprintf(name, sizeof(name), "grown %04d", i);
                if (try_put(s, 0, slice_str(name), slice_of(value, sizeof(value))) < 0)
                        _exit(1);
        }
        kv_close(s);
}

/* Another process makes the file larger than the map of this one. */
static void test_growth(void **state)
{
        struct fixture *f = *state;
        struct kv_open_opts opts = { .flags = KV_OPEN_CREATE, .max_bytes = 4 << 20 };
        struct slice value;
        struct kv_store *s;
        struct kv_txn *t;

        assert_int_equal(kv_open(f->path, &opts, &s, &f->text), 0);
        put(s, "key", "value");
        assert_int_equal(in_child(child_grow, f, NULL), 0);
        assert_int_equal(kv_begin(s, KV_READ, &t), 0);
        assert_int_equal(kv_get(t, slice_str("grown 0199"), 0, &value), 0);
        assert_int_equal(value.len, 50000);
        assert_int_equal(value.data[49999], 0);
        kv_end(t);
        expect(s, "key", "value");
        assert_int_equal(in_child(child_grow, f, NULL), 0);
        expect(s, "key", "value");
        assert_int_equal(kv_close(s), 0);
}

/* ---- processes that die ------------------------------------------------------------------------- */

static void child_die_writing(struct fixture *f, void *arg)
{
        struct kv_store *s = store_open(f, 0);
        struct kv_txn *t;

        put(s, "key", "child");
        if (kv_begin(s, KV_WRITE, &t) < 0)
                _exit(1);
        kv_set(t, slice_str("key"), slice_str("never"));
        raise(SIGKILL);
}

static void child_die_reading(struct fixture *f, void *arg)
{
        struct kv_store *s = store_open(f, 0);
        struct kv_txn *t;

        for (int i = 0; i < 50; i++)
                if (kv_begin(s, KV_READ, &t) < 0)
                        _exit(1);
        raise(SIGKILL);
}

static void test_killed(void **state)
{
        struct fixture *f = *state;
        struct kv_store *s = store_open(f, KV_OPEN_CREATE);

        put(s, "key", "value");
        for (int i = 0; i < 5; i++) {
                int status = in_child(i % 2 ? child_die_writing : child_die_reading, f, NULL);

                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
                expect(s, "key", i == 0 ? "value" : "child");
                put(s, "other", "value");
        }
        assert_int_equal(kv_close(s), 0);
}

/* ---- many at once ------------------------------------------------------------------------------- */

#define ADDS 100

static int add_body(struct kv_txn *t, void *arg)
{
        uint64_t one = 1;

        return kv_atomic(t, KV_ADD, slice_str("sum"), slice_of(&one, sizeof(one)));
}

static void *add_thread(void *arg)
{
        for (int i = 0; i < ADDS; i++)
                assert_int_equal(kv_run(arg, KV_WRITE, add_body, NULL), 0);
        return NULL;
}

static void child_add(struct fixture *f, void *arg)
{
        struct kv_store *s = store_open(f, 0);

        add_thread(s);
        kv_close(s);
        _exit(0);
}

static void test_sums(void **state)
{
        struct fixture *f = *state;
        struct kv_store *s = store_open(f, KV_OPEN_CREATE);
        uint64_t sum = 0;
        struct slice value;
        pthread_t threads[2];
        pid_t children[2];
        struct kv_txn *t;
        int status;

        assert_int_equal(kv_close(s), 0);
        for (int i = 0; i < 2; i++) {
                children[i] = fork();
                assert_true(children[i] >= 0);
                if (children[i] == 0)
                        child_add(f, NULL);
        }
        s = store_open(f, 0);
        for (int i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, add_thread, s), 0);
        for (int i = 0; i < 2; i++) {
                pthread_join(threads[i], NULL);
                assert_int_equal(waitpid(children[i], &status, 0), children[i]);
                assert_int_equal(status, 0);
        }
        assert_int_equal(kv_begin(s, KV_READ, &t), 0);
        assert_int_equal(kv_get(t, slice_str("sum"), 0, &value), 0);
        assert_int_equal(value.len, sizeof(sum));
        memcpy(&sum, value.data, sizeof(sum));
        assert_int_equal(sum, 4 * ADDS);
        kv_end(t);
        assert_int_equal(kv_close(s), 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_watch_across), TEST(test_watch_late), TEST(test_watch_broken),
                TEST(test_watch_limit),  TEST(test_growth),     TEST(test_killed),
                TEST(test_sums),
        };

        return cmocka_run_group_tests_name("lmdb shared", tests, NULL, NULL);
}

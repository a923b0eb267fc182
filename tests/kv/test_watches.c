/* SPDX-License-Identifier: MIT */
/* Watches: armed at commit, fired by changes, broken by transactions that do not commit. */
#include "harness.h"

#include "base/lock.h"
#include "base/thread.h"

#include <stdio.h>
#include <string.h>

/* The calls of a watch's function. */
struct calls {
        struct lock lock;
        pthread_cond_t called;
        int times, err;
};

static void calls_init(struct calls *c)
{
        lock_init(&c->lock);
        thread_cond_init(&c->called);
        c->times = 0;
        c->err = 0;
}

static void calls_free(struct calls *c)
{
        lock_destroy(&c->lock);
        pthread_cond_destroy(&c->called);
}

static void on_fire(int err, void *arg)
{
        struct calls *c = arg;
        LOCK_GUARD(&c->lock);

        c->times++;
        c->err = err;
        pthread_cond_signal(&c->called);
}

/* Waits for the first call, at most MS milliseconds; returns the number of calls. */
static int calls_wait(struct calls *c, unsigned ms)
{
        const struct timespec until = thread_deadline(ms * UINT64_C(1000000));
        LOCK_GUARD(&c->lock);

        while (c->times == 0 && lock_wait_until(&c->lock, &c->called, &until))
                continue;
        return c->times;
}

/* A change is reported within the first, on a busy machine, too; nothing must happen for the second. */
#define SOON_MS 10000
#define IDLE_MS 30

struct watching {
        const char *key;
        const char *set_first; /* a value that the watching transaction sets before; NULL: none */
        struct calls *calls;
        struct kv_watch *watch;
};

static int watch_body(struct kv_txn *t, void *arg)
{
        struct watching *w = arg;
        int r = 0;

        /* From an earlier run that did not commit. */
        kv_unwatch(w->watch);
        w->watch = NULL;
        w->calls->times = 0;
        if (w->set_first)
                r = kv_set(t, slice_str(w->key), slice_str(w->set_first));
        return r < 0 ? r : kv_watch(t, slice_str(w->key), on_fire, w->calls, &w->watch);
}

/* Arms a watch. It may have fired spuriously already. */
static struct kv_watch *watch(struct ctx *c, unsigned flags, const char *key, const char *set_first,
                              struct calls *calls)
{
        struct watching w = { key, set_first, calls, NULL };

        assert_int_equal(kv_run(c->store, flags, watch_body, &w), 0);
        c->held++;
        return w.watch;
}

static void unwatch(struct ctx *c, struct kv_watch *w)
{
        kv_unwatch(w);
        c->held--;
}

/* Arms a watch that did not fire while only other keys changed. A watch may fire spuriously, but not
 * always. */
static struct kv_watch *quiet_watch(struct ctx *c, unsigned flags, const char *key, struct calls *calls)
{
        for (int i = 0; i < 20; i++) {
                struct kv_watch *w = watch(c, flags, key, NULL, calls);

                put(c, "j", "other");
                put(c, "kk", "other");
                if (calls_wait(calls, IDLE_MS) == 0)
                        return w;
                unwatch(c, w);
        }
        fail_msg("a watch fires without a change");
        return NULL;
}

/* Every way to change a key fires, from every kind of transaction. */
static void change_set(struct tx *x)
{
        tx_set(x, "k", "new");
}

static void change_clear(struct tx *x)
{
        tx_clear(x, "k");
}

static void change_clear_range(struct tx *x)
{
        tx_clear_range(x, "a", "z");
}

static void change_add(struct tx *x)
{
        tx_add(x, "k", "\1");
}

static void test_fires(void **state)
{
        static void (*const changes[])(struct tx * x) = {
                change_set,
                change_clear,
                change_clear_range,
                change_add,
        };
        struct ctx *c = *state;

        for (size_t i = 0; i < 2 * sizeof(changes) / sizeof(changes[0]); i++) {
                struct kv_watch *w;
                struct calls calls;

                calls_init(&calls);
                put(c, "k", "old");
                w = quiet_watch(c, i & 1 ? KV_WRITE : KV_READ, "k", &calls);
                run(c, KV_WRITE, changes[i / 2], NULL);
                assert_int_equal(calls_wait(&calls, SOON_MS), 1);
                assert_int_equal(calls.err, 0);
                put(c, "k", "again");
                put(c, "k", NULL);
                calls_wait(&calls, IDLE_MS);
                unwatch(c, w);
                assert_int_equal(calls.times, 1); /* once only */
                calls_free(&calls);
        }
}

static void test_absent_key(void **state)
{
        struct ctx *c = *state;
        struct kv_watch *w;
        struct calls calls;

        calls_init(&calls);
        w = quiet_watch(c, KV_READ, "k", &calls);
        put(c, "k", ""); /* an empty value is a value */
        assert_int_equal(calls_wait(&calls, SOON_MS), 1);
        unwatch(c, w);
        calls_free(&calls);
}

/* The watched value is the one that the transaction sees, its own writes included (whether its own commit
 * counts as a change is left open). */
static void test_own_write(void **state)
{
        struct ctx *c = *state;
        struct kv_watch *w;
        struct calls calls;

        calls_init(&calls);
        put(c, "k", "old");
        w = watch(c, KV_WRITE, "k", "mine", &calls);
        calls_wait(&calls, IDLE_MS);
        put(c, "k", "theirs");
        assert_int_equal(calls_wait(&calls, SOON_MS), 1);
        unwatch(c, w);
        calls_free(&calls);
}

/* A change between the read of the transaction and its commit is not lost. */
static void test_change_before_commit(void **state)
{
        struct ctx *c = *state;
        struct kv_watch *w;
        struct calls calls;
        struct tx x;

        if (c->chaotic)
                skip();
        calls_init(&calls);
        put(c, "k", "old");
        x = begin(c, KV_READ);
        tx_expect(&x, "k", "old");
        put(c, "k", "new");
        assert_int_equal(kv_watch(x.txn, slice_str("k"), on_fire, &calls, &w), 0);
        c->held++;
        assert_int_equal(commit(&x), 0);
        assert_int_equal(calls_wait(&calls, SOON_MS), 1);
        assert_int_equal(calls.err, 0);
        unwatch(c, w);
        calls_free(&calls);
}

static void test_broken(void **state)
{
        struct ctx *c = *state;
        struct kv_watch *w;
        struct calls calls;

        if (c->chaotic)
                skip();
        for (int writes = 0; writes < 2; writes++) {
                struct tx x = begin(c, writes ? KV_WRITE : KV_READ);

                calls_init(&calls);
                if (writes)
                        tx_set(&x, "k", "never");
                assert_int_equal(kv_watch(x.txn, slice_str("k"), on_fire, &calls, &w), 0);
                c->held++;
                discard(&x);
                assert_int_equal(calls_wait(&calls, SOON_MS), 1);
                assert_int_equal(calls.err, -ECANCELED);
                unwatch(c, w);
                calls_free(&calls);
        }
        expect(c, "k", NULL);
}

static void test_unwatch(void **state)
{
        struct ctx *c = *state;
        struct kv_watch *w, *other;
        struct calls calls, other_calls;
        struct tx x;

        calls_init(&calls);
        calls_init(&other_calls);
        w = watch(c, KV_READ, "k", NULL, &calls);
        other = watch(c, KV_READ, "k", NULL, &other_calls);
        unwatch(c, w);
        calls.times = 0;
        put(c, "k", "new");
        assert_int_equal(calls_wait(&other_calls, SOON_MS), 1);
        assert_int_equal(calls_wait(&calls, IDLE_MS), 0);
        unwatch(c, other);
        if (!c->chaotic) {
                /* Before its transaction ends, and before it fires. */
                x = begin(c, KV_READ);
                assert_int_equal(kv_watch(x.txn, slice_str("k"), on_fire, &calls, &w), 0);
                c->held++;
                unwatch(c, w);
                calls.times = 0;
                assert_int_equal(commit(&x), 0);
                put(c, "k", "newer");
                assert_int_equal(calls_wait(&calls, IDLE_MS), 0);
        }
        kv_unwatch(NULL);
        calls_free(&calls);
        calls_free(&other_calls);
}

#define MANY 300

static void test_many(void **state)
{
        struct ctx *c = *state;
        static struct calls all_calls[MANY];
        static struct kv_watch *watches[MANY];
        int spurious = 0;
        char key[32];

        for (int i = 0; i < MANY; i++) {
                calls_init(&all_calls[i]);
                snprintf(key, sizeof(key), "w%03d", i / 2); /* two per key */
                watches[i] = watch(c, KV_READ, key, NULL, &all_calls[i]);
        }
        for (int i = 0; i < MANY; i += 4) {
                snprintf(key, sizeof(key), "w%03d", i / 2);
                put(c, key, "new");
        }
        for (int i = 0; i < MANY; i++) {
                if (i % 4 < 2)
                        assert_int_equal(calls_wait(&all_calls[i], SOON_MS), 1);
                else
                        spurious += calls_wait(&all_calls[i], 0);
        }
        assert_in_range(spurious, 0, MANY / 4);
        for (int i = 0; i < MANY; i++) {
                unwatch(c, watches[i]);
                calls_free(&all_calls[i]);
        }
}

/* Freed by one thread while another makes it fire: the function never runs after kv_unwatch, nor with freed
 * memory (the sanitizers check). */
struct racing {
        struct ctx *ctx;
        unsigned rounds;
        bool stop;
};

static void *change_thread(void *arg)
{
        struct racing *r = arg;
        char value[16];

        for (unsigned i = 0; !__atomic_load_n(&r->stop, __ATOMIC_RELAXED); i++) {
                snprintf(value, sizeof(value), "%u", i);
                put(r->ctx, "k", value);
        }
        return NULL;
}

static void test_race(void **state)
{
        struct ctx *c = *state;
        struct racing r = { .ctx = c, .rounds = ctx_rounds(c, 1000) };
        pthread_t thread;
        int missed = 0;

        assert_int_equal(pthread_create(&thread, NULL, change_thread, &r), 0);
        for (unsigned i = 0; i < r.rounds && !missed; i++) {
                struct calls calls;
                struct kv_watch *w;

                calls_init(&calls);
                w = watch(c, KV_READ, "k", NULL, &calls);
                if (i % 3 == 0)
                        missed = calls_wait(&calls, SOON_MS) != 1;
                unwatch(c, w);
                calls_free(&calls);
        }
        __atomic_store_n(&r.stop, true, __ATOMIC_RELAXED);
        pthread_join(thread, NULL);
        assert_int_equal(missed, 0);
}

struct test_table tests_watches(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_fires),     TEST(test_absent_key),
                TEST(test_own_write), TEST(test_change_before_commit),
                TEST(test_broken),    TEST(test_unwatch),
                TEST(test_many),      TEST(test_race),
        };

        return TABLE(tests);
}

/* SPDX-License-Identifier: MIT */
/* Watches: armed at commit, fired by changes, broken by transactions that do not commit. */
#include "harness.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What a watch's function tells the test. */
struct bell {
        pthread_mutex_t lock;
        pthread_cond_t rung;
        int times, err;
};

static void bell_init(struct bell *b)
{
        pthread_mutex_init(&b->lock, NULL);
        pthread_cond_init(&b->rung, NULL);
        b->times = 0;
        b->err = 0;
}

static void bell_free(struct bell *b)
{
        pthread_mutex_destroy(&b->lock);
        pthread_cond_destroy(&b->rung);
}

static void ring(int err, void *arg)
{
        struct bell *b = arg;

        pthread_mutex_lock(&b->lock);
        b->times++;
        b->err = err;
        pthread_cond_signal(&b->rung);
        pthread_mutex_unlock(&b->lock);
}

/* Waits until it rang, at most so long; returns how often it did. */
static int bell_wait(struct bell *b, unsigned ms)
{
        struct timespec until;
        int n;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += (long)(ms % 1000) * 1000000;
        until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_mutex_lock(&b->lock);
        while (b->times == 0 && pthread_cond_timedwait(&b->rung, &b->lock, &until) == 0)
                continue;
        n = b->times;
        pthread_mutex_unlock(&b->lock);
        return n;
}

/* A change is told within this, on a busy machine too; and this long nothing has to happen. */
#define SOON_MS 10000
#define IDLE_MS 30

struct watching {
        const char *key;
        const char *set_first; /* a value that the watching transaction sets before; NULL: none */
        struct bell *bell;
        struct kv_watch *watch;
};

static int watch_body(struct kv_txn *t, void *arg)
{
        struct watching *w = arg;
        int r = 0;

        /* Of an earlier run that did not commit. */
        kv_unwatch(w->watch);
        w->watch = NULL;
        w->bell->times = 0;
        if (w->set_first)
                r = kv_set(t, slice_str(w->key), slice_str(w->set_first));
        return r < 0 ? r : kv_watch(t, slice_str(w->key), ring, w->bell, &w->watch);
}

/* Armed. It may have fired for nothing already. */
static struct kv_watch *watch(struct ctx *c, unsigned flags, const char *key, const char *set_first,
                              struct bell *bell)
{
        struct watching w = { key, set_first, bell, NULL };

        assert_int_equal(kv_run(c->store, flags, watch_body, &w), 0);
        c->held++;
        return w.watch;
}

static void unwatch(struct ctx *c, struct kv_watch *w)
{
        kv_unwatch(w);
        c->held--;
}

/* Armed, and it did not fire while nothing happened but changes of other keys. A watch may fire for nothing,
 * but one that always does is none. */
static struct kv_watch *quiet_watch(struct ctx *c, unsigned flags, const char *key, struct bell *bell)
{
        for (int i = 0; i < 20; i++) {
                struct kv_watch *w = watch(c, flags, key, NULL, bell);

                put(c, "j", "other");
                put(c, "kk", "other");
                if (bell_wait(bell, IDLE_MS) == 0)
                        return w;
                unwatch(c, w);
        }
        fail_msg("a watch fires whatever happens");
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
                struct bell bell;

                bell_init(&bell);
                put(c, "k", "old");
                w = quiet_watch(c, i & 1 ? KV_WRITE : KV_READ, "k", &bell);
                run(c, KV_WRITE, changes[i / 2], NULL);
                assert_int_equal(bell_wait(&bell, SOON_MS), 1);
                assert_int_equal(bell.err, 0);
                put(c, "k", "again");
                put(c, "k", NULL);
                bell_wait(&bell, IDLE_MS);
                unwatch(c, w);
                assert_int_equal(bell.times, 1); /* once and no more */
                bell_free(&bell);
        }
}

static void test_absent_key(void **state)
{
        struct ctx *c = *state;
        struct kv_watch *w;
        struct bell bell;

        bell_init(&bell);
        w = quiet_watch(c, KV_READ, "k", &bell);
        put(c, "k", ""); /* an empty value is a value */
        assert_int_equal(bell_wait(&bell, SOON_MS), 1);
        unwatch(c, w);
        bell_free(&bell);
}

/* The state watched is what the transaction sees, its own writes included (whether its own commit counts as a
 * change is left open). */
static void test_own_write(void **state)
{
        struct ctx *c = *state;
        struct kv_watch *w;
        struct bell bell;

        bell_init(&bell);
        put(c, "k", "old");
        w = watch(c, KV_WRITE, "k", "mine", &bell);
        bell_wait(&bell, IDLE_MS);
        put(c, "k", "theirs");
        assert_int_equal(bell_wait(&bell, SOON_MS), 1);
        unwatch(c, w);
        bell_free(&bell);
}

/* A change between what the transaction saw and its commit is not lost. */
static void test_change_before_commit(void **state)
{
        struct ctx *c = *state;
        struct kv_watch *w;
        struct bell bell;
        struct tx x;

        if (c->chaotic)
                skip();
        bell_init(&bell);
        put(c, "k", "old");
        x = begin(c, KV_READ);
        tx_expect(&x, "k", "old");
        put(c, "k", "new");
        assert_int_equal(kv_watch(x.txn, slice_str("k"), ring, &bell, &w), 0);
        c->held++;
        assert_int_equal(commit(&x), 0);
        assert_int_equal(bell_wait(&bell, SOON_MS), 1);
        assert_int_equal(bell.err, 0);
        unwatch(c, w);
        bell_free(&bell);
}

static void test_broken(void **state)
{
        struct ctx *c = *state;
        struct kv_watch *w;
        struct bell bell;

        if (c->chaotic)
                skip();
        for (int writes = 0; writes < 2; writes++) {
                struct tx x = begin(c, writes ? KV_WRITE : KV_READ);

                bell_init(&bell);
                if (writes)
                        tx_set(&x, "k", "never");
                assert_int_equal(kv_watch(x.txn, slice_str("k"), ring, &bell, &w), 0);
                c->held++;
                discard(&x);
                assert_int_equal(bell_wait(&bell, SOON_MS), 1);
                assert_int_equal(bell.err, -ECANCELED);
                unwatch(c, w);
                bell_free(&bell);
        }
        expect(c, "k", NULL);
}

static void test_unwatch(void **state)
{
        struct ctx *c = *state;
        struct kv_watch *w, *other;
        struct bell bell, other_bell;
        struct tx x;

        bell_init(&bell);
        bell_init(&other_bell);
        w = watch(c, KV_READ, "k", NULL, &bell);
        other = watch(c, KV_READ, "k", NULL, &other_bell);
        unwatch(c, w);
        bell.times = 0;
        put(c, "k", "new");
        assert_int_equal(bell_wait(&other_bell, SOON_MS), 1);
        assert_int_equal(bell_wait(&bell, IDLE_MS), 0);
        unwatch(c, other);
        if (!c->chaotic) {
                /* Before its transaction ended, and before it fired. */
                x = begin(c, KV_READ);
                assert_int_equal(kv_watch(x.txn, slice_str("k"), ring, &bell, &w), 0);
                c->held++;
                unwatch(c, w);
                bell.times = 0;
                assert_int_equal(commit(&x), 0);
                put(c, "k", "newer");
                assert_int_equal(bell_wait(&bell, IDLE_MS), 0);
        }
        kv_unwatch(NULL);
        bell_free(&bell);
        bell_free(&other_bell);
}

#define MANY 300

static void test_many(void **state)
{
        struct ctx *c = *state;
        static struct bell bells[MANY];
        static struct kv_watch *watches[MANY];
        int spurious = 0;
        char key[32];

        for (int i = 0; i < MANY; i++) {
                bell_init(&bells[i]);
                snprintf(key, sizeof(key), "w%03d", i / 2); /* two for each key */
                watches[i] = watch(c, KV_READ, key, NULL, &bells[i]);
        }
        for (int i = 0; i < MANY; i += 4) {
                snprintf(key, sizeof(key), "w%03d", i / 2);
                put(c, key, "new");
        }
        for (int i = 0; i < MANY; i++) {
                if (i % 4 < 2)
                        assert_int_equal(bell_wait(&bells[i], SOON_MS), 1);
                else
                        spurious += bell_wait(&bells[i], 0);
        }
        assert_in_range(spurious, 0, MANY / 4);
        for (int i = 0; i < MANY; i++) {
                unwatch(c, watches[i]);
                bell_free(&bells[i]);
        }
}

/* Freed by one thread while another one makes it fire: the function never runs after kv_unwatch, and never
 * for long-gone memory (the sanitizers look). */
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
                struct bell bell;
                struct kv_watch *w;

                bell_init(&bell);
                w = watch(c, KV_READ, "k", NULL, &bell);
                if (i % 3 == 0)
                        missed = bell_wait(&bell, SOON_MS) != 1;
                unwatch(c, w);
                bell_free(&bell);
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

/* SPDX-License-Identifier: MIT */
/* A cluster that does not answer: how long calls wait, and the outcome of a commit that was sent. */
#include "fixture.h"

#include "kv/layer/layer.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define SOON_MS 50

/* An action that another thread takes after SOON_MS. */
struct later {
        pthread_t thread;
        struct deadline *cancel; /* NULL: the cluster is back */
        const struct fixture *f;
};

static void *do_later(void *arg)
{
        struct later *l = arg;

        usleep(SOON_MS * 1000);
        if (l->cancel)
                deadline_cancel(l->cancel);
        else
                l->f->set_away(false);
        return NULL;
}

static void later(struct later *l, const struct fixture *f, struct deadline *cancel)
{
        l->cancel = cancel;
        l->f = f;
        assert_int_equal(pthread_create(&l->thread, NULL, do_later, l), 0);
}

static void test_out_of_time(void **state)
{
        struct fixture *f = *state;
        struct deadline p;

        put(f->store, "k", "v");
        f->set_away(true);
        for (int i = 0; i < 2; i++) {
                deadline_begin(&p, SOON_MS);
                assert_int_equal(kv_run(f->store, i ? KV_WRITE : KV_READ, i ? set_k : get_k, "x"), -ERR_AWAY);
                deadline_end(&p);
        }
        assert_int_equal(err_to_errno(-ERR_AWAY), EIO);
        f->set_away(false);
        expect(f->store, "k", "v"); /* no commit was sent */
}

static void test_cancelled(void **state)
{
        struct fixture *f = *state;
        struct deadline p;
        struct later l;

        f->set_away(true);
        deadline_begin(&p, 0);
        later(&l, f, &p);
        assert_int_equal(kv_run(f->store, KV_WRITE, set_k, "x"), -EINTR);
        pthread_join(l.thread, NULL);
        /* Permanently. */
        assert_int_equal(kv_run(f->store, KV_READ, get_k, NULL), -EINTR);
        deadline_end(&p);
        f->set_away(false);
        expect(f->store, "k", NULL);
}

/* Without a deadline, or with a long one, calls succeed when the cluster answers again. */
static void test_comes_back(void **state)
{
        struct fixture *f = *state;
        struct deadline p;
        struct later l;

        f->set_away(true);
        later(&l, f, NULL);
        assert_int_equal(kv_run(f->store, KV_WRITE, set_k, "one"), 0);
        pthread_join(l.thread, NULL);
        f->set_away(true);
        deadline_begin(&p, 60000);
        later(&l, f, NULL);
        assert_int_equal(kv_run(f->store, KV_WRITE, set_k, "two"), 0);
        pthread_join(l.thread, NULL);
        deadline_end(&p);
        expect(f->store, "k", "two");
}

static struct kv_txn *written(struct fixture *f, const char *value)
{
        struct kv_txn *t;

        assert_int_equal(kv_begin(f->store, KV_WRITE, &t), 0);
        assert_int_equal(kv_set(t, slice_str("k"), slice_str(value)), 0);
        return t;
}

/* A commit that was sent continues after the deadline; closing waits for it. */
static void test_commit_goes_on(void **state)
{
        struct fixture *f = *state;
        struct kv_txn *t = written(f, "sent");
        struct deadline p;
        struct later l;

        f->set_away(true);
        deadline_begin(&p, SOON_MS);
        assert_int_equal(kv_commit(t), -ERR_AWAY);
        kv_end(t);
        deadline_end(&p);
        later(&l, f, NULL);
        assert_int_equal(kv_close(f->store), 0);
        pthread_join(l.thread, NULL);
        f->store = fixture_open(f, f->url);
        expect(f->store, "k", "sent");
}

/* A signal does not end the wait for a commit: EINTR would mean that it did not happen. */
static void test_commit_is_not_cancelled(void **state)
{
        struct fixture *f = *state;
        struct kv_txn *t = written(f, "sent");
        struct deadline p;
        struct later back;

        f->set_away(true);
        deadline_begin(&p, 0);
        deadline_cancel(&p);
        later(&back, f, NULL);
        assert_int_equal(kv_commit(t), 0);
        kv_end(t);
        pthread_join(back.thread, NULL);
        deadline_end(&p);
        expect(f->store, "k", "sent");
}

static int count_body(struct kv_txn *t, void *arg)
{
        (*(int *)arg)++;
        return kv_set(t, slice_str("k"), slice_str("done"));
}

/* Nor while the result is unknown: EINTR means that the commit did not happen, 0 that it did, once. The
 * result is 0 if the commit was sent before the cancellation. */
static void test_unknown_is_not_cancelled(void **state)
{
        static const int codes[] = { 1021, 1500 }; /* happens, does not */
        struct fixture *f = *state;
        struct deadline p;

        for (int i = 0; i < 6; i++) {
                struct later l;
                int runs = 0, r;

                put(f->store, "k", "before");
                f->set_faults(&(struct standin_faults){ .next_commit = codes[i % 2],
                                                        .commit_us = 2 * SOON_MS * 1000 });
                deadline_begin(&p, 0);
                later(&l, f, &p);
                r = kv_run(f->store, KV_WRITE, count_body, &runs);
                pthread_join(l.thread, NULL);
                deadline_end(&p);
                f->set_faults(&(struct standin_faults){ 0 });
                if (r == 0) {
                        assert_int_equal(runs, 1 + i % 2);
                        expect(f->store, "k", "done");
                } else {
                        assert_int_equal(r, -EINTR);
                        expect(f->store, "k", "before");
                }
        }
}

/* ---- markers ------------------------------------------------------------------------------------- */

#define SLOTS 64u /* of markers, in marker.c */

static void *write_one(void *store)
{
        assert_int_equal(kv_run(store, KV_WRITE, set_k, "v"), 0);
        return NULL;
}

/* As many writers as there are slots wait for the cluster, so that the next one waits for a slot. */
static void test_no_slot_is_free(void **state)
{
        struct fixture *f = *state;
        pthread_t threads[SLOTS];
        struct deadline p;
        struct later l;

        f->set_away(true);
        for (unsigned i = 0; i < SLOTS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, write_one, f->store), 0);
        while (fixture_counts(f).transactions < SLOTS) /* each writer with a transaction has a slot */
                usleep(1000);
        deadline_begin(&p, SOON_MS);
        assert_int_equal(kv_run(f->store, KV_WRITE, set_k, "x"), -ERR_AWAY);
        deadline_end(&p);
        deadline_begin(&p, 0);
        later(&l, f, &p);
        assert_int_equal(kv_run(f->store, KV_WRITE, set_k, "x"), -EINTR);
        pthread_join(l.thread, NULL);
        deadline_end(&p);
        deadline_begin(&p, 60000);
        later(&l, f, NULL);
        assert_int_equal(kv_run(f->store, KV_WRITE, set_k, "last"), 0);
        pthread_join(l.thread, NULL);
        deadline_end(&p);
        for (unsigned i = 0; i < SLOTS; i++)
                pthread_join(threads[i], NULL);
        put(f->store, "k", "end");
        expect(f->store, "k", "end");
}

/* ---- the overlay --------------------------------------------------------------------------------- */

/* The overlay over a cluster that does not answer: fsync waits until the thread's deadline, and what was
 * acknowledged is kept and written when the cluster answers again. */
static void test_writebehind(void **state)
{
        const struct kv_writebehind_opts opts = { .sequence = slice_str("\xf1sequence"), .age_ms = 3600000 };
        struct fixture *f = *state;
        struct deadline p;
        struct kv_store *s;

        assert_int_equal(kv_writebehind_open(f->store, &opts, &s), 0);
        f->store = s;
        put(s, "k", "written");
        assert_int_equal(kv_sync(s), 0);
        put(s, "k", "acknowledged");
        f->set_away(true);
        deadline_begin(&p, SOON_MS);
        assert_int_equal(kv_sync(s), -ERR_AWAY);
        deadline_end(&p);
        deadline_begin(&p, 0);
        deadline_cancel(&p);
        assert_int_equal(kv_sync(s), -EINTR);
        deadline_end(&p);
        f->set_away(false);
        deadline_begin(&p, 60000);
        assert_int_equal(kv_sync(s), 0);
        deadline_end(&p);
        assert_int_equal(kv_close(s), 0);
        f->store = fixture_open(f, f->url);
        expect(f->store, "k", "acknowledged");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_STORE(test_out_of_time),
                IN_STORE(test_cancelled),
                IN_STORE(test_comes_back),
                IN_STORE(test_commit_goes_on),
                IN_STORE(test_commit_is_not_cancelled),
                IN_STORE(test_unknown_is_not_cancelled),
                IN_STORE(test_no_slot_is_free),
                IN_STORE(test_writebehind),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

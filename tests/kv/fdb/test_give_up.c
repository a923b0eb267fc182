/* SPDX-License-Identifier: MIT */
/* kv_give_up: ends all waiting for a cluster that does not answer, so that the store can be closed. */
#include "fixture.h"

#include "kv/layer/layer.h"
#include "kv/testing/testing.h"

#include <pthread.h>
#include <unistd.h>

#define SOON_MS 50
#define MANY    65u /* more than there are slots for markers */

/* A call that waits in a separate thread, without a deadline. */
struct call {
        pthread_t thread;
        struct kv_store *store;
        struct kv_txn *txn;
        int result;
};

static void *do_read(void *arg)
{
        struct call *c = arg;

        c->result = kv_run(c->store, KV_READ, get_k, NULL);
        return NULL;
}

static void *do_write(void *arg)
{
        struct call *c = arg;

        c->result = kv_run(c->store, KV_WRITE, set_k, "v");
        return NULL;
}

static void *do_commit(void *arg)
{
        struct call *c = arg;

        c->result = kv_commit(c->txn);
        kv_end(c->txn);
        return NULL;
}

static void *do_sync(void *arg)
{
        struct call *c = arg;

        c->result = kv_sync(c->store);
        return NULL;
}

static int fill_body(struct kv_txn *t, void *arg)
{
        static const char value[4096];
        uint32_t *n = arg;

        return kv_set(t, slice_of(n, sizeof(*n)), slice_of(value, sizeof(value)));
}

static void *do_fill(void *arg)
{
        struct call *c = arg;

        for (uint32_t n = 0; c->result >= 0; n++)
                c->result = kv_run(c->store, KV_WRITE, fill_body, &n);
        return NULL;
}

static void begin(struct call *c, struct kv_store *s, void *(*what)(void *))
{
        c->store = s;
        c->result = 0;
        assert_int_equal(pthread_create(&c->thread, NULL, what, c), 0);
}

static int end(struct call *c)
{
        pthread_join(c->thread, NULL);
        return c->result;
}

/* Returns when a call has waited for MS. */
static void until_waiting(struct kv_store *s, unsigned ms)
{
        while (kv_waiting_ns(s) < ms * UINT64_C(1000000))
                usleep(1000);
}

static void test_no_call_waits(void **state)
{
        struct fixture *f = *state;
        struct kv_store *mem;

        put(f->store, "k", "v");
        assert_int_equal(kv_waiting_ns(f->store), 0);
        assert_int_equal(kv_testing_open("mem:", NULL, &mem, NULL), 0);
        assert_int_equal(kv_waiting_ns(mem), 0);
        kv_give_up(mem); /* no effect on a local store */
        put(mem, "k", "v");
        expect(mem, "k", "v");
        kv_close(mem);
}

static void test_reader(void **state)
{
        struct fixture *f = *state;
        struct call c;

        f->set_away(true);
        begin(&c, f->store, do_read);
        until_waiting(f->store, SOON_MS);
        kv_give_up(f->store);
        assert_int_equal(end(&c), -ERR_AWAY);
        assert_int_equal(kv_waiting_ns(f->store), 0);
        /* Permanently. */
        f->set_away(false);
        assert_int_equal(kv_run(f->store, KV_READ, get_k, NULL), -ERR_AWAY);
        assert_int_equal(kv_run(f->store, KV_WRITE, set_k, "v"), -ERR_AWAY);
}

#define GETS 3u

static void *do_gets(void *arg)
{
        struct call *c = arg;
        struct kv_read reads[GETS];
        struct slice value;

        for (unsigned i = 0; i < GETS; i++)
                kv_get_start(c->txn, &reads[i], slice_of(&i, 1), 0);
        for (unsigned i = 0; i < GETS; i++)
                if (kv_get_wait(c->txn, &reads[i], &value) != -ERR_AWAY)
                        c->result = -EBADMSG;
        kv_end(c->txn);
        return NULL;
}

/* Several reads in one wait. */
static void test_gets(void **state)
{
        struct fixture *f = *state;
        struct call c;

        assert_int_equal(kv_begin(f->store, KV_READ, &c.txn), 0);
        f->set_away(true);
        begin(&c, f->store, do_gets);
        until_waiting(f->store, SOON_MS);
        kv_give_up(f->store);
        assert_int_equal(end(&c), 0);
}

/* A commit that was sent continues after kv_close, and frees the store. */
static void test_commit(void **state)
{
        struct fixture *f = *state;
        struct call c;

        assert_int_equal(kv_begin(f->store, KV_WRITE, &c.txn), 0);
        assert_int_equal(kv_set(c.txn, slice_str("k"), slice_str("sent")), 0);
        f->set_away(true);
        begin(&c, f->store, do_commit);
        until_waiting(f->store, SOON_MS);
        kv_give_up(f->store);
        assert_int_equal(end(&c), -ERR_AWAY);
        assert_int_equal(kv_close(f->store), 0);
        assert_int_equal(fixture_counts(f).databases, 1);
        f->set_away(false);
        f->store = fixture_open(f, f->url);
        expect(f->store, "k", "sent");
}

/* A cluster that answers only with errors counts as not answering. */
static void test_locked(void **state)
{
        struct fixture *f = *state;
        struct call c;

        f->set_locked(true);
        begin(&c, f->store, do_write);
        until_waiting(f->store, 20 * SOON_MS);
        f->set_locked(false);
        assert_int_equal(end(&c), 0);
        assert_int_equal(kv_waiting_ns(f->store), 0);
        f->set_locked(true);
        begin(&c, f->store, do_write);
        until_waiting(f->store, 20 * SOON_MS);
        kv_give_up(f->store);
        assert_int_equal(end(&c), -ERR_AWAY);
}

static void test_many(void **state)
{
        struct fixture *f = *state;
        struct call c[MANY];

        f->set_away(true);
        for (unsigned i = 0; i < MANY; i++)
                begin(&c[i], f->store, do_write);
        until_waiting(f->store, SOON_MS);
        kv_give_up(f->store);
        for (unsigned i = 0; i < MANY; i++)
                assert_int_equal(end(&c[i]), -ERR_AWAY);
        f->set_away(false);
        kv_close(f->store);
        f->store = fixture_open(f, f->url);
        expect(f->store, "k", NULL);
}

/* ---- the overlay --------------------------------------------------------------------------------- */

/* The committer writes only when it is asked to. */
static struct kv_store *overlay(struct fixture *f)
{
        const struct kv_writebehind_opts opts = { .sequence = slice_str("\xf1sequence"),
                                                  .age_ms = 3600000,
                                                  .memory_bytes = 1 << 20 };
        struct kv_store *s;

        assert_int_equal(kv_writebehind_open(f->store, &opts, &s), 0);
        put(s, "k", "written");
        assert_int_equal(kv_sync(s), 0);
        put(s, "k", "acknowledged");
        f->set_away(true);
        return f->store = s;
}

/* Makes the committer begin a batch that does not end. */
static void begin_batch(struct kv_store *s)
{
        struct deadline p;

        deadline_begin(&p, SOON_MS);
        assert_int_equal(kv_sync(s), -ERR_AWAY);
        deadline_end(&p);
        until_waiting(s, SOON_MS);
}

static int synced_or_newer_body(struct kv_txn *t, void *arg)
{
        struct slice value;
        int r = kv_get(t, slice_str("k"), 0, &value);

        (void)arg;
        if (r >= 0 && !slice_eq(value, slice_str("written")) && !slice_eq(value, slice_str("acknowledged")))
                r = -EBADMSG;
        return r;
}

/* Synced writes are there; the others only if their batch was sent, and the cluster carried it out. */
static void reopen(struct fixture *f)
{
        f->set_away(false);
        f->store = fixture_open(f, f->url);
        assert_int_equal(kv_run(f->store, KV_READ, synced_or_newer_body, NULL), 0);
}

/* kv_sync or the committer waits for the last batch, or it is not begun yet. */
static void test_overlay(void **state)
{
        struct fixture *f = *state;

        for (int i = 0; i < 3; i++) {
                struct kv_store *s = overlay(f);
                struct call c;

                if (i == 0) {
                        begin(&c, s, do_sync);
                        until_waiting(s, SOON_MS);
                } else if (i == 1) {
                        begin_batch(s);
                }
                kv_give_up(s);
                if (i == 0)
                        assert_int_equal(end(&c), -ERR_AWAY);
                assert_int_equal(kv_close(s), -ERR_AWAY);
                reopen(f);
        }
}

/* Closing with a deadline works without kv_give_up. */
static void test_overlay_closed_with_deadline(void **state)
{
        struct fixture *f = *state;

        for (int i = 0; i < 4; i++) {
                struct kv_store *s = overlay(f);
                struct deadline p;

                if (i % 2)
                        begin_batch(s);
                deadline_begin(&p, i < 2 ? SOON_MS : 0);
                if (i >= 2)
                        deadline_cancel(&p);
                assert_int_equal(kv_close(s), i < 2 ? -ERR_AWAY : -EINTR);
                deadline_end(&p);
                reopen(f);
        }
}

/* Calls that wait for space in memory, or for a snapshot. */
static void test_overlay_writer(void **state)
{
        struct fixture *f = *state;
        struct kv_store *s = overlay(f);
        struct call c;

        begin(&c, s, do_fill);
        until_waiting(s, SOON_MS);
        kv_give_up(s);
        assert_int_equal(end(&c), -ERR_AWAY);
        assert_int_equal(kv_close(s), -ERR_AWAY);
        reopen(f);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_STORE(test_no_call_waits),  IN_STORE(test_reader),
                IN_STORE(test_gets),           IN_STORE(test_commit),
                IN_STORE(test_locked),         IN_STORE(test_many),
                IN_STORE(test_overlay),        IN_STORE(test_overlay_closed_with_deadline),
                IN_STORE(test_overlay_writer),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* A flush whose commit is delayed by the test, and other operations at the same time. */
#include "fixture.h"
#include "fs/writeback/writeback.h"
#include "kv/layer/filter.h"

#include <pthread.h>

#define BLOCK 4096u

/* A store that delays one commit. */
struct gate {
        struct filter filter;

        pthread_mutex_t lock; /* protects the members below */
        pthread_cond_t turned;
        bool armed, holding;
};

static struct gate *gate_of(struct kv_store *s)
{
        return (struct gate *)s;
}

static int gate_commit(struct kv_txn *t)
{
        struct gate *g = gate_of(t->store);

        pthread_mutex_lock(&g->lock);
        if (g->armed && (t->flags & KV_WRITE)) {
                g->armed = false;
                g->holding = true;
                pthread_cond_broadcast(&g->turned);
                while (g->holding)
                        pthread_cond_wait(&g->turned, &g->lock);
        }
        pthread_mutex_unlock(&g->lock);
        return kv_commit(filter_below(t));
}

static int gate_close(struct kv_store *s)
{
        struct gate *g = gate_of(s);

        pthread_cond_destroy(&g->turned);
        pthread_mutex_destroy(&g->lock);
        free(g);
        return 0;
}

static struct gate *gate_open(struct kv_store *below)
{
        struct gate *g = calloc(1, sizeof(*g));

        assert_non_null(g);
        filter_init(&g->filter, "gate", below);
        g->filter.ops.close = gate_close;
        g->filter.ops.commit = gate_commit;
        pthread_mutex_init(&g->lock, NULL);
        pthread_cond_init(&g->turned, NULL);
        return g;
}

/* A mount with one flush thread, and a file whose flush is delayed. */
struct held {
        struct fixture f; /* a mount on the store below the gate */
        struct fixture a; /* the mount with the write-back cache, through the gate */
        struct gate *gate;
        uint64_t ino;
        pthread_t flusher;
        int result;
};

static void *flush_main(void *arg)
{
        struct held *h = arg;

        h->result = fs_flush(h->a.fs, h->ino);
        return NULL;
}

static void held_open(struct held *h)
{
        static const struct fs_writeback_opts single = { .age_ms = 1000000, .threads = 1 };
        struct err_text text;

        fixture_open(&h->f, "mem+remote");
        h->f.opts.no_read_ahead = true;
        h->gate = gate_open(h->f.store);
        h->a = h->f;
        h->a.store = &h->gate->filter.base;
        h->a.opts.writeback = &single;
        assert_ok(fs_open(h->a.store, &h->a.opts, &h->a.fs, &text));
        h->ino = new_file(&h->a, ROOT, "file");
        put(&h->a, h->ino, 0, "first");
        pthread_mutex_lock(&h->gate->lock);
        h->gate->armed = true;
        assert_int_equal(pthread_create(&h->flusher, NULL, flush_main, h), 0);
        while (!h->gate->holding)
                pthread_cond_wait(&h->gate->turned, &h->gate->lock);
        pthread_mutex_unlock(&h->gate->lock);
}

static void held_release(struct held *h)
{
        pthread_mutex_lock(&h->gate->lock);
        h->gate->holding = false;
        pthread_cond_broadcast(&h->gate->turned);
        pthread_mutex_unlock(&h->gate->lock);
        pthread_join(h->flusher, NULL);
        assert_ok(h->result);
}

static void held_close(struct held *h)
{
        fs_close(h->a.fs);
        assert_ok(kv_close(h->a.store));
        fixture_close(&h->f);
}

/* The mount itself reads data that is being flushed, and data written since. Others read it after the
 * commit. */
static void test_seen(void **state)
{
        struct held h;

        held_open(&h);
        assert_data(&h.a, h.ino, 0, "first", 5);
        assert_int_equal(attr(&h.f, h.ino).size, 0);
        put(&h.a, h.ino, 3, "e and second");
        assert_data(&h.a, h.ino, 0, "fire and second", 15);
        held_release(&h);
        assert_data(&h.a, h.ino, 0, "fire and second", 15);
        assert_data(&h.f, h.ino, 0, "first", 5);
        assert_int_equal(attr(&h.f, h.ino).size, 5);
        assert_ok(fs_flush(h.a.fs, h.ino));
        assert_data(&h.f, h.ino, 0, "fire and second", 15);
        held_close(&h);
}

/* A caller whose deadline passes leaves the flush to the flush thread. That one does not wait for the delayed
 * commit, and flushes another file. */
static void test_threads_stay_free(void **state)
{
        static uint8_t big[600 * BLOCK];
        struct deadline deadline;
        struct held h;
        uint64_t other;

        held_open(&h);
        put(&h.a, h.ino, 5, " and more");
        deadline_begin(&deadline, 20);
        assert_fails(fs_sync(h.a.fs), ERR_AWAY);
        deadline_end(&deadline);
        memset(big, 'b', sizeof(big));
        other = new_file(&h.a, ROOT, "other");
        assert_int_equal(fs_write(h.a.fs, other, 0, slice_of(big, sizeof(big)), 0), sizeof(big));
        assert_ok(fs_flush(h.a.fs, other)); /* too large for the calling thread */
        assert_data(&h.f, other, 0, big, sizeof(big));
        held_release(&h);
        assert_ok(fs_sync(h.a.fs));
        assert_data(&h.f, h.ino, 0, "first and more", 14);
        held_close(&h);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_seen),
                cmocka_unit_test(test_threads_stay_free),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

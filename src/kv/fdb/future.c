/* SPDX-License-Identifier: MIT */
/* Waiting for futures. The thread sleeps until a callback wakes it, so that its deadline, or fdb_give_up, can
 * end the wait as well: the client's own blocking wait has no time limit. */
#include "base/thread.h"
#include "kv/fdb/internal.h"

int fdb_waiting_begin(struct fdb_store *s, struct fdb_waiting *w)
{
        w->since_ns = thread_now_ns();
        w->woken = false;
        LOCK_GUARD(&s->lock);
        if (s->given_up)
                return -ERR_AWAY;
        list_append(&s->waiting, &w->link);
        return 0;
}

void fdb_waiting_end_locked(struct fdb_store *s, struct fdb_waiting *w)
{
        lock_assert_held(&s->lock);
        list_remove(&w->link);
}

static void on_ready(FDBFuture *f, void *arg)
{
        (void)f;
        waiter_wake(arg);
}

static int wait_for_callback(struct fdb_store *s, FDBFuture *f, enum wait_mode mode)
{
        struct waiter w;
        int r;

        waiter_init(&w);
        if (s->api->future_set_callback(f, on_ready, &w))
                return -EIO;
        r = waiter_wait(&w, mode);
        if (r < 0) {
                /* The callback still uses W. A cancelled future becomes ready at once. */
                s->api->future_cancel(f);
                waiter_wait(&w, WAIT_UNCONDITIONAL);
        }
        return r;
}

int fdb_wait(struct fdb_store *s, FDBFuture *f, enum wait_mode mode)
{
        struct fdb_waiting w = { .future = f };
        int r;

        if (s->api->future_is_ready(f))
                return 0;
        r = fdb_waiting_begin(s, &w);
        if (r < 0) {
                s->api->future_cancel(f);
                return r;
        }
        r = wait_for_callback(s, f, mode);
        lock_acquire(&s->lock);
        fdb_waiting_end_locked(s, &w);
        lock_release(&s->lock);
        if (r == 0 && s->given_up && s->api->future_get_error(f) == FDB_OPERATION_CANCELLED)
                r = -ERR_AWAY;
        return r;
}

/* ---- several gets in one wait --------------------------------------------------------------------- */

struct group {
        struct fdb_store *s;
        /* Futures that are not ready, and one more until all callbacks are set. Only with the store's lock it
         * becomes 0. */
        atomic_uint left;
        struct waiter waiter;
        struct fdb_waiting waiting;
};

static void on_get_ready(FDBFuture *f, void *arg)
{
        struct group *g = arg;
        struct fdb_store *s = g->s;
        unsigned left = atomic_load(&g->left);

        (void)f;
        while (left > 1)
                if (atomic_compare_exchange_weak(&g->left, &left, left - 1))
                        return;
        LOCK_GUARD(&s->lock);
        atomic_store(&g->left, 0);
        if (!g->waiting.woken) {
                g->waiting.woken = true; /* first: G may be gone as soon as its thread is woken */
                waiter_wake(&g->waiter);
        }
}

static bool is_unfinished_get(const struct fdb_txn *t, size_t i)
{
        return t->kept[i].is_get && !fdb_api_of(t)->future_is_ready(t->kept[i].future);
}

static void cancel_gets(const struct fdb_txn *t, size_t first)
{
        for (size_t i = first; i < t->n_kept; i++)
                if (t->kept[i].is_get)
                        fdb_api_of(t)->future_cancel(t->kept[i].future);
}

/* Sets all callbacks. False: all gets are ready, and no callback will wake the thread. */
static bool group_start(struct group *g, struct fdb_txn *t, size_t first)
{
        bool waits;

        for (size_t i = first; i < t->n_kept; i++) {
                if (!is_unfinished_get(t, i))
                        continue;
                atomic_fetch_add(&g->left, 1);
                fdb_api_of(t)->future_set_callback(t->kept[i].future, on_get_ready, g);
        }
        LOCK_GUARD(&g->s->lock);
        waits = atomic_fetch_sub(&g->left, 1) > 1;
        if (!waits)
                fdb_waiting_end_locked(g->s, &g->waiting);
        return waits;
}

/* Whether all gets are ready after the wait ended with R. If not, G is made ready for another wait. */
static bool group_is_finished(struct group *g, int r)
{
        bool finished;

        LOCK_GUARD(&g->s->lock);
        fdb_waiting_end_locked(g->s, &g->waiting);
        finished = atomic_load(&g->left) == 0;
        if (g->waiting.woken && r < 0)
                waiter_wait(&g->waiter, WAIT_UNCONDITIONAL); /* or the thread's next wait would end at once */
        if (!finished) {
                waiter_init(&g->waiter);
                g->waiting.woken = false;
        }
        return finished;
}

int fdb_wait_gets(struct fdb_txn *t)
{
        struct group g = { .s = fdb_store_of(t), .left = 1 };
        size_t first = t->awaited;
        int r;

        t->awaited = t->n_kept;
        waiter_init(&g.waiter);
        g.waiting.waiter = &g.waiter;
        r = fdb_waiting_begin(g.s, &g.waiting);
        if (r < 0) {
                cancel_gets(t, first);
                return r;
        }
        if (!group_start(&g, t, first))
                return 0;
        r = waiter_wait(&g.waiter, WAIT_CANCELLABLE);
        if (group_is_finished(&g, r))
                return r;
        cancel_gets(t, first);
        waiter_wait(&g.waiter, WAIT_UNCONDITIONAL);
        return r < 0 ? r : -ERR_AWAY; /* fdb_give_up ended the wait */
}

/* ---- giving up ----------------------------------------------------------------------------------- */

static uint64_t earlier(uint64_t oldest_ns, uint64_t since_ns)
{
        return since_ns > 0 && since_ns < oldest_ns ? since_ns : oldest_ns;
}

uint64_t fdb_waiting_ns(struct kv_store *store)
{
        struct fdb_store *s = (struct fdb_store *)store;
        uint64_t now = thread_now_ns(), oldest = earlier(now, s->failing_since_ns);
        const struct fdb_waiting *w;

        LOCK_GUARD(&s->lock);
        list_each(w, &s->waiting, link)
                oldest = earlier(oldest, w->since_ns);
        if (s->versions.fetching)
                oldest = earlier(oldest, s->versions.fetch_sent_ns);
        return now - oldest;
}

/* The lock keeps the waiting threads and their futures in place. The client calls back in its own thread, so
 * a callback that takes the lock only waits for this function. */
void fdb_give_up(struct kv_store *store)
{
        struct fdb_store *s = (struct fdb_store *)store;
        struct fdb_waiting *w;

        LOCK_GUARD(&s->lock);
        s->given_up = true;
        list_each(w, &s->waiting, link) {
                if (w->future) {
                        s->api->future_cancel(w->future);
                } else if (!w->woken) {
                        w->woken = true;
                        waiter_wake(w->waiter);
                }
        }
}

/* SPDX-License-Identifier: MIT */
/* Waiting for futures: a sleep that a callback ends, so that deadline can end it too, or whoever closes the
 * store. */
#include "kv/fdb/internal.h"

int fdb_waiting_begin(struct fdb_store *s, struct fdb_waiting *w)
{
        bool given_up;

        w->since_ns = fdb_now_ns();
        w->woken = false;
        pthread_mutex_lock(&s->lock);
        given_up = s->given_up;
        if (!given_up)
                list_append(&s->waiting, &w->link);
        pthread_mutex_unlock(&s->lock);
        return given_up ? -ERR_AWAY : 0;
}

void fdb_waiting_end(struct fdb_waiting *w)
{
        list_remove(&w->link);
}

static void on_ready(FDBFuture *f, void *arg)
{
        (void)f;
        waiter_wake(arg);
}

static int wait_set(struct fdb_store *s, FDBFuture *f, enum wait_mode until)
{
        struct waiter w;
        int r;

        waiter_init(&w);
        if (s->api->future_set_callback(f, on_ready, &w))
                return -EIO;
        r = waiter_wait(&w, until);
        if (r < 0) {
                /* The callback holds on to W: a cancelled future becomes ready at once. */
                s->api->future_cancel(f);
                waiter_wait(&w, WAIT_UNCONDITIONAL);
        }
        return r;
}

int fdb_wait(struct fdb_store *s, FDBFuture *f, enum wait_mode until)
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
        r = wait_set(s, f, until);
        pthread_mutex_lock(&s->lock);
        fdb_waiting_end(&w);
        pthread_mutex_unlock(&s->lock);
        if (r == 0 && s->given_up && s->api->future_get_error(f) == FDB_OPERATION_CANCELLED)
                r = -ERR_AWAY;
        return r;
}

/* ---- many at a time ------------------------------------------------------------------------------ */

struct group {
        struct fdb_store *s;
        atomic_uint left; /* to become ready, and one for whoever adds them; the last goes under the lock */
        struct waiter waiter;
        struct fdb_waiting waiting;
};

static void on_one_ready(FDBFuture *f, void *arg)
{
        struct group *g = arg;
        struct fdb_store *s = g->s;
        unsigned left = atomic_load(&g->left);

        (void)f;
        while (left > 1)
                if (atomic_compare_exchange_weak(&g->left, &left, left - 1))
                        return;
        pthread_mutex_lock(&s->lock);
        atomic_store(&g->left, 0);
        if (!g->waiting.woken) {
                g->waiting.woken = true; /* before: G may be gone when it is woken */
                waiter_wake(&g->waiter);
        }
        pthread_mutex_unlock(&s->lock);
}

static bool is_under_way(const struct fdb_txn *t, size_t i)
{
        return t->kept[i].is_get && !fdb_api_of(t)->future_is_ready(t->kept[i].future);
}

static void cancel_gets(const struct fdb_txn *t, size_t first)
{
        for (size_t i = first; i < t->n_kept; i++)
                if (t->kept[i].is_get)
                        fdb_api_of(t)->future_cancel(t->kept[i].future);
}

/* Sets all callbacks. False: everything is there already, and nobody will wake. */
static bool group_start(struct group *g, struct fdb_txn *t, size_t first)
{
        bool waits;

        for (size_t i = first; i < t->n_kept; i++) {
                if (!is_under_way(t, i))
                        continue;
                atomic_fetch_add(&g->left, 1);
                fdb_api_of(t)->future_set_callback(t->kept[i].future, on_one_ready, g);
        }
        pthread_mutex_lock(&g->s->lock);
        waits = atomic_fetch_sub(&g->left, 1) > 1;
        if (!waits)
                fdb_waiting_end(&g->waiting);
        pthread_mutex_unlock(&g->s->lock);
        return waits;
}

/* The wait ended with R: takes back what is still under way, so that nobody calls back any more. */
static int group_end(struct group *g, const struct fdb_txn *t, size_t first, int r)
{
        bool came, woken;

        pthread_mutex_lock(&g->s->lock);
        fdb_waiting_end(&g->waiting);
        came = atomic_load(&g->left) == 0;
        woken = g->waiting.woken;
        if (woken && r < 0)
                waiter_wait(&g->waiter, WAIT_UNCONDITIONAL); /* or the next wait would end at once */
        if (!came) {
                waiter_init(&g->waiter);
                g->waiting.woken = false;
        }
        pthread_mutex_unlock(&g->s->lock);
        if (came)
                return r;
        cancel_gets(t, first);
        waiter_wait(&g->waiter, WAIT_UNCONDITIONAL);
        return r < 0 ? r : -ERR_AWAY; /* woken by who gave up */
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
        return group_end(&g, t, first, r);
}

/* ---- giving up ----------------------------------------------------------------------------------- */

static uint64_t older(uint64_t oldest_ns, uint64_t since_ns)
{
        return since_ns > 0 && since_ns < oldest_ns ? since_ns : oldest_ns;
}

uint64_t fdb_waiting_ns(struct kv_store *store)
{
        struct fdb_store *s = (struct fdb_store *)store;
        uint64_t now = fdb_now_ns(), oldest = older(now, s->failing_since_ns);
        const struct fdb_waiting *w;

        pthread_mutex_lock(&s->lock);
        list_each(w, &s->waiting, link)
                oldest = older(oldest, w->since_ns);
        if (s->refreshing)
                oldest = older(oldest, s->refresh_sent_ns);
        pthread_mutex_unlock(&s->lock);
        return now - oldest;
}

/* The lock keeps those who wait, and their futures, where they are. The client cancels, and calls back, in
 * its own thread, so that a callback may want the lock too. */
void fdb_give_up(struct kv_store *store)
{
        struct fdb_store *s = (struct fdb_store *)store;
        struct fdb_waiting *w;

        pthread_mutex_lock(&s->lock);
        s->given_up = true;
        list_each(w, &s->waiting, link) {
                if (w->future) {
                        s->api->future_cancel(w->future);
                } else if (!w->woken) {
                        w->woken = true;
                        waiter_wake(w->waiter);
                }
        }
        pthread_mutex_unlock(&s->lock);
}

/* SPDX-License-Identifier: MIT */
/* Watches: a future of the client each, whose callback calls the watch's function.
 *
 * A watch has up to two references: the owner's, until kv_unwatch, and the callback's. The client makes the
 * callback of each future in the end, also of cancelled ones.
 */
#include "kv/fdb/internal.h"

#include <stdlib.h>

struct fdb_watch {
        struct kv_watch base;
        struct fdb_store *s;
        kv_watch_fn fn;
        void *arg;
        FDBFuture *future;

        /* s->lock */
        struct list_link link; /* in the transaction's watches, while pending */
        enum { PENDING, ARMED, FIRING, FIRED } state;
        unsigned refs;
        bool unwatched; /* FN is not to be called any more */
};

/* Gives up a reference; the last one frees W, after which the store may be freed, too. */
static void unref(struct fdb_watch *w)
{
        struct fdb_store *s = w->s;
        bool last;

        lock_acquire(&s->lock);
        last = --w->refs == 0;
        lock_release(&s->lock);
        if (!last)
                return;
        s->api->future_destroy(w->future);
        free(w);
        lock_acquire(&s->lock);
        s->watches--;
        fdb_release_idle_locked(s);
}

/* Calls the function, unless kv_unwatch was called. The lock is released during the call. */
static void fire_locked(struct fdb_watch *w, int err)
{
        struct fdb_store *s = w->s;

        lock_assert_held(&s->lock);
        if (!w->unwatched) {
                w->state = FIRING;
                lock_release(&s->lock);
                w->fn(err, w->arg);
                lock_acquire(&s->lock);
        }
        w->state = FIRED;
        pthread_cond_broadcast(&s->changed);
}

static void fire(struct fdb_watch *w, int err)
{
        LOCK_GUARD(&w->s->lock);
        fire_locked(w, err);
}

static void on_fired(FDBFuture *f, void *arg)
{
        struct fdb_watch *w = arg;

        fire(w, fdb_error(w->s->api, w->s->api->future_get_error(f)));
        unref(w);
}

static int count_watch(struct fdb_txn *t, struct fdb_watch *w)
{
        struct fdb_store *s = w->s;

        LOCK_GUARD(&s->lock);
        if (s->watches >= FDB_WATCHES_MAX)
                return -EMFILE;
        s->watches++;
        list_append(&t->watches, &w->link);
        return 0;
}

int fdb_watch(struct kv_txn *txn, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret)
{
        struct fdb_txn *t = (struct fdb_txn *)txn;
        struct fdb_store *s = fdb_store_of(t);
        _cleanup_free_ struct fdb_watch *w = NULL;
        uint8_t full[FDB_KEY_MAX];
        int r = fdb_ensure_tr(t);

        if (r < 0)
                return r;
        fdb_write_reserved(t);
        w = malloc(sizeof(*w));
        if (!w)
                return -ENOMEM;
        *w = (struct fdb_watch){ .s = s, .fn = fn, .arg = arg, .state = PENDING, .refs = 1 };
        r = count_watch(t, w);
        if (r < 0)
                return r;
        t->has_watches = true;
        w->future = s->api->transaction_watch(t->tr, full, fdb_key(s, key, full));
        *ret = &steal_ptr(w)->base;
        return 0;
}

static struct fdb_watch *take_pending(struct fdb_txn *t)
{
        struct fdb_store *s = fdb_store_of(t);
        struct fdb_watch *w;

        LOCK_GUARD(&s->lock);
        if (list_empty(&t->watches))
                return NULL;
        w = list_entry(t->watches.next, struct fdb_watch, link);
        list_remove(&w->link);
        w->refs++;
        w->state = ARMED;
        return w;
}

/* Callbacks are set only here: they may be called at once, and the contract calls functions when a
 * transaction ends, not in the middle of it. */
void fdb_watches_settle(struct fdb_txn *t, int err)
{
        const struct fdb_api *api = fdb_api_of(t);
        struct fdb_watch *w;

        if (!t->has_watches)
                return;
        while ((w = take_pending(t))) {
                if (err == 0 && api->future_set_callback(w->future, on_fired, w) == 0)
                        continue;
                fire(w, err < 0 ? err : -EIO);
                unref(w);
        }
}

void fdb_unwatch(struct kv_watch *watch)
{
        struct fdb_watch *w = (struct fdb_watch *)watch;
        struct fdb_store *s = w->s;
        bool armed;

        lock_acquire(&s->lock);
        list_remove(&w->link);
        w->unwatched = true;
        while (w->state == FIRING)
                lock_wait(&s->lock, &s->changed);
        armed = w->state == ARMED;
        lock_release(&s->lock);
        /* The owner's reference keeps the future until then. */
        if (armed)
                s->api->future_cancel(w->future);
        unref(w);
}

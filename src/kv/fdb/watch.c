/* SPDX-License-Identifier: MIT */
/* Watches: a future of the client each, whose callback calls the watch's function.
 *
 * A watch is freed by whoever comes second: its owner (kv_unwatch) or the callback, which the client makes
 * sooner or later for each future, cancelled ones too.
 */
#include "kv/fdb/internal.h"

#include <stdlib.h>

struct fdb_watch {
        struct kv_watch base;
        struct fdb_store *s;
        kv_watch_fn fn;
        void *arg;
        FDBFuture *future;

        /* The store's lock. */
        struct fdb_txn *txn;    /* until settled */
        struct fdb_watch *next; /* in txn->watches */
        enum { PENDING, ARMED, FIRING, FIRED } state;
        unsigned refs;
        bool dropped; /* the owner does not want to hear of it any more */
};

/* Gives a reference back. Lock held, and dropped. */
static void unref_and_unlock(struct fdb_watch *w)
{
        struct fdb_store *s = w->s;
        bool last = --w->refs == 0;

        pthread_mutex_unlock(&s->lock);
        if (!last)
                return;
        s->api->future_destroy(w->future);
        free(w);
        pthread_mutex_lock(&s->lock);
        s->watches--;
        fdb_quiet_and_unlock(s);
}

/* Calls the function, if somebody still wants that. Lock held, dropped meanwhile. */
static void fire(struct fdb_watch *w, int err)
{
        struct fdb_store *s = w->s;

        if (!w->dropped) {
                w->state = FIRING;
                pthread_mutex_unlock(&s->lock);
                w->fn(err, w->arg);
                pthread_mutex_lock(&s->lock);
        }
        w->state = FIRED;
        pthread_cond_broadcast(&s->quiet);
}

static void on_fired(FDBFuture *f, void *arg)
{
        struct fdb_watch *w = arg;
        int err = fdb_error(w->s->api, w->s->api->future_get_error(f));

        pthread_mutex_lock(&w->s->lock);
        fire(w, err);
        unref_and_unlock(w);
}

int fdb_watch(struct kv_txn *txn, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret)
{
        struct fdb_txn *t = (struct fdb_txn *)txn;
        struct fdb_store *s = fdb_store_of(t);
        uint8_t full[FDB_KEY_MAX];
        struct fdb_watch *w;
        int r = fdb_need(t, fdb_store_of(t));

        if (r < 0)
                return r;
        fdb_flush_reserved(t);
        w = malloc(sizeof(*w));
        if (!w)
                return -ENOMEM;
        *w = (struct fdb_watch){ .s = s, .fn = fn, .arg = arg, .state = PENDING, .refs = 1 };
        pthread_mutex_lock(&s->lock);
        if (s->watches >= FDB_WATCHES_MAX) {
                pthread_mutex_unlock(&s->lock);
                free(w);
                return -EMFILE;
        }
        s->watches++;
        w->txn = t;
        w->next = t->watches;
        t->watches = w;
        pthread_mutex_unlock(&s->lock);
        w->future = s->api->transaction_watch(t->tr, full, fdb_key(s, key, full));
        *ret = &w->base;
        return 0;
}

/* The callback is set only now: it may come at once, and functions are called at the end of transactions, not
 * in the middle. Lock held, dropped meanwhile. */
static void settle(struct fdb_watch *w, int err)
{
        struct fdb_store *s = w->s;

        w->refs++;
        if (err == 0) {
                w->state = ARMED;
                pthread_mutex_unlock(&s->lock);
                if (s->api->future_set_callback(w->future, on_fired, w) == 0) {
                        pthread_mutex_lock(&s->lock);
                        return;
                }
                err = -EIO;
                pthread_mutex_lock(&s->lock);
        }
        fire(w, err);
        unref_and_unlock(w);
        pthread_mutex_lock(&s->lock);
}

void fdb_watches_settle(struct fdb_txn *t, int err)
{
        struct fdb_store *s = fdb_store_of(t);

        if (!t->watches)
                return;
        pthread_mutex_lock(&s->lock);
        while (t->watches) {
                struct fdb_watch *w = t->watches;

                t->watches = w->next;
                w->txn = NULL;
                settle(w, err);
        }
        pthread_mutex_unlock(&s->lock);
}

/* Lock held. */
static void forget(struct fdb_txn *t, struct fdb_watch *w)
{
        struct fdb_watch **p = &t->watches;

        while (*p != w)
                p = &(*p)->next;
        *p = w->next;
}

void fdb_unwatch(struct kv_watch *watch)
{
        struct fdb_watch *w = (struct fdb_watch *)watch;
        struct fdb_store *s = w->s;
        bool armed;

        pthread_mutex_lock(&s->lock);
        if (w->txn)
                forget(w->txn, w);
        w->dropped = true;
        while (w->state == FIRING)
                pthread_cond_wait(&s->quiet, &s->lock);
        armed = w->state == ARMED;
        if (armed) {
                /* The owner's reference keeps the future for the call. */
                pthread_mutex_unlock(&s->lock);
                s->api->future_cancel(w->future);
                pthread_mutex_lock(&s->lock);
        }
        unref_and_unlock(w);
}

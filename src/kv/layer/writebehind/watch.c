/* SPDX-License-Identifier: MIT */
/* Watches of keys in the overlay. The store below has no other writer, so what commits here is all there
 * is. */
#include "kv/layer/writebehind/internal.h"

#include <stdlib.h>

#define WATCHES_MAX 100000u

enum watch_state {
        WATCH_PENDING, /* its transaction has not ended */
        WATCH_ARMED,
        WATCH_DONE, /* called back */
};

struct wb_watch {
        struct kv_watch base;
        struct wb_watch *next;
        enum watch_state state;
        bool fired;
        bool calling;
        int err;
        const struct wb_txn *owner; /* while pending */
        kv_watch_fn fn;
        void *arg;
        size_t key_len;
        uint8_t key[];
};

/* Whether KEY may have changed since T's snapshot. Lock held. */
static bool changed_since(const struct wb_store *wb, const struct wb_txn *t, struct slice key)
{
        uint32_t hash = mt_hash(key);

        if (wb->view != t->view)
                return true; /* perhaps: a change may already be written below */
        for (int i = 0; i < t->view->n; i++) {
                struct mt_entry *e = mt_find(t->view->tables[i]->mt, hash, key);
                const struct mt_version *v = e ? mt_visible(e, UINT64_MAX) : NULL;

                if (v)
                        return v->number > t->number;
        }
        return false;
}

int wb_watch(struct kv_txn *base, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret)
{
        struct wb_txn *t = wb_txn_of(base);
        struct wb_store *wb = wb_of(base->store);
        struct wb_watch *w;

        if (atomic_fetch_add(&wb->watch_count, 1) >= WATCHES_MAX) {
                atomic_fetch_sub(&wb->watch_count, 1);
                return -EMFILE;
        }
        w = calloc(1, sizeof(*w) + key.len);
        if (!w) {
                atomic_fetch_sub(&wb->watch_count, 1);
                return -ENOMEM;
        }
        w->owner = t;
        w->fn = fn;
        w->arg = arg;
        w->key_len = key.len;
        if (key.len > 0)
                memcpy(w->key, key.data, key.len);
        pthread_mutex_lock(&wb->watch_lock);
        w->next = wb->watches;
        wb->watches = w;
        /* After it is listed, and under the lock that publishes: a commit is either seen here or sees
         * the watch. */
        pthread_mutex_lock(&wb->lock);
        w->fired = changed_since(wb, t, key);
        pthread_mutex_unlock(&wb->lock);
        pthread_mutex_unlock(&wb->watch_lock);
        *ret = &w->base;
        return 0;
}

void wb_unwatch(struct kv_watch *base)
{
        struct wb_watch *w = (struct wb_watch *)base, **p;
        struct wb_store *wb = wb_of(base->store);

        pthread_mutex_lock(&wb->watch_lock);
        while (w->calling)
                pthread_cond_wait(&wb->watch_idle, &wb->watch_lock);
        for (p = &wb->watches; *p != w; p = &(*p)->next)
                ;
        *p = w->next;
        pthread_mutex_unlock(&wb->watch_lock);
        atomic_fetch_sub(&wb->watch_count, 1);
        free(w);
}

void wb_watch_touched(struct wb_store *wb)
{
        pthread_mutex_lock(&wb->watch_lock);
        for (struct wb_watch *w = wb->watches; w; w = w->next)
                for (size_t i = 0; i < wb->touched_n && !w->fired; i++)
                        w->fired = slice_eq(mt_key(wb->touched[i]), slice_of(w->key, w->key_len));
        pthread_mutex_unlock(&wb->watch_lock);
}

void wb_watch_settle(struct wb_store *wb, struct wb_txn *t, bool committed)
{
        struct wb_watch *w;

        pthread_mutex_lock(&wb->watch_lock);
        for (w = wb->watches; w; w = w->next) {
                if (w->state != WATCH_PENDING || w->owner != t)
                        continue;
                w->state = WATCH_ARMED;
                w->owner = NULL;
                if (!committed) {
                        w->fired = true;
                        w->err = -ECANCELED;
                }
        }
        for (w = wb->watches; w;) {
                if (w->state != WATCH_ARMED || !w->fired) {
                        w = w->next;
                        continue;
                }
                w->state = WATCH_DONE;
                w->calling = true;
                pthread_mutex_unlock(&wb->watch_lock);
                w->fn(w->err, w->arg);
                pthread_mutex_lock(&wb->watch_lock);
                w->calling = false;
                pthread_cond_broadcast(&wb->watch_idle);
                w = wb->watches; /* the list may have changed meanwhile */
        }
        pthread_mutex_unlock(&wb->watch_lock);
}

/* SPDX-License-Identifier: MIT */
/* Watches of keys in the overlay. The store below has no other writer, so only commits here can fire them. */
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
        struct list_link link;
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

/* Whether KEY may have changed since T's snapshot. */
static bool changed_since(struct wb_store *wb, const struct wb_txn *t, struct slice key)
{
        uint32_t hash = mt_hash(t->view->tables[0]->mt, key);
        LOCK_GUARD(&wb->lock);

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

static struct wb_watch *watch_new(const struct wb_txn *t, struct slice key, kv_watch_fn fn, void *arg)
{
        struct wb_watch *w = calloc(1, sizeof(*w) + key.len);

        if (!w)
                return NULL;
        w->owner = t;
        w->fn = fn;
        w->arg = arg;
        w->key_len = key.len;
        if (key.len > 0)
                memcpy(w->key, key.data, key.len);
        return w;
}

int wb_watch(struct kv_txn *base, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret)
{
        struct wb_txn *t = wb_txn_of(base);
        struct wb_store *wb = wb_of(base->store);
        bool too_many = atomic_fetch_add(&wb->watch_count, 1) >= WATCHES_MAX;
        struct wb_watch *w = too_many ? NULL : watch_new(t, key, fn, arg);

        if (!w) {
                atomic_fetch_sub(&wb->watch_count, 1);
                return too_many ? -EMFILE : -ENOMEM;
        }
        lock_acquire(&wb->watch_lock);
        list_prepend(&wb->watches, &w->link);
        /* After it is listed, and under the lock that publishes: either this sees a commit, or the commit
         * sees the watch. */
        w->fired = changed_since(wb, t, key);
        lock_release(&wb->watch_lock);
        *ret = &w->base;
        return 0;
}

void wb_unwatch(struct kv_watch *base)
{
        struct wb_watch *w = (struct wb_watch *)base;
        struct wb_store *wb = wb_of(base->store);

        lock_acquire(&wb->watch_lock);
        while (w->calling)
                lock_wait(&wb->watch_lock, &wb->watch_idle);
        list_remove(&w->link);
        lock_release(&wb->watch_lock);
        atomic_fetch_sub(&wb->watch_count, 1);
        free(w);
}

void wb_watch_touched(struct wb_store *wb)
{
        struct wb_watch *w;
        LOCK_GUARD(&wb->watch_lock);

        lock_assert_held(&wb->writer);
        list_each(w, &wb->watches, link)
                for (size_t i = 0; i < wb->touched_n && !w->fired; i++)
                        w->fired = slice_eq(mt_key(wb->touched[i]), slice_of(w->key, w->key_len));
}

static struct wb_watch *find_fired_locked(struct wb_store *wb)
{
        struct wb_watch *w;

        lock_assert_held(&wb->watch_lock);
        list_each(w, &wb->watches, link)
                if (w->state == WATCH_ARMED && w->fired)
                        return w;
        return NULL;
}

void wb_watch_settle(struct wb_store *wb, struct wb_txn *t, bool committed)
{
        struct wb_watch *w;
        LOCK_GUARD(&wb->watch_lock);

        list_each(w, &wb->watches, link) {
                if (w->state != WATCH_PENDING || w->owner != t)
                        continue;
                w->state = WATCH_ARMED;
                w->owner = NULL;
                if (!committed) {
                        w->fired = true;
                        w->err = -ECANCELED;
                }
        }
        /* From the front each time: the list may change during a call. */
        while ((w = find_fired_locked(wb))) {
                w->state = WATCH_DONE;
                w->calling = true;
                lock_release(&wb->watch_lock);
                w->fn(w->err, w->arg);
                lock_acquire(&wb->watch_lock);
                w->calling = false;
                pthread_cond_broadcast(&wb->watch_idle);
        }
}

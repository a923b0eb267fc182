/* SPDX-License-Identifier: MIT */
/* Watches: a thread that looks at the watched keys again after each commit, of whatever process.
 *
 * It is woken by the doorbell, and once a second looks whether LMDB's transaction number changed, for a
 * committer that died before it rang. What a commit costs here is one get for each watch; commits that come
 * quickly share one look, and the thread rests four times as long as a look took, so that it uses a fifth of
 * a processor at most.
 */
#include "base/thread.h"
#include "kv/lmdb/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define WATCHES_MAX 10000u
#define POLL_MS     1000u
#define REST_MAX_NS UINT64_C(500000000)

enum watch_state {
        WATCH_PENDING, /* its transaction is still open */
        WATCH_ARMED,
        WATCH_BROKEN, /* to be called back with an error */
        WATCH_FIRING,
        WATCH_DONE,
};

struct lmdb_watch {
        struct kv_watch base;
        struct lmdb_watch *txn_next;    /* of the same transaction */
        struct lmdb_watch *prev, *next; /* watch_lock; in the store's list */
        enum watch_state state;         /* watch_lock */
        bool unwatched;                 /* watch_lock; kv_unwatch came before the transaction ended */
        int err;                        /* for the callback */
        kv_watch_fn fn;
        void *arg;
        bool present;
        size_t key_len, value_len;
        uint8_t bytes[]; /* key, then value */
};

static void list_add(struct lmdb_store *s, struct lmdb_watch *w)
{
        w->prev = NULL;
        w->next = s->watches;
        if (s->watches)
                s->watches->prev = w;
        s->watches = w;
}

static void list_remove(struct lmdb_store *s, struct lmdb_watch *w)
{
        if (w->prev)
                w->prev->next = w->next;
        else
                s->watches = w->next;
        if (w->next)
                w->next->prev = w->prev;
}

/* Whether the key of W changed, or an error. */
static int changed(struct lmdb_txn *t, const struct lmdb_watch *w)
{
        struct slice value;
        int r = lmdb_get(t, slice_of(w->bytes, w->key_len), &value);

        if (r == -ENOENT)
                return w->present;
        if (r < 0)
                return r;
        return !w->present || !slice_eq(value, slice_of(w->bytes + w->key_len, w->value_len));
}

/* Marks the watches that fire. watch_lock held. */
static void look(struct lmdb_store *s, struct lmdb_txn *t)
{
        for (struct lmdb_watch *w = s->watches; w; w = w->next) {
                int r;

                if (w->state != WATCH_ARMED)
                        continue;
                r = changed(t, w);
                if (r != 0) {
                        w->state = WATCH_BROKEN;
                        w->err = r < 0 ? r : 0;
                }
        }
}

/* Calls back what fires. watch_lock held; dropped during the calls. */
static void call_back(struct lmdb_store *s)
{
        struct lmdb_watch *w = s->watches;

        while (w) {
                if (w->state != WATCH_BROKEN) {
                        w = w->next;
                        continue;
                }
                w->state = WATCH_FIRING;
                pthread_mutex_unlock(&s->watch_lock);
                w->fn(w->err, w->arg);
                pthread_mutex_lock(&s->watch_lock);
                list_remove(s, w);
                w->state = WATCH_DONE;
                pthread_cond_broadcast(&s->watch_cond);
                w = s->watches; /* the list may have changed */
        }
}

static void rest(struct lmdb_store *s, uint64_t ns)
{
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        ns += (uint64_t)until.tv_nsec;
        until.tv_sec += (time_t)(ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        while (!s->watcher_stop && pthread_cond_timedwait(&s->watch_cond, &s->watch_lock, &until) == 0)
                ;
}

static void *watcher(void *arg)
{
        struct lmdb_store *s = arg;
        uint64_t looked_at = 0; /* transaction number */

        pthread_mutex_lock(&s->watch_lock);
        while (!s->watcher_stop) {
                uint32_t count = lmdb_doorbell_count(s->doorbell);
                uint64_t start_ns = lmdb_now_ns(), took_ns;
                struct lmdb_txn *t;
                int r;

                pthread_mutex_unlock(&s->watch_lock);
                r = lmdb_reader_begin(s, &t);
                pthread_mutex_lock(&s->watch_lock);
                if (r >= 0) {
                        /* Armed watches saw at most this transaction, or rang for us. */
                        if (mdb_txn_id(t->txn) != looked_at || s->watch_recheck) {
                                s->watch_recheck = false;
                                looked_at = mdb_txn_id(t->txn);
                                look(s, t);
                        }
                        pthread_mutex_unlock(&s->watch_lock);
                        lmdb_reader_end(s, t);
                        pthread_mutex_lock(&s->watch_lock);
                } else {
                        /* Nothing can be promised any more. */
                        for (struct lmdb_watch *w = s->watches; w; w = w->next)
                                if (w->state == WATCH_ARMED) {
                                        w->state = WATCH_BROKEN;
                                        w->err = r;
                                }
                }
                took_ns = lmdb_now_ns() - start_ns;
                call_back(s);
                rest(s, took_ns * 4 < REST_MAX_NS ? took_ns * 4 : REST_MAX_NS);
                if (s->watcher_stop || s->watch_recheck)
                        continue;
                pthread_mutex_unlock(&s->watch_lock);
                lmdb_doorbell_wait(s->doorbell, count, POLL_MS);
                pthread_mutex_lock(&s->watch_lock);
        }
        pthread_mutex_unlock(&s->watch_lock);
        return NULL;
}

/* watch_lock held. */
static int watcher_start(struct lmdb_store *s)
{
        int r;

        if (s->watcher_runs)
                return 0;
        r = thread_start(&s->watcher, watcher, s);
        s->watcher_runs = r >= 0;
        return r;
}

int lmdb_watch(struct kv_txn *base, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        struct lmdb_store *s = lmdb_of(base->store);
        struct slice value = { 0 };
        struct lmdb_watch *w;
        int r = lmdb_get(t, key, &value);
        bool present = r >= 0;

        if (r < 0 && r != -ENOENT)
                return r;
        w = malloc(sizeof(*w) + key.len + value.len);
        if (!w)
                return -ENOMEM;
        *w = (struct lmdb_watch){
                .fn = fn, .arg = arg, .present = present, .key_len = key.len, .value_len = value.len
        };
        if (key.len > 0)
                memcpy(w->bytes, key.data, key.len);
        if (value.len > 0)
                memcpy(w->bytes + key.len, value.data, value.len);

        pthread_mutex_lock(&s->watch_lock);
        r = s->watch_count < WATCHES_MAX ? watcher_start(s) : -EMFILE;
        if (r >= 0) {
                s->watch_count++;
                list_add(s, w);
        }
        pthread_mutex_unlock(&s->watch_lock);
        if (r < 0) {
                free(w);
                return r;
        }
        w->txn_next = t->watches;
        t->watches = w;
        *ret = &w->base;
        return 0;
}

/* Whether a transaction committed since the one numbered SNAPSHOT. */
static bool committed_since(struct lmdb_store *s, uint64_t snapshot)
{
        struct lmdb_txn *t;
        bool yes;

        if (lmdb_reader_begin(s, &t) < 0)
                return true;
        yes = mdb_txn_id(t->txn) != snapshot;
        lmdb_reader_end(s, t);
        return yes;
}

void lmdb_watch_settle(struct lmdb_store *s, struct lmdb_watch *watches, bool committed, uint64_t snapshot)
{
        bool wake = !committed;

        pthread_mutex_lock(&s->watch_lock);
        while (watches) {
                struct lmdb_watch *w = watches;

                watches = w->txn_next;
                if (w->unwatched) {
                        free(w);
                        continue;
                }
                w->state = committed ? WATCH_ARMED : WATCH_BROKEN;
                w->err = -ECANCELED;
        }
        pthread_mutex_unlock(&s->watch_lock);
        /* Armed first and looked afterwards: a commit after the look finds them in the list. */
        if (!wake)
                wake = committed_since(s, snapshot);
        if (!wake)
                return;
        pthread_mutex_lock(&s->watch_lock);
        s->watch_recheck = true;
        pthread_mutex_unlock(&s->watch_lock);
        lmdb_doorbell_ring(s->doorbell);
}

void lmdb_unwatch(struct kv_watch *base)
{
        struct lmdb_watch *w = (struct lmdb_watch *)base;
        struct lmdb_store *s = lmdb_of(base->store);
        bool pending;

        pthread_mutex_lock(&s->watch_lock);
        assert(s->watch_count > 0);
        s->watch_count--;
        while (w->state == WATCH_FIRING)
                pthread_cond_wait(&s->watch_cond, &s->watch_lock);
        pending = w->state == WATCH_PENDING;
        if (w->state != WATCH_DONE)
                list_remove(s, w);
        if (pending)
                w->unwatched = true; /* its transaction frees it */
        pthread_mutex_unlock(&s->watch_lock);
        if (!pending)
                free(w);
}

void lmdb_watch_stop(struct lmdb_store *s)
{
        pthread_mutex_lock(&s->watch_lock);
        assert(!s->watches);
        s->watcher_stop = true;
        pthread_cond_broadcast(&s->watch_cond);
        pthread_mutex_unlock(&s->watch_lock);
        if (s->watcher_runs) {
                lmdb_doorbell_ring(s->doorbell);
                pthread_join(s->watcher, NULL);
        }
}

/* SPDX-License-Identifier: MIT */
/* Watches: one thread of the store reads the watched keys again after each commit of any process.
 *
 * The doorbell wakes it. Once a second it also compares LMDB's transaction number, because a process may die
 * between its commit and its ring. A check costs one get for each watch; commits that follow one another
 * quickly share a check, and the thread rests four times as long as the check took, so that it uses at most a
 * fifth of a processor.
 */
#include "base/cleanup.h"
#include "base/thread.h"
#include "kv/lmdb/doorbell.h"
#include "kv/lmdb/internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define WATCHES_MAX 10000u
#define POLL_MS     1000u
#define REST_MAX_NS UINT64_C(500000000)

enum watch_state {
        WATCH_PENDING, /* its transaction is still open */
        WATCH_ARMED,
        WATCH_DUE,    /* the function is to be called with `err` */
        WATCH_FIRING, /* the function is running */
        WATCH_DONE,
};

struct lmdb_watch {
        struct kv_watch base;
        struct lmdb_watch *next_of_txn;
        struct list_link link;  /* watch_lock; in s->watches until done */
        enum watch_state state; /* watch_lock */
        bool unwatched;         /* watch_lock; kv_unwatch was called before the transaction ended */
        int err;                /* watch_lock */
        kv_watch_fn fn;
        void *arg;
        bool present; /* the key had a value */
        size_t key_len, value_len;
        uint8_t bytes[]; /* key, then value */
};

/* Whether the key of W has another value in T than when it was watched: 0, 1 or an error. */
static int is_changed(struct lmdb_txn *t, const struct lmdb_watch *w)
{
        struct slice value;
        int r = lmdb_get(t, slice_of(w->bytes, w->key_len), &value);

        if (r == -ENOENT)
                return w->present;
        if (r < 0)
                return r;
        return !w->present || !slice_eq(value, slice_of(w->bytes + w->key_len, w->value_len));
}

static void mark_changed_locked(struct lmdb_store *s, struct lmdb_txn *t)
{
        struct lmdb_watch *w;

        lock_assert_held(&s->watch_lock);
        list_each(w, &s->watches, link) {
                int r;

                if (w->state != WATCH_ARMED)
                        continue;
                r = is_changed(t, w);
                if (r == 0)
                        continue;
                w->state = WATCH_DUE;
                w->err = r < 0 ? r : 0;
        }
}

static void break_armed_locked(struct lmdb_store *s, int err)
{
        struct lmdb_watch *w;

        lock_assert_held(&s->watch_lock);
        list_each(w, &s->watches, link) {
                if (w->state != WATCH_ARMED)
                        continue;
                w->state = WATCH_DUE;
                w->err = err;
        }
}

/* Marks the watches whose keys changed; all of them if the store cannot be read. *CHECKED is the number of
 * the transaction that was checked last. */
static void check_watches(struct lmdb_store *s, uint64_t *checked)
{
        struct lmdb_txn *t;
        int r = lmdb_reader_begin(s, &t);

        if (r < 0) {
                LOCK_GUARD(&s->watch_lock);
                break_armed_locked(s, r);
                return;
        }
        lock_acquire(&s->watch_lock);
        /* A watch that was armed since then saw no later transaction, or lmdb_watch_settle set
         * watch_recheck. */
        if (mdb_txn_id(t->txn) != *checked || s->watch_recheck) {
                s->watch_recheck = false;
                *checked = mdb_txn_id(t->txn);
                mark_changed_locked(s, t);
        }
        lock_release(&s->watch_lock);
        lmdb_reader_end(s, t);
}

static struct lmdb_watch *find_due_locked(struct lmdb_store *s)
{
        struct lmdb_watch *w;

        lock_assert_held(&s->watch_lock);
        list_each(w, &s->watches, link)
                if (w->state == WATCH_DUE)
                        return w;
        return NULL;
}

/* Calls the functions of all watches that are due, with the lock released. */
static void fire_locked(struct lmdb_store *s)
{
        struct lmdb_watch *w;

        while ((w = find_due_locked(s))) {
                w->state = WATCH_FIRING;
                lock_release(&s->watch_lock);
                w->fn(w->err, w->arg);
                lock_acquire(&s->watch_lock);
                list_remove(&w->link);
                w->state = WATCH_DONE;
                pthread_cond_broadcast(&s->watch_cond);
        }
}

static void rest_locked(struct lmdb_store *s, uint64_t ns)
{
        struct timespec until = thread_deadline(ns < REST_MAX_NS ? ns : REST_MAX_NS);

        while (!s->watcher_stop && lock_wait_until(&s->watch_lock, &s->watch_cond, &until))
                ;
}

static bool is_stopped(struct lmdb_store *s)
{
        LOCK_GUARD(&s->watch_lock);
        return s->watcher_stop;
}

static void *watcher_main(void *arg)
{
        struct lmdb_store *s = arg;
        uint64_t checked = 0;

        while (!is_stopped(s)) {
                /* Read before the check: a commit after it changes the count, and the wait returns at
                 * once. */
                uint32_t count = lmdb_doorbell_count(s->doorbell);
                uint64_t start_ns = thread_now_ns(), took_ns;
                bool again;

                check_watches(s, &checked);
                took_ns = thread_now_ns() - start_ns;
                lock_acquire(&s->watch_lock);
                fire_locked(s);
                rest_locked(s, 4 * took_ns);
                again = s->watcher_stop || s->watch_recheck;
                lock_release(&s->watch_lock);
                if (!again)
                        lmdb_doorbell_wait(s->doorbell, count, POLL_MS);
        }
        return NULL;
}

static int start_watcher_locked(struct lmdb_store *s)
{
        int r;

        lock_assert_held(&s->watch_lock);
        if (s->watcher_runs)
                return 0;
        r = thread_start(&s->watcher, watcher_main, s);
        s->watcher_runs = r >= 0;
        return r;
}

static int add_watch(struct lmdb_store *s, struct lmdb_watch *w)
{
        int r;

        LOCK_GUARD(&s->watch_lock);
        if (s->watch_count >= WATCHES_MAX)
                return -EMFILE;
        r = start_watcher_locked(s);
        if (r < 0)
                return r;
        s->watch_count++;
        list_append(&s->watches, &w->link);
        return 0;
}

int lmdb_watch(struct kv_txn *base, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        _cleanup_free_ struct lmdb_watch *w = NULL;
        struct slice value = { 0 };
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
        r = add_watch(lmdb_of(base->store), w);
        if (r < 0)
                return r;
        w->next_of_txn = t->watches;
        t->watches = w;
        *ret = &steal_ptr(w)->base;
        return 0;
}

/* Whether a transaction committed after the one numbered SNAPSHOT; true also if that cannot be read. */
static bool is_committed_since(struct lmdb_store *s, uint64_t snapshot)
{
        struct lmdb_txn *t;
        bool yes;

        if (lmdb_reader_begin(s, &t) < 0)
                return true;
        yes = mdb_txn_id(t->txn) != snapshot;
        lmdb_reader_end(s, t);
        return yes;
}

/* Arms the watches of a transaction that ended, or makes them due. */
static void end_pending(struct lmdb_store *s, struct lmdb_watch *watches, bool committed)
{
        LOCK_GUARD(&s->watch_lock);
        while (watches) {
                struct lmdb_watch *w = watches;

                watches = w->next_of_txn;
                if (w->unwatched) {
                        free(w);
                        continue;
                }
                w->state = committed ? WATCH_ARMED : WATCH_DUE;
                w->err = -ECANCELED;
        }
}

static void request_check(struct lmdb_store *s)
{
        lock_acquire(&s->watch_lock);
        s->watch_recheck = true;
        lock_release(&s->watch_lock);
        lmdb_doorbell_ring(s->doorbell);
}

void lmdb_watch_settle(struct lmdb_store *s, struct lmdb_watch *watches, bool committed, uint64_t snapshot)
{
        end_pending(s, watches, committed);
        /* Compared after arming: a commit later than this comparison finds the watches armed. */
        if (!committed || is_committed_since(s, snapshot))
                request_check(s);
}

void lmdb_unwatch(struct kv_watch *base)
{
        struct lmdb_watch *w = (struct lmdb_watch *)base;
        struct lmdb_store *s = lmdb_of(base->store);
        bool pending;

        lock_acquire(&s->watch_lock);
        assert(s->watch_count > 0);
        s->watch_count--;
        while (w->state == WATCH_FIRING)
                lock_wait(&s->watch_lock, &s->watch_cond);
        list_remove(&w->link);
        pending = w->state == WATCH_PENDING;
        if (pending)
                w->unwatched = true; /* the end of its transaction frees it */
        lock_release(&s->watch_lock);
        if (!pending)
                free(w);
}

void lmdb_watch_stop(struct lmdb_store *s)
{
        lock_acquire(&s->watch_lock);
        assert(list_empty(&s->watches));
        s->watcher_stop = true;
        pthread_cond_broadcast(&s->watch_cond);
        lock_release(&s->watch_lock);
        if (!s->watcher_runs)
                return;
        lmdb_doorbell_ring(s->doorbell);
        pthread_join(s->watcher, NULL);
}

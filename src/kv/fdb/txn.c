/* SPDX-License-Identifier: MIT */
/* Begin, commit, back-off after a failure, end. */
#include "base/array.h"
#include "base/rng.h"
#include "base/thread.h"
#include "kv/fdb/internal.h"

#include <assert.h>
#include <stdlib.h>

/* ---- begin and end ------------------------------------------------------------------------------- */

/* The contract fixes the snapshot when begin returns. That costs no additional round trip: the first read
 * would wait for the same version. */
static int fix_snapshot(struct fdb_txn *t)
{
        struct fdb_store *s = fdb_store_of(t);
        FDBFuture *f = s->api->transaction_get_read_version(t->tr);
        uint64_t sent_ns = thread_now_ns();
        int64_t version;
        int r = fdb_wait(s, f, WAIT_CANCELLABLE);

        if (r == 0)
                r = fdb_error(s->api, s->api->future_get_int64(f, &version));
        if (r == 0)
                fdb_version_fetched(s, version, sent_ns);
        s->api->future_destroy(f);
        return r;
}

static int begin_at_new_version(struct fdb_txn *t, unsigned flags)
{
        const struct fdb_store *s = fdb_store_of(t);
        int r = fdb_error(s->api, s->api->database_create_transaction(s->db, &t->tr));

        if (r < 0)
                return r;
        if (!(flags & KV_LATE))
                return fix_snapshot(t);
        /* Reads that are started before it arrives wait for it in the client. */
        t->late_sent_ns = thread_now_ns();
        t->late = s->api->transaction_get_read_version(t->tr);
        return 0;
}

void fdb_cache_late_version(struct fdb_txn *t)
{
        struct fdb_store *s = fdb_store_of(t);
        int64_t version;

        if (!t->late || !s->api->future_is_ready(t->late))
                return;
        if (s->api->future_get_int64(t->late, &version) == 0)
                fdb_version_fetched(s, version, t->late_sent_ns);
        s->api->future_destroy(t->late);
        t->late = NULL;
}

/* Called as late as possible: a transaction that only reads what a layer has cached needs none, and each call
 * of the client wakes its thread. */
int fdb_ensure_tr(struct fdb_txn *t)
{
        const struct fdb_store *s = fdb_store_of(t);
        int r;

        if (t->tr)
                return 0;
        r = fdb_error(s->api, s->api->database_create_transaction(s->db, &t->tr));
        if (r < 0)
                return r;
        s->api->transaction_set_read_version(t->tr, t->version);
        return 0;
}

static int begin(struct fdb_txn *t, unsigned flags)
{
        struct fdb_store *s = fdb_store_of(t);

        if (flags & KV_BLIND)
                return 0; /* fdb_since follows */
        if (!(flags & KV_RECENT))
                return begin_at_new_version(t, flags);
        if (!(flags & KV_WRITE))
                return fdb_version_recent(s, &t->version);
        t->version = fdb_version_for_writer(s);
        return t->version > 0 ? fdb_ensure_tr(t) : begin_at_new_version(t, flags);
}

static void txn_free(struct fdb_txn *t)
{
        const struct fdb_api *api = fdb_api_of(t);

        for (size_t i = 0; i < t->n_kept; i++)
                api->future_destroy(t->kept[i].future);
        if (t->late)
                api->future_destroy(t->late);
        if (t->tr)
                api->transaction_destroy(t->tr);
        free(t->kept);
        free(t->reserved);
        free(t);
}

int fdb_begin(struct kv_store *store, unsigned flags, struct kv_txn **ret)
{
        struct fdb_store *s = (struct fdb_store *)store;
        struct fdb_txn *t;
        int r;

        if (s->rdonly && (flags & KV_WRITE))
                return -EROFS;
        if (s->given_up)
                return -ERR_AWAY;
        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->base.store = store;
        list_init(&t->watches);
        r = begin(t, flags);
        if (r < 0) {
                txn_free(t);
                return r;
        }
        *ret = &t->base;
        return 0;
}

/* The transaction reads nothing, so the version may be one that the storage servers do not have yet, or have
 * no longer. */
int fdb_since(struct kv_txn *txn, kv_version version)
{
        struct fdb_txn *t = (struct fdb_txn *)txn;

        t->version = version;
        return fdb_ensure_tr(t);
}

void fdb_end(struct kv_txn *txn)
{
        struct fdb_txn *t = (struct fdb_txn *)txn;

        fdb_watches_settle(t, t->committed ? 0 : -ECANCELED);
        txn_free(t);
}

int fdb_keep(struct fdb_txn *t, FDBFuture *f, bool is_get)
{
        if (array_reserve(&t->kept, &t->cap_kept, t->n_kept + 1) < 0) {
                fdb_api_of(t)->future_destroy(f);
                return -ENOMEM;
        }
        t->kept[t->n_kept++] = (struct fdb_kept){ f, is_get };
        return 0;
}

/* ---- commit -------------------------------------------------------------------------------------- */

/* A commit that was sent. It is never cancelled: it could still happen. If the deadline of its thread
 * expires first, the commit is detached: the callback takes care of the outcome and frees it. */
struct commit {
        struct fdb_store *s;
        FDBTransaction *tr;
        FDBFuture *future;
        uint64_t sent_ns;
        struct waiter waiter;
        struct fdb_waiting waiting; /* s->lock, as what follows */
        bool done, detached;
};

/* Caches the commit version. Returns FoundationDB's error; *RET_VERSION is set if the version is known. */
static fdb_error_t commit_outcome(const struct commit *c, kv_version *ret_version)
{
        const struct fdb_api *api = c->s->api;
        fdb_error_t e = api->future_get_error(c->future);
        int64_t version = 0;

        if (e == 0 && api->transaction_get_committed_version(c->tr, &version) == 0 && version > 0) {
                *ret_version = version;
                fdb_version_committed(c->s, version, c->sent_ns);
        }
        if (fdb_commit_error(api, e) == -ERR_UNKNOWN_RESULT)
                fdb_version_invalidate(c->s);
        return e;
}

static void commit_free(struct commit *c)
{
        c->s->api->future_destroy(c->future);
        if (c->tr)
                c->s->api->transaction_destroy(c->tr);
        free(c);
}

/* Marks C as done and wakes its thread, which then owns it. True: there is no such thread. */
static bool commit_done(struct commit *c)
{
        struct fdb_store *s = c->s;

        LOCK_GUARD(&s->lock);
        c->done = true;
        if (c->detached)
                return true;
        if (!c->waiting.woken) {
                c->waiting.woken = true;
                waiter_wake(&c->waiter);
        }
        return false;
}

static void on_committed(FDBFuture *f, void *arg)
{
        struct commit *c = arg;
        struct fdb_store *s = c->s;
        kv_version unused;

        (void)f;
        if (!commit_done(c))
                return;
        commit_outcome(c, &unused);
        commit_free(c);
        lock_acquire(&s->lock);
        s->detached_commits--;
        fdb_release_idle_locked(s);
}

/* 0 when the outcome is known. ERR_AWAY: C is detached, the caller must not use it any more. */
static int commit_wait(struct commit *c)
{
        struct fdb_store *s = c->s;
        int r = waiter_wait(&c->waiter, WAIT_TIMED);
        bool woken, done;

        /* This also waits for the callback to release the lock, so that the store can be closed
         * afterwards. */
        lock_acquire(&s->lock);
        fdb_waiting_end_locked(s, &c->waiting);
        woken = c->waiting.woken;
        done = c->done;
        /* Before the lock is released: the callback of a detached commit frees it. */
        if (r < 0 && woken)
                waiter_wait(&c->waiter, WAIT_UNCONDITIONAL); /* or the thread's next wait would end at once */
        if (!done) {
                c->detached = true;
                s->detached_commits++;
        }
        lock_release(&s->lock);
        return done ? 0 : -ERR_AWAY;
}

/* Sends the transaction. On success *RET is to be passed to commit_wait. */
static int commit_send(struct fdb_txn *t, struct commit **ret)
{
        struct fdb_store *s = fdb_store_of(t);
        _cleanup_free_ struct commit *c = calloc(1, sizeof(*c));
        fdb_error_t e;
        int r;

        if (!c)
                return -ENOMEM;
        c->s = s;
        c->tr = t->tr;
        c->sent_ns = thread_now_ns();
        waiter_init(&c->waiter);
        c->waiting.waiter = &c->waiter;
        r = fdb_waiting_begin(s, &c->waiting);
        if (r < 0)
                return r;
        c->future = s->api->transaction_commit(t->tr);
        e = s->api->future_set_callback(c->future, on_committed, c);
        assert(!e);
        (void)e;
        *ret = steal_ptr(c);
        return 0;
}

int fdb_commit(struct kv_txn *txn)
{
        struct fdb_txn *t = (struct fdb_txn *)txn;
        struct fdb_store *s = fdb_store_of(t);
        struct commit *c;
        fdb_error_t e;
        int r;

        fdb_write_reserved(t);
        /* One that only reads needs no commit, unless it has watches: the client arms them in commit,
         * locally. */
        if (!t->writes && !t->has_watches) {
                t->committed = true;
                s->failing_since_ns = 0;
                return 0;
        }
        r = commit_send(t, &c);
        if (r < 0)
                return r;
        r = commit_wait(c);
        if (r < 0) {
                t->tr = NULL;
                return r;
        }
        e = commit_outcome(c, &t->base.version);
        c->tr = NULL;
        commit_free(c);
        t->committed = e == 0;
        if (t->committed)
                s->failing_since_ns = 0;
        if (e == FDB_NOT_COMMITTED && t->version > 0 && !kv_is_blind(txn))
                fdb_version_conflicted(s);
        fdb_failed(t, e);
        return t->writes ? fdb_commit_error(s->api, e) : fdb_error(s->api, e);
}

/* ---- after a failure ----------------------------------------------------------------------------- */

/* The client's back-off begins anew with each transaction; after several attempts this one is added. */
#define SLEEP_FROM_ATTEMPT 2u
#define FAILING_ATTEMPT    6u /* from this one on fdb_waiting_ns counts the failures as waiting */
#define SLEEP_MS           10u
#define SLEEP_MS_MAX       1000u

static int sleep_before(unsigned attempt)
{
        unsigned shift = attempt < 10 ? attempt : 10;
        uint64_t random, max_ms = SLEEP_MS << shift;

        if (max_ms > SLEEP_MS_MAX)
                max_ms = SLEEP_MS_MAX;
        rng_system(&random, sizeof(random));
        return deadline_sleep(random % (max_ms * 1000000));
}

int fdb_backoff(struct kv_store *store, struct kv_txn *txn, int err, unsigned attempt)
{
        struct fdb_store *s = (struct fdb_store *)store;
        struct fdb_txn *t = (struct fdb_txn *)txn;
        uint64_t since_ns = 0;
        int r = 0;

        (void)err;
        if (attempt >= FAILING_ATTEMPT)
                atomic_compare_exchange_strong(&s->failing_since_ns, &since_ns, thread_now_ns());
        if (t && t->tr && t->failed) {
                FDBFuture *f = s->api->transaction_on_error(t->tr, t->failed);

                /* Its own error, which means that the client would not try again, is ignored: kv_run does. */
                r = fdb_wait(s, f, WAIT_CANCELLABLE);
                s->api->future_destroy(f);
        }
        if (r == 0 && attempt >= SLEEP_FROM_ATTEMPT)
                r = sleep_before(attempt);
        return r;
}

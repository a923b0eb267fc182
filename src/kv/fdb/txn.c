/* SPDX-License-Identifier: MIT */
/* Begin, commit, what comes after a failure, end. */
#include "kv/fdb/internal.h"

#include "base/rng.h"

#include <assert.h>
#include <stdlib.h>

/* ---- begin and end ------------------------------------------------------------------------------- */

/* The contract wants the snapshot to be fixed when begin returns. The round trip for it is not one more: the
 * first read would wait for it too. */
static int fix_snapshot(struct fdb_txn *t, struct fdb_store *s)
{
        FDBFuture *f = s->api->transaction_get_read_version(t->tr);
        uint64_t sent_ns = fdb_now_ns();
        int64_t version;
        int r = fdb_wait(s, f, WAIT_CANCELLABLE);

        if (r == 0) {
                fdb_error_t e = s->api->future_get_int64(f, &version);

                r = fdb_error(s->api, e);
                if (r == 0)
                        fdb_version_note(s, version, sent_ns);
        }
        s->api->future_destroy(f);
        return r;
}

static int begin_now(struct fdb_txn *t, struct fdb_store *s, unsigned flags)
{
        int r = fdb_error(s->api, s->api->database_create_transaction(s->db, &t->tr));

        if (r < 0)
                return r;
        if (!(flags & KV_LATE))
                return fix_snapshot(t, s);
        /* Reads that are started meanwhile wait for it in the client. */
        t->late_sent_ns = fdb_now_ns();
        t->late = s->api->transaction_get_read_version(t->tr);
        return 0;
}

void fdb_version_came(struct fdb_txn *t)
{
        struct fdb_store *s = fdb_store_of(t);
        int64_t version;

        if (!t->late || !s->api->future_is_ready(t->late))
                return;
        if (s->api->future_get_int64(t->late, &version) == 0)
                fdb_version_note(s, version, t->late_sent_ns);
        s->api->future_destroy(t->late);
        t->late = NULL;
}

/* What only reads, with a version at hand, often needs nothing else: each call of the client wakes its
 * thread. */
int fdb_need(struct fdb_txn *t, struct fdb_store *s)
{
        int r;

        if (t->tr)
                return 0;
        r = fdb_error(s->api, s->api->database_create_transaction(s->db, &t->tr));
        if (r == 0)
                s->api->transaction_set_read_version(t->tr, t->version);
        return r;
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
        if (flags & KV_BLIND) {
                r = 0; /* fdb_since does it */
        } else if ((flags & KV_RECENT) && !(flags & KV_WRITE)) {
                r = fdb_version_recent(s, &t->version);
        } else {
                if (flags & KV_RECENT)
                        t->version = fdb_version_at_hand(s);
                r = t->version > 0 ? fdb_need(t, s) : begin_now(t, s, flags);
        }
        if (r < 0) {
                if (t->tr)
                        s->api->transaction_destroy(t->tr);
                free(t);
                return r;
        }
        *ret = &t->base;
        return 0;
}

/* It reads nothing, so the storage servers need not have come that far, or still know it. */
int fdb_since(struct kv_txn *txn, kv_version version)
{
        struct fdb_txn *t = (struct fdb_txn *)txn;

        t->version = version;
        return fdb_need(t, fdb_store_of(t));
}

void fdb_end(struct kv_txn *txn)
{
        struct fdb_txn *t = (struct fdb_txn *)txn;
        const struct fdb_api *api = fdb_api_of(t);

        fdb_watches_settle(t, t->committed ? 0 : -ECANCELED);
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

int fdb_keep(struct fdb_txn *t, FDBFuture *f, bool is_get)
{
        if (t->n_kept == t->cap_kept) {
                size_t cap = t->cap_kept ? 2 * t->cap_kept : 16;
                struct fdb_kept *p = reallocarray(t->kept, cap, sizeof(*p));

                if (!p) {
                        fdb_api_of(t)->future_destroy(f);
                        return -ENOMEM;
                }
                t->kept = p;
                t->cap_kept = cap;
        }
        t->kept[t->n_kept++] = (struct fdb_kept){ f, is_get };
        return 0;
}

/* ---- commit -------------------------------------------------------------------------------------- */

/* A commit on its way. Once it was sent it is never cancelled: it could still take place. If the thread that
 * waits for it runs out of deadline, the commit goes on alone. */
struct commit {
        struct fdb_store *s;
        FDBTransaction *tr;
        FDBFuture *future;
        uint64_t sent_ns;
        struct waiter waiter;
        struct fdb_waiting waiting; /* the store's lock, as what follows */
        bool came, alone;
};

/* Takes note of the outcome; returns FoundationDB's error. *RET_VERSION: of the commit, if it is known. */
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
                fdb_version_note(c->s, 0, c->sent_ns);
        return e;
}

static void commit_free(struct commit *c)
{
        c->s->api->future_destroy(c->future);
        if (c->tr)
                c->s->api->transaction_destroy(c->tr);
        free(c);
}

static void on_committed(FDBFuture *f, void *arg)
{
        struct commit *c = arg;
        struct fdb_store *s = c->s;
        kv_version unused;

        (void)f;
        pthread_mutex_lock(&s->lock);
        c->came = true;
        if (!c->alone) {
                if (!c->waiting.woken)
                        waiter_wake(&c->waiter);
                c->waiting.woken = true;
                pthread_mutex_unlock(&s->lock);
                return;
        }
        pthread_mutex_unlock(&s->lock);
        commit_outcome(c, &unused);
        commit_free(c);
        pthread_mutex_lock(&s->lock);
        s->commits_alone--;
        fdb_quiet_and_unlock(s);
}

/* 0 when the outcome is there, or ERR_AWAY: C goes on alone and is no longer ours. */
static int commit_wait(struct commit *c)
{
        struct fdb_store *s = c->s;
        int r = waiter_wait(&c->waiter, WAIT_TIMED);
        bool woken, came;

        /* Also so that the callback has let go of the lock before the store can be closed. */
        pthread_mutex_lock(&s->lock);
        fdb_waiting_end(&c->waiting);
        woken = c->waiting.woken;
        came = c->came;
        if (!came) {
                c->alone = true;
                s->commits_alone++;
        }
        pthread_mutex_unlock(&s->lock);
        if (r < 0 && woken)
                waiter_wait(&c->waiter, WAIT_UNCONDITIONAL); /* or the next wait would end at once */
        return came ? 0 : -ERR_AWAY;
}

int fdb_commit(struct kv_txn *txn)
{
        struct fdb_txn *t = (struct fdb_txn *)txn;
        struct fdb_store *s = fdb_store_of(t);
        struct commit *c;
        fdb_error_t e;
        int r;

        fdb_flush_reserved(t);
        /* What only read saw one moment. Watches need a commit, if only within the client. */
        if (!t->writes && !t->watches) {
                t->committed = true;
                s->failing_since_ns = 0;
                return 0;
        }
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->s = s;
        c->tr = t->tr;
        c->sent_ns = fdb_now_ns();
        waiter_init(&c->waiter);
        c->waiting.waiter = &c->waiter;
        r = fdb_waiting_begin(s, &c->waiting);
        if (r < 0) {
                free(c);
                return r;
        }
        c->future = s->api->transaction_commit(t->tr);
        e = s->api->future_set_callback(c->future, on_committed, c);
        assert(!e);
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
                fdb_version_doubt(s);
        fdb_failed(t, e);
        return t->writes ? fdb_commit_error(s->api, e) : fdb_error(s->api, e);
}

/* ---- after a failure ----------------------------------------------------------------------------- */

/* What on_error waits begins anew with each transaction; for those who fail again and again it grows here. */
#define SLEEP_FROM_ATTEMPT 2u
#define FAILING_ATTEMPT    6u /* from then on it is no accident any more (fdb_waiting_ns) */
#define SLEEP_MS           10u
#define SLEEP_MS_MAX       1000u

static int sleep_longer(unsigned attempt)
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
                atomic_compare_exchange_strong(&s->failing_since_ns, &since_ns, fdb_now_ns());
        if (t && t->tr && t->failed) {
                FDBFuture *f = s->api->transaction_on_error(t->tr, t->failed);

                /* An error of its own means that the client would not try again; kv_run does. */
                r = fdb_wait(s, f, WAIT_CANCELLABLE);
                s->api->future_destroy(f);
        }
        if (r == 0 && attempt >= SLEEP_FROM_ATTEMPT)
                r = sleep_longer(attempt);
        return r;
}

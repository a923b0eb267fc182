/* SPDX-License-Identifier: MIT */
/* The version of the last commit, or one that was fetched lately. None of the functions waits long, so
 * callers may hold locks. */
#include "base/thread.h"
#include "kv/fdb/internal.h"

#define NS_PER_MS UINT64_C(1000000)

/* The cluster keeps versions for five seconds, and a transaction needs a part of that for itself. */
#define USABLE_NS (1000 * NS_PER_MS)
/* Above this age a newer one is fetched in the background. */
#define FRESH_NS            (300 * NS_PER_MS)
#define WAIT_NS             (20 * NS_PER_MS)
#define WRITERS_EXCLUDED_NS (50 * NS_PER_MS)

static bool is_younger_locked(const struct fdb_store *s, uint64_t age_ns)
{
        lock_assert_held(&s->lock);
        return s->versions.recent > 0 && thread_now_ns() - s->versions.recent_at_ns < age_ns;
}

static void store_version_locked(struct fdb_store *s, int64_t version, uint64_t at_ns)
{
        struct fdb_versions *v = &s->versions;

        lock_assert_held(&s->lock);
        if (at_ns < v->valid_from_ns)
                return;
        /* A commit may have overtaken the fetch. */
        if (version < v->committed)
                version = v->committed;
        if (version > v->recent)
                v->recent = version;
        if (at_ns > v->recent_at_ns)
                v->recent_at_ns = at_ns;
}

void fdb_version_fetched(struct fdb_store *s, int64_t version, uint64_t sent_ns)
{
        LOCK_GUARD(&s->lock);
        store_version_locked(s, version, sent_ns);
}

void fdb_version_committed(struct fdb_store *s, int64_t version, uint64_t sent_ns)
{
        struct fdb_versions *v = &s->versions;

        LOCK_GUARD(&s->lock);
        if (version > v->committed)
                v->committed = version;
        if (v->recent > 0 && v->recent < version)
                v->recent = version;
        store_version_locked(s, version, sent_ns);
}

void fdb_version_invalidate(struct fdb_store *s)
{
        struct fdb_versions *v = &s->versions;

        LOCK_GUARD(&s->lock);
        v->recent = 0;
        v->recent_at_ns = 0;
        v->valid_from_ns = thread_now_ns();
}

static void on_version(FDBFuture *f, void *arg)
{
        struct fdb_store *s = arg;
        int64_t version;
        fdb_error_t e = s->api->future_get_int64(f, &version);

        LOCK_GUARD(&s->lock);
        if (!e)
                store_version_locked(s, version, s->versions.fetch_sent_ns);
        s->versions.fetching = false;
        pthread_cond_broadcast(&s->changed);
}

void fdb_version_cancel(struct fdb_store *s)
{
        FDBFuture *f;

        lock_acquire(&s->lock);
        f = s->versions.fetching ? s->versions.fetch_future : NULL;
        lock_release(&s->lock);
        if (f)
                s->api->future_cancel(f); /* the callback still comes */
}

void fdb_version_free(struct fdb_store *s)
{
        struct fdb_versions *v = &s->versions;

        if (v->fetch_future)
                s->api->future_destroy(v->fetch_future);
        if (v->fetch_tr)
                s->api->transaction_destroy(v->fetch_tr);
        v->fetch_future = NULL;
        v->fetch_tr = NULL;
}

/* Starts fetching a newer version. The lock is released for the calls of the client, which may call back at
 * once. */
static void fetch_locked(struct fdb_store *s)
{
        struct fdb_versions *v = &s->versions;
        fdb_error_t e;

        lock_assert_held(&s->lock);
        if (v->fetching)
                return;
        v->fetching = true;
        v->fetch_sent_ns = thread_now_ns();
        lock_release(&s->lock);
        fdb_version_free(s);
        e = s->api->database_create_transaction(s->db, &v->fetch_tr);
        if (!e) {
                v->fetch_future = s->api->transaction_get_read_version(v->fetch_tr);
                e = s->api->future_set_callback(v->fetch_future, on_version, s);
        }
        lock_acquire(&s->lock);
        if (e)
                v->fetching = false;
}

int fdb_version_recent(struct fdb_store *s, int64_t *ret)
{
        struct timespec until = thread_deadline(WAIT_NS);

        LOCK_GUARD(&s->lock);
        if (!is_younger_locked(s, FRESH_NS))
                fetch_locked(s);
        while (s->versions.fetching && !is_younger_locked(s, USABLE_NS))
                if (!lock_wait_until(&s->lock, &s->changed, &until))
                        break;
        if (!is_younger_locked(s, USABLE_NS))
                return -ERR_RETRY;
        *ret = s->versions.recent;
        return 0;
}

int64_t fdb_version_for_writer(struct fdb_store *s)
{
        LOCK_GUARD(&s->lock);
        if (!is_younger_locked(s, USABLE_NS) || thread_now_ns() < s->versions.writers_excluded_ns)
                return 0;
        return s->versions.recent;
}

void fdb_version_conflicted(struct fdb_store *s)
{
        LOCK_GUARD(&s->lock);
        s->versions.writers_excluded_ns = thread_now_ns() + WRITERS_EXCLUDED_NS;
}

/* SPDX-License-Identifier: MIT */
/* Snapshots that need not be of now (KV_RECENT): the version of the last commit, or one fetched lately, saves
 * asking the cluster for one. Cheap enough to be taken under a lock: it never waits long. */
#include "kv/fdb/internal.h"

#include <time.h>

#define NS_PER_MS UINT64_C(1000000)

/* The cluster reads versions of the last five seconds. A transaction needs some of them for itself. */
#define USABLE_NS (1000 * NS_PER_MS)
/* From then on a newer one is fetched meanwhile. */
#define FRESH_NS (300 * NS_PER_MS)
#define WAIT_MS  20
/* After a conflict of a writer with such a snapshot: others write the same things. */
#define DOUBT_NS (50 * NS_PER_MS)

uint64_t fdb_now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Lock held. A version that was fetched may be older than a commit that came in meanwhile. */
static void note(struct fdb_store *s, int64_t version, uint64_t at_ns)
{
        if (version < s->committed)
                version = s->committed;
        if (version > s->recent)
                s->recent = version;
        if (at_ns > s->recent_at_ns)
                s->recent_at_ns = at_ns;
}

void fdb_version_committed(struct fdb_store *s, int64_t version, uint64_t sent_ns)
{
        pthread_mutex_lock(&s->lock);
        if (version > s->committed)
                s->committed = version;
        if (s->recent > 0 && s->recent < version)
                s->recent = version;
        pthread_mutex_unlock(&s->lock);
        fdb_version_note(s, version, sent_ns);
}

void fdb_version_note(struct fdb_store *s, int64_t version, uint64_t sent_ns)
{
        pthread_mutex_lock(&s->lock);
        if (version > 0 && sent_ns >= s->recent_since_ns) {
                note(s, version, sent_ns);
        } else if (version == 0) {
                /* What was asked for before now may be older than that commit. */
                s->recent = 0;
                s->recent_at_ns = 0;
                s->recent_since_ns = fdb_now_ns();
        }
        pthread_mutex_unlock(&s->lock);
}

static void on_version(FDBFuture *f, void *arg)
{
        struct fdb_store *s = arg;
        int64_t version;
        fdb_error_t e = s->api->future_get_int64(f, &version);

        pthread_mutex_lock(&s->lock);
        if (!e && s->refresh_sent_ns >= s->recent_since_ns)
                note(s, version, s->refresh_sent_ns);
        s->refreshing = false;
        pthread_cond_broadcast(&s->quiet);
        pthread_mutex_unlock(&s->lock);
}

void fdb_version_stop(struct fdb_store *s)
{
        FDBFuture *f;

        pthread_mutex_lock(&s->lock);
        f = s->refreshing ? s->refresh_future : NULL;
        pthread_mutex_unlock(&s->lock);
        if (f)
                s->api->future_cancel(f); /* its callback still comes */
}

void fdb_version_forget(struct fdb_store *s)
{
        if (s->refresh_future)
                s->api->future_destroy(s->refresh_future);
        if (s->refresh_tr)
                s->api->transaction_destroy(s->refresh_tr);
        s->refresh_future = NULL;
        s->refresh_tr = NULL;
}

/* Fetches a newer version. Lock held, dropped meanwhile: the callback may come at once. */
static void refresh(struct fdb_store *s)
{
        fdb_error_t e;

        if (s->refreshing)
                return;
        s->refreshing = true; /* from here to the callback the refresh_ fields are ours */
        s->refresh_sent_ns = fdb_now_ns();
        pthread_mutex_unlock(&s->lock);
        fdb_version_forget(s);
        e = s->api->database_create_transaction(s->db, &s->refresh_tr);
        if (!e) {
                s->refresh_future = s->api->transaction_get_read_version(s->refresh_tr);
                e = s->api->future_set_callback(s->refresh_future, on_version, s);
        }
        pthread_mutex_lock(&s->lock);
        if (e)
                s->refreshing = false;
}

static bool is_younger(const struct fdb_store *s, uint64_t ns)
{
        return s->recent > 0 && fdb_now_ns() - s->recent_at_ns < ns;
}

int fdb_version_recent(struct fdb_store *s, int64_t *ret)
{
        struct timespec until;
        int r = 0;

        pthread_mutex_lock(&s->lock);
        if (!is_younger(s, FRESH_NS))
                refresh(s);
        if (!is_younger(s, USABLE_NS)) {
                clock_gettime(CLOCK_MONOTONIC, &until);
                until.tv_nsec += WAIT_MS * (long)NS_PER_MS;
                until.tv_sec += until.tv_nsec / 1000000000;
                until.tv_nsec %= 1000000000;
                while (s->refreshing && !is_younger(s, USABLE_NS))
                        if (pthread_cond_timedwait(&s->quiet, &s->lock, &until) != 0)
                                break;
        }
        if (is_younger(s, USABLE_NS))
                *ret = s->recent;
        else
                r = -ERR_RETRY;
        pthread_mutex_unlock(&s->lock);
        return r;
}

int64_t fdb_version_at_hand(struct fdb_store *s)
{
        int64_t version;

        pthread_mutex_lock(&s->lock);
        version = is_younger(s, USABLE_NS) && fdb_now_ns() >= s->doubted_until_ns ? s->recent : 0;
        pthread_mutex_unlock(&s->lock);
        return version;
}

void fdb_version_doubt(struct fdb_store *s)
{
        pthread_mutex_lock(&s->lock);
        s->doubted_until_ns = fdb_now_ns() + DOUBT_NS;
        pthread_mutex_unlock(&s->lock);
}

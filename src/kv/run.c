/* SPDX-License-Identifier: MIT */
/* The retry loop: runs a body until its outcome is definite. Also the fence that every transaction reads
 * and the markers that decide about commits with an unknown result. */
#include "base/rng.h"
#include "kv/engine.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define MARKER_SLOTS 64u

/* A marker is one key per slot. Its value names the attempt, so that a slot can be used again. */
struct kv_session {
        bool fenced;
        uint8_t fence[KV_KEY_MAX];
        size_t fence_len;

        bool marked;
        uint8_t markers[KV_KEY_MAX];
        size_t markers_len;

        pthread_mutex_t lock;     /* protects what follows */
        pthread_cond_t slot_free; /* CLOCK_MONOTONIC */
        uint64_t slots_used;      /* a bit per slot */
        uint64_t sequence;
};

_Static_assert(MARKER_SLOTS == 64, "slots_used has a bit per slot");

static int session_get(struct kv_store *s, struct kv_session **ret)
{
        if (!s->session) {
                struct kv_session *n = calloc(1, sizeof(*n));
                pthread_condattr_t monotonic;

                if (!n)
                        return -ENOMEM;
                pthread_mutex_init(&n->lock, NULL);
                pthread_condattr_init(&monotonic);
                pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
                pthread_cond_init(&n->slot_free, &monotonic);
                pthread_condattr_destroy(&monotonic);
                s->session = n;
        }
        *ret = s->session;
        return 0;
}

void kv_session_free(struct kv_session *session)
{
        if (!session)
                return;
        pthread_mutex_destroy(&session->lock);
        pthread_cond_destroy(&session->slot_free);
        free(session);
}

int kv_set_fence(struct kv_store *s, struct slice key)
{
        struct kv_session *session;
        int r = session_get(s, &session);

        if (r < 0)
                return r;
        assert(key.len <= KV_KEY_MAX);
        if (key.len > 0)
                memcpy(session->fence, key.data, key.len);
        session->fence_len = key.len;
        session->fenced = key.len > 0;
        return 0;
}

int kv_set_markers(struct kv_store *s, struct slice prefix)
{
        struct kv_session *session;
        int r = session_get(s, &session);

        if (r < 0)
                return r;
        assert(prefix.len < KV_KEY_MAX);
        if (prefix.len > 0)
                memcpy(session->markers, prefix.data, prefix.len);
        session->markers_len = prefix.len;
        session->marked = true;
        return 0;
}

/* One marker in use by one kv_run. */
struct marker {
        struct kv_session *session; /* NULL: none */
        unsigned slot;
        uint8_t key[KV_KEY_MAX];
        size_t key_len;
        uint8_t value[16]; /* sequence number, and random bytes against an earlier process's numbers */
};

static struct slice marker_key(const struct marker *m)
{
        return slice_of(m->key, m->key_len);
}

#define DEADLINE_POLL_NS 20000000

/* A condition cannot be waited for together with a cancellation, so whoever may be cancelled looks again and
 * again: this wait is rare, for who holds a slot is done soon, unless the store is away. Lock held. */
static int wait_for_slot(struct kv_session *session)
{
        struct timespec until;

        if (!deadline_is_set()) {
                pthread_cond_wait(&session->slot_free, &session->lock);
                return 0;
        }
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += DEADLINE_POLL_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&session->slot_free, &session->lock, &until);
        return deadline_check();
}

/* Waits for a free slot; EINTR, ERR_AWAY: as long as the thread's deadline lasted. BLIND: what was written to
 * the slot lately is a conflict, so one that is used rarely. */
static int marker_take(struct marker *m, struct kv_session *session, bool blind)
{
        uint64_t sequence;
        int r = 0;

        pthread_mutex_lock(&session->lock);
        while (r >= 0 && session->slots_used == UINT64_MAX)
                r = wait_for_slot(session);
        if (r < 0) {
                pthread_mutex_unlock(&session->lock);
                return r;
        }
        m->session = session;
        m->slot = blind ? MARKER_SLOTS - 1 - (unsigned)__builtin_clzll(~session->slots_used)
                        : (unsigned)__builtin_ctzll(~session->slots_used);
        session->slots_used |= UINT64_C(1) << m->slot;
        sequence = ++session->sequence;
        pthread_mutex_unlock(&session->lock);

        memcpy(m->key, session->markers, session->markers_len);
        m->key[session->markers_len] = (uint8_t)m->slot;
        m->key_len = session->markers_len + 1;
        memcpy(m->value, &sequence, sizeof(sequence));
        rng_system(m->value + sizeof(sequence), sizeof(m->value) - sizeof(sequence));
        return 0;
}

static void marker_release(struct marker *m)
{
        if (!m->session)
                return;
        pthread_mutex_lock(&m->session->lock);
        m->session->slots_used &= ~(UINT64_C(1) << m->slot);
        pthread_cond_broadcast(&m->session->slot_free); /* one of them may be about to give up */
        pthread_mutex_unlock(&m->session->lock);
        m->session = NULL;
}

static bool is_transient(int r)
{
        return r == -ERR_CONFLICT || r == -ERR_RETRY || r == -ERR_UNKNOWN_RESULT;
}

/* Exponential, spread at random so that those who met once do not meet again. */
static int default_backoff(unsigned n)
{
        uint64_t random, us = UINT64_C(10) << (n < 12 ? n : 12);

        if (n == 0)
                return 0; /* the first conflict costs nothing */
        rng_system(&random, sizeof(random));
        return deadline_sleep((us / 2 + random % (us / 2 + 1)) * 1000);
}

/* What to go on with after attempt N failed with R: R, if it makes sense to try again now. T may be NULL. */
static int backoff(struct kv_store *s, struct kv_txn *t, int r, unsigned n)
{
        int q;

        if (!is_transient(r))
                return r;
        if (r == -ERR_UNKNOWN_RESULT)
                deadline_mask_cancel(true); /* until the outcome is known */
        q = s->ops->backoff ? s->ops->backoff(s, t, r, n) : default_backoff(n);
        return q < 0 ? q : r;
}

/* Whether the body may only have found what it found (an error, nothing to do) because its snapshot was not
 * of now. A commit that writes proves that nothing has changed since. */
static bool is_unproven(const struct kv_txn *t, int r)
{
        return (t->flags & KV_RECENT) && (r < 0 ? !is_transient(r) : t->written_keys == 0);
}

/* The marker counts as read as well as it is written: of two transactions that do so and do not see each
 * other, only one can commit. (Its value does not matter and is not fetched; begin fixed the snapshot.) */
static int marker_put(struct kv_txn *t, const struct marker *m)
{
        int r = kv_conflict_key(t, KV_CONFLICT_READ, marker_key(m));

        return r < 0 ? r : kv_set(t, marker_key(m), slice_of(m->value, sizeof(m->value)));
}

/* What a call of kv_run runs. */
struct run {
        struct kv_store *s;
        unsigned flags; /* of the next attempt */
        kv_body body;
        void *arg;
        struct marker marker;
        kv_version version; /* that a blind attempt begins with; then, of the commit */
        int value;          /* the body's */
};

/* Not as a whole: the marker is large. */
static void run_init(struct run *run, struct kv_store *s, unsigned flags, kv_body body, void *arg)
{
        run->s = s;
        run->flags = flags;
        run->body = body;
        run->arg = arg;
        run->marker.session = NULL;
        run->version = 0;
        run->value = 0;
}

/* The fence, started before the body's reads and waited for after them: no round trip of its own. FENCE:
 * where its read is kept. */
static int fence_start(struct kv_txn *t, const struct kv_session *session, struct kv_read *fence)
{
        struct slice key = slice_of(session->fence, session->fence_len);

        if (kv_is_blind(t))
                return kv_conflict_key(t, KV_CONFLICT_READ, key);
        kv_get_start(t, fence, key, 0);
        t->fence = fence;
        return 0;
}

/* Attempt N: 0 when committed, or an error, after the back-off if it is a transient one. */
static int attempt(struct run *run, unsigned n)
{
        struct kv_store *s = run->s;
        const struct marker *m = &run->marker;
        struct kv_read fence;
        struct kv_txn *t;
        int r, q;

        r = kv_begin(s, run->flags, &t);
        if (r < 0)
                return backoff(s, NULL, r, n);
        if (kv_is_blind(t))
                r = s->ops->since(t, run->flags & KV_BEFORE ? run->version - 1 : run->version);
        if (r >= 0 && s->session && s->session->fenced)
                r = fence_start(t, s->session, &fence);
        if (r >= 0)
                r = run->value = run->body(t, run->arg);
        q = kv_confirm(t);
        if (q == -ERR_FENCED || (q < 0 && r >= 0))
                r = q;
        if (r >= 0 && m->session) {
                q = marker_put(t, m);
                if (q < 0)
                        r = q;
        }
        if (is_unproven(t, r))
                r = -ERR_RETRY;
        if (r >= 0)
                r = kv_commit(t);
        run->version = t->version;
        /* Where the store does not need it for that, the transaction does not keep the writer's lock
         * meanwhile: what it waits for may need that. */
        if (s->ops->backoff)
                r = backoff(s, t, r, n);
        kv_end(t);
        if (!s->ops->backoff)
                r = backoff(s, NULL, r, n);
        return r < 0 ? r : 0;
}

int kv_confirm(struct kv_txn *t)
{
        struct slice unused;
        int r;

        if (!t->fence)
                return 0;
        r = kv_get_wait(t, t->fence, &unused);
        t->fence = NULL;
        return r == -ENOENT ? -ERR_FENCED : r;
}

/* Whether the attempt that wrote M committed: 1, 0, or an error that is not transient. If it did not, it
 * never will: it read the marker, which is written here. So this holds even if it were still on its way. */
static int marker_settle_once(struct kv_store *s, const struct marker *m, unsigned n)
{
        struct slice value;
        struct kv_txn *t;
        int r = kv_begin(s, KV_WRITE, &t);

        if (r < 0)
                return backoff(s, NULL, r, n);
        r = kv_get(t, marker_key(m), 0, &value);
        if (r == 0 && slice_eq(value, slice_of(m->value, sizeof(m->value)))) {
                kv_end(t);
                return 1;
        }
        if (r == 0 || r == -ENOENT)
                r = kv_clear(t, marker_key(m));
        if (r >= 0)
                r = kv_commit(t);
        r = backoff(s, t, r, n);
        kv_end(t);
        return r;
}

static int marker_settle(struct kv_store *s, const struct marker *m)
{
        for (unsigned n = 0;; n++) {
                int r = marker_settle_once(s, m, n);

                if (!is_transient(r))
                        return r;
        }
}

static int run_to_the_end(struct run *run)
{
        struct kv_store *s = run->s;
        int r;

        for (unsigned n = 0;; n++) {
                r = attempt(run, n);
                if (!is_transient(r))
                        break;
                run->flags &= ~(unsigned)(KV_RECENT | KV_BLIND);
                if (r == -ERR_UNKNOWN_RESULT && run->marker.session) {
                        r = marker_settle(s, &run->marker);
                        if (r < 0)
                                break;
                        if (r > 0) {
                                run->version = 0;
                                r = 0;
                                break;
                        }
                        deadline_mask_cancel(false);
                }
        }
        deadline_mask_cancel(false);
        return r < 0 ? r : run->value;
}

static int run_marked(struct run *run)
{
        struct kv_store *s = run->s;
        int r;

        if ((run->flags & KV_RECENT) && (!s->limits.remote || !s->limits.optimistic))
                run->flags &= ~(unsigned)KV_RECENT; /* nothing to gain */
        if (s->limits.unknown_results && (run->flags & KV_WRITE) && !(run->flags & KV_IDEMPOTENT)) {
                /* Without a marker an unknown result could not be decided. */
                assert(s->session && s->session->marked);
                r = marker_take(&run->marker, s->session, run->flags & KV_BLIND);
                if (r < 0)
                        return r;
        }
        r = run_to_the_end(run);
        marker_release(&run->marker);
        return r;
}

int kv_run(struct kv_store *s, unsigned flags, kv_body body, void *arg)
{
        struct run r;

        run_init(&r, s, flags, body, arg);
        return run_marked(&r);
}

int kv_run_since(struct kv_store *s, unsigned flags, kv_version *version, kv_body body, void *arg)
{
        struct run r;
        int result;

        assert(flags & KV_WRITE);
        if (*version != 0 && s->ops->since)
                flags = (flags & ~(unsigned)KV_RECENT) | KV_BLIND;
        run_init(&r, s, flags, body, arg);
        r.version = *version;
        result = run_marked(&r);
        if (result >= 0)
                *version = r.version;
        return result;
}

/* SPDX-License-Identifier: MIT */
/* The retry loop: runs a body until its outcome is definite. docs/ARCHITECTURE.md lists the loops above
 * it. */
#include "kv/fence.h"
#include "kv/marker.h"
#include "kv/retry.h"

#include <assert.h>

/* One call of kv_run. */
struct run {
        struct kv_store *s;
        unsigned flags; /* of the next attempt */
        kv_body body;
        void *arg;
        struct kv_marker marker;
        kv_version version; /* the one that a blind attempt begins with; then that of the commit */
        int value;          /* the body's */
};

/* Member by member: the marker is large. */
static void run_init(struct run *run, struct kv_store *s, unsigned flags, kv_body body, void *arg)
{
        run->s = s;
        run->flags = flags;
        run->body = body;
        run->arg = arg;
        run->marker.store = NULL;
        run->version = 0;
        run->value = 0;
}

/* Whether the body's result (an error, nothing written) may be due to an old snapshot alone. A commit that
 * writes proves that nothing has changed since. */
static bool is_unproven(const struct kv_txn *t, int r)
{
        return (t->flags & KV_RECENT) && (r < 0 ? !kv_is_transient(r) : t->written_keys == 0);
}

/* Runs the body and waits for the fence, whose result comes before that of the body: as long as it is
 * unknown, the body's error may be due to an eviction. */
static int run_body(struct run *run, struct kv_txn *t)
{
        struct kv_read fence;
        int r = 0, q;

        if (kv_is_blind(t))
                r = run->s->ops->since(t, run->flags & KV_BEFORE ? run->version - 1 : run->version);
        if (r >= 0 && run->s->fence)
                r = kv_fence_start(t, &fence);
        if (r >= 0)
                r = run->value = run->body(t, run->arg);
        q = kv_confirm(t);
        return q < 0 && (r >= 0 || q == -ERR_FENCED || kv_is_transient(q)) ? q : r;
}

static int run_and_commit(struct run *run, struct kv_txn *t)
{
        int r = run_body(run, t);

        if (r >= 0 && run->marker.store)
                r = kv_marker_put(t, &run->marker);
        if (is_unproven(t, r))
                return -ERR_RETRY;
        return r < 0 ? r : kv_commit(t);
}

/* Attempt N: 0 when committed, or an error; after a transient one the back-off is done. */
static int attempt(struct run *run, unsigned n)
{
        struct kv_store *s = run->s;
        struct kv_txn *t;
        int r = kv_begin(s, run->flags, &t);

        if (r < 0)
                return kv_backoff(s, NULL, r, n);
        r = run_and_commit(run, t);
        run->version = t->version;
        if (s->ops->backoff) {
                r = kv_backoff(s, t, r, n);
                kv_end(t);
        } else {
                /* Without the transaction, which may hold the writer's lock: what the wait is for may need
                 * it. */
                kv_end(t);
                r = kv_backoff(s, NULL, r, n);
        }
        return r < 0 ? r : 0;
}

/* Decides an unknown result: 1 if the attempt committed, 0 if it did not and never will, or an error. Without
 * a marker the body is idempotent and simply runs again. */
static int settle(struct run *run)
{
        int r;

        if (!run->marker.store)
                return 0;
        r = kv_marker_settle(&run->marker);
        if (r > 0)
                run->version = 0;
        if (r == 0)
                deadline_mask_cancel(false);
        return r;
}

static int run_attempts(struct run *run)
{
        for (unsigned n = 0;; n++) {
                int r = attempt(run, n);

                if (!kv_is_transient(r))
                        return r;
                run->flags &= ~(unsigned)(KV_RECENT | KV_BLIND);
                if (r == -ERR_UNKNOWN_RESULT) {
                        r = settle(run);
                        if (r != 0)
                                return r;
                }
        }
}

static int run_to_outcome(struct run *run)
{
        struct kv_store *s = run->s;
        int r;

        if ((run->flags & KV_RECENT) && (!s->limits.remote || !s->limits.optimistic))
                run->flags &= ~(unsigned)KV_RECENT; /* nothing to gain */
        if (s->limits.unknown_results && (run->flags & KV_WRITE) && !(run->flags & KV_IDEMPOTENT)) {
                assert(s->markers); /* without a marker an unknown result could not be decided */
                r = kv_marker_take(&run->marker, s, run->flags & KV_BLIND);
                if (r < 0)
                        return r;
        }
        r = run_attempts(run);
        deadline_mask_cancel(false);
        if (run->marker.store)
                kv_marker_release(&run->marker);
        return r < 0 ? r : run->value;
}

int kv_run(struct kv_store *s, unsigned flags, kv_body body, void *arg)
{
        struct run r;

        run_init(&r, s, flags, body, arg);
        return run_to_outcome(&r);
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
        result = run_to_outcome(&r);
        if (result >= 0)
                *version = r.version;
        return result;
}

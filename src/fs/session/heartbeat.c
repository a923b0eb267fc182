/* SPDX-License-Identifier: MIT */
/* The thread that keeps a session's status fresh, and notices an eviction by a watch on the session's
 * entry. */
#include "base/thread.h"
#include "fs/session/internal.h"
#include "record/session.h"

static void on_fire(int err, void *arg)
{
        struct fs_session *s = arg;

        LOCK_GUARD(&s->lock);
        s->fired = true;
        pthread_cond_signal(&s->wake);
}

static void watch_drop(struct fs_session *s)
{
        kv_unwatch(s->watch);
        s->watch = NULL;
        LOCK_GUARD(&s->lock);
        s->fired = false;
}

struct beat {
        struct fs_session *s;
        bool watch;
};

static int beat_body(struct kv_txn *t, void *arg)
{
        struct beat *b = arg;
        struct fs_session *s = b->s;
        const struct fmt_status status = { .heartbeat = s->heartbeat, .epoch_acknowledged = s->epoch };
        int r;

        if (b->watch) {
                watch_drop(s); /* it fired, or belongs to a run that failed */
                r = rec_session_watch(t, s->pid, on_fire, s, &s->watch);
                if (r < 0 && r != -EMFILE) /* without a watch the heartbeats find an eviction, later */
                        return r;
        }
        return rec_status_set(t, s->pid, &status);
}

/* Commits a heartbeat. An error of the store says nothing about the registration: the next heartbeat tries
 * again. */
static int beat(struct fs_session *s, bool watch)
{
        struct beat b = { .s = s, .watch = watch };
        struct deadline deadline;
        int r;

        s->heartbeat++;
        deadline_begin(&deadline, SESSION_TIMEOUT_MS);
        r = kv_run(s->store, KV_WRITE | KV_IDEMPOTENT | KV_RESERVE, beat_body, &b);
        deadline_end(&deadline);
        if (r == -ERR_FENCED)
                fs_session_lose(s);
        return r;
}

static bool is_over_locked(struct fs_session *s)
{
        lock_assert_held(&s->lock);
        return s->stop || fs_session_lost(s);
}

static bool is_over(struct fs_session *s)
{
        LOCK_GUARD(&s->lock);
        return is_over_locked(s);
}

/* Waits until the next heartbeat is due, or the watch fired: not after a heartbeat that failed, whose watch
 * fires, too. Returns whether a new watch is needed. */
static bool wait_for_next(struct fs_session *s, bool committed)
{
        struct timespec until = thread_deadline(s->opts.heartbeat_ms * UINT64_C(1000000));

        LOCK_GUARD(&s->lock);
        while (!is_over_locked(s) && !(s->fired && committed) && lock_wait_until(&s->lock, &s->wake, &until))
                ;
        return s->fired || !s->watch;
}

static void *heartbeat_main(void *arg)
{
        struct fs_session *s = arg;
        bool watch = true;

        while (!is_over(s))
                watch = wait_for_next(s, beat(s, watch) >= 0);
        return NULL;
}

int session_heartbeat_start(struct fs_session *s)
{
        return thread_start(&s->thread, heartbeat_main, s);
}

static void request_stop(struct fs_session *s)
{
        LOCK_GUARD(&s->lock);
        s->stop = true;
        pthread_cond_signal(&s->wake);
}

void session_heartbeat_stop(struct fs_session *s)
{
        request_stop(s);
        pthread_join(s->thread, NULL);
        kv_unwatch(s->watch);
        s->watch = NULL;
}

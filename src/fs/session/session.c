/* SPDX-License-Identifier: MIT */
/* A session from registration to its end, and the functions of it that other folders call. */
#include "base/log.h"
#include "base/rng.h"
#include "base/thread.h"
#include "fs/session/internal.h"
#include "record/counter.h"
#include "record/session_table.h"

_Static_assert(FS_FRESH_RANGES == REC_NUMBER_RANGES, "filled in by rec_numbers_keys");

bool fs_session_exclusive(const struct fs_session *s)
{
        return s->opts.exclusive;
}

const uint8_t *fs_session_pid(const struct fs_session *s)
{
        return s->pid;
}

bool fs_session_lost(const struct fs_session *s)
{
        return atomic_load_explicit(&s->lost, memory_order_relaxed);
}

void fs_session_lose(struct fs_session *s)
{
        if (!atomic_exchange(&s->lost, true))
                log_error("%s: %s; every call fails from now on, unmount it", s->opts.mountpoint,
                          err_str(ERR_FENCED));
}

void fs_session_fence_key(const struct fs_session *s, struct fmt_key *ret)
{
        rec_session_fence_key(s->pid, ret);
}

void fs_session_batch_key(const struct fs_session *s, struct fmt_key *ret)
{
        rec_session_batch_key(s->pid, ret);
}

void fs_session_take_numbers(struct fs_session *s, uint64_t *ret_first, uint64_t *ret_end)
{
        *ret_first = s->ino_first;
        *ret_end = s->ino_end;
        s->ino_first = s->ino_end;
}

void fs_session_fresh(const struct fs_session *s, struct fmt_key begin[FS_FRESH_RANGES],
                      struct fmt_key end[FS_FRESH_RANGES])
{
        rec_numbers_keys(s->ino_first, s->ino_end, begin, end);
}

/* ---- life --------------------------------------------------------------------------------------- */

static void session_free(struct fs_session *s)
{
        kv_unwatch(s->watch);
        pthread_cond_destroy(&s->wake);
        lock_destroy(&s->lock);
        free((char *)s->opts.store);
        free((char *)s->opts.mountpoint);
        free(s);
}

DEFINE_CLEANUP(struct fs_session, session_free);

static void pid_choose(uint8_t pid[FMT_PID_SIZE])
{
        do
                rng_system(pid, FMT_PID_SIZE);
        while (!fmt_pid_valid(pid));
}

static struct fs_session *session_new(struct kv_store *store, const struct fs_session_opts *opts)
{
        _cleanup_(session_free_ptr) struct fs_session *s = calloc(1, sizeof(*s));

        if (!s)
                return NULL;
        lock_init(&s->lock);
        thread_cond_init(&s->wake);
        s->store = store;
        s->opts = *opts;
        s->opts.store = strdup(opts->store);
        s->opts.mountpoint = strdup(opts->mountpoint);
        if (!s->opts.store || !s->opts.mountpoint)
                return NULL;
        if (s->opts.heartbeat_ms == 0)
                s->opts.heartbeat_ms = FS_HEARTBEAT_MS;
        s->clock = opts->clock ? opts->clock : &clock_system;
        pid_choose(s->pid);
        return steal_ptr(s);
}

int fs_session_open(struct kv_store *store, const struct fs_session_opts *opts, struct fs_session **ret,
                    struct err_text *text)
{
        _cleanup_(session_free_ptr) struct fs_session *s = session_new(store, opts);
        int r;

        if (!s)
                return err_set(text, ENOMEM, "no memory");
        r = session_register(s, text);
        if (r < 0)
                return r;
        r = rec_session_fence(store, s->pid);
        if (r >= 0)
                r = session_heartbeat_start(s);
        if (r < 0) {
                kv_set_fence(store, slice_of(NULL, 0));
                rec_session_evict(store, s->pid, NULL);
                return err_set(text, -r, "cannot register the mount: %s", err_str(r));
        }
        *ret = steal_ptr(s);
        return 0;
}

/* The fence stays, because nothing may follow. It also ends a second run when the first one's outcome was
 * unknown. */
static int unregister(struct fs_session *s)
{
        struct deadline deadline;
        int r;

        deadline_begin(&deadline, SESSION_TIMEOUT_MS);
        r = rec_session_evict(s->store, s->pid, NULL);
        deadline_end(&deadline);
        return r == -ENOENT || r == -ERR_FENCED ? 0 : r;
}

int fs_session_close(struct fs_session *s, bool keep)
{
        int r;

        if (!s)
                return 0;
        session_heartbeat_stop(s);
        r = keep ? 0 : unregister(s);
        session_free(s);
        return r;
}

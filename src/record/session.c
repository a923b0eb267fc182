/* SPDX-License-Identifier: MIT */
#include "record/session.h"

/* Behind kv_run's markers, which have smaller numbers. */
#define BATCH_MARKER 0xff

/* ---- one mount ---------------------------------------------------------------------------------- */

int rec_session_set(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE], const struct fmt_process *entry)
{
        uint8_t value[FMT_SMALL_MAX];
        struct fmt_key k;

        fmt_key_process(&k, pid);
        return kv_set(t, fmt_slice(&k), slice_of(value, fmt_process_encode(entry, value)));
}

int rec_session_exists(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE], unsigned flags)
{
        struct slice value;
        struct fmt_key k;
        int r;

        fmt_key_process(&k, pid);
        r = kv_get(t, fmt_slice(&k), flags, &value);
        if (r == -ENOENT)
                return 0;
        return r < 0 ? r : 1;
}

int rec_session_clear(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE])
{
        struct fmt_key entry, status, end;
        int r;

        fmt_key_process(&entry, pid);
        r = kv_clear(t, fmt_slice(&entry));
        if (r < 0)
                return r;
        fmt_key_status(&status, pid);
        fmt_key_status_end(&end, pid);
        return kv_clear_range(t, fmt_slice(&status), fmt_slice(&end));
}

int rec_session_watch(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE], kv_watch_fn fn, void *arg,
                      struct kv_watch **ret)
{
        struct fmt_key k;

        fmt_key_process(&k, pid);
        return kv_watch(t, fmt_slice(&k), fn, arg, ret);
}

int rec_status_set(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE], const struct fmt_status *status)
{
        uint8_t value[FMT_SMALL_MAX];
        struct fmt_key k;

        fmt_key_status(&k, pid);
        return kv_set(t, fmt_slice(&k), slice_of(value, fmt_status_encode(status, value)));
}

int rec_status_get(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE], struct fmt_status *ret)
{
        struct slice value;
        struct fmt_key k;
        int r;

        fmt_key_status(&k, pid);
        r = kv_get(t, fmt_slice(&k), 0, &value);
        return r < 0 ? r : fmt_status_decode(value, ret);
}

int rec_status_disturb(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE])
{
        struct fmt_key k;

        fmt_key_status(&k, pid);
        return kv_conflict_key(t, KV_CONFLICT_WRITE, fmt_slice(&k));
}

/* ---- keys that a store uses itself -------------------------------------------------------------- */

int rec_session_fence(struct kv_store *store, const uint8_t pid[FMT_PID_SIZE])
{
        struct fmt_key entry, status;
        int r;

        fmt_key_process(&entry, pid);
        r = kv_set_fence(store, fmt_slice(&entry));
        if (r < 0)
                return r;
        fmt_key_status(&status, pid);
        return kv_set_markers(store, fmt_slice(&status));
}

void rec_session_fence_key(const uint8_t pid[FMT_PID_SIZE], struct fmt_key *ret)
{
        fmt_key_process(ret, pid);
}

void rec_session_batch_key(const uint8_t pid[FMT_PID_SIZE], struct fmt_key *ret)
{
        fmt_key_status(ret, pid);
        ret->data[ret->len++] = BATCH_MARKER;
}

/* ---- all mounts --------------------------------------------------------------------------------- */

void rec_sessions_start(struct kv_txn *t, struct rec_sessions *r, bool snapshot)
{
        r->half = 0;
        for (unsigned i = 0; i < 2; i++) {
                fmt_key_processes(i, &r->begin[i], &r->end[i]);
                kv_range_start(t, &r->range[i],
                               &(struct kv_range_opts){ .begin = fmt_slice(&r->begin[i]),
                                                        .end = fmt_slice(&r->end[i]),
                                                        .snapshot = snapshot,
                                                        .mode = KV_ALL });
        }
}

int rec_sessions_next(struct rec_sessions *r, struct fmt_scratch *scratch, struct rec_session *ret)
{
        struct fmt_parsed_key parsed;
        struct slice key, value;
        int q;

        while (r->half < 2) {
                q = kv_range_next(&r->range[r->half], &key, &value);
                if (q < 0)
                        return q;
                if (q == 0) {
                        r->half++;
                        continue;
                }
                if (fmt_key_parse(key, &parsed) < 0)
                        continue; /* not an entry: left to fsck */
                *ret = (struct rec_session){ .damaged = false };
                memcpy(ret->pid, parsed.pid, FMT_PID_SIZE);
                if (fmt_process_decode(value, scratch, &ret->entry) < 0) {
                        ret->damaged = true;
                        ret->entry = (struct fmt_process){ 0 };
                }
                return 1;
        }
        return 0;
}

void rec_sessions_end(struct rec_sessions *r)
{
        kv_range_end(&r->range[0]);
        kv_range_end(&r->range[1]);
}

int rec_session_is_only(struct kv_txn *t, const uint8_t *pid)
{
        _cleanup_sessions_ struct rec_sessions sessions;
        struct fmt_scratch scratch;
        struct rec_session s;
        int r;

        rec_sessions_start(t, &sessions, false);
        while ((r = rec_sessions_next(&sessions, &scratch, &s)) > 0)
                if (!pid || memcmp(s.pid, pid, FMT_PID_SIZE) != 0)
                        return 0;
        return r < 0 ? r : 1;
}

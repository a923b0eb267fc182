/* SPDX-License-Identifier: MIT */
#include "record/session_table.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "record/counter.h"

/* ---- listing ------------------------------------------------------------------------------------ */

/* Mounts are collected first: a transaction that runs again must not call the callback twice for one
 * mount. */
struct listed {
        struct rec_session session;
        uint8_t value[FMT_SMALL_MAX]; /* the entry, encoded */
        size_t len;
};

struct list {
        struct listed *items;
        size_t n, cap;
};

static int list_add(struct list *l, const struct rec_session *s)
{
        struct listed *item;

        if (array_reserve(&l->items, &l->cap, l->n + 1) < 0)
                return -ENOMEM;
        item = &l->items[l->n++];
        item->session = *s;
        item->len = s->damaged ? 0 : fmt_process_encode(&s->entry, item->value);
        return 0;
}

static int list_entries(struct kv_txn *t, struct list *l)
{
        _cleanup_sessions_ struct rec_sessions sessions;
        struct fmt_scratch scratch;
        struct rec_session s;
        int r;

        rec_sessions_start(t, &sessions, false);
        while ((r = rec_sessions_next(&sessions, &scratch, &s)) > 0) {
                r = list_add(l, &s);
                if (r < 0)
                        return r;
        }
        return r;
}

/* An absent or damaged heartbeat counts as 0: it will not advance. */
static int read_heartbeat(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE], uint64_t *ret)
{
        struct fmt_status status;
        int r = rec_status_get(t, pid, &status);

        if (r < 0 && r != -ENOENT && r != -ERR_CORRUPT)
                return r;
        *ret = r < 0 ? 0 : status.heartbeat;
        return 0;
}

static int list_body(struct kv_txn *t, void *arg)
{
        struct list *l = arg;
        int r;

        l->n = 0;
        r = list_entries(t, l);
        for (size_t i = 0; r >= 0 && i < l->n; i++)
                r = read_heartbeat(t, l->items[i].session.pid, &l->items[i].session.heartbeat);
        return r;
}

int rec_session_each(struct kv_store *store, rec_session_fn fn, void *arg)
{
        struct list l = { 0 };
        int r = kv_run(store, KV_READ, list_body, &l);

        for (size_t i = 0; r == 0 && i < l.n; i++) {
                struct listed *item = &l.items[i];
                struct fmt_scratch scratch;

                if (!item->session.damaged)
                        r = fmt_process_decode(slice_of(item->value, item->len), &scratch,
                                               &item->session.entry);
                if (r == 0)
                        r = fn(&item->session, arg);
        }
        free(l.items);
        return r;
}

/* ---- evicting ----------------------------------------------------------------------------------- */

struct evict {
        const uint8_t *pid;
        const uint64_t *seen;
        bool tried; /* an earlier run may have committed */
};

/* The entry is read with conflict, and so it is by every transaction of the mount: each of them comes before
 * this one, or fails. */
static int evict_body(struct kv_txn *t, void *arg)
{
        struct evict *e = arg;
        uint64_t heartbeat;
        int exists, r;

        exists = rec_session_exists(t, e->pid, 0);
        if (exists < 0)
                return exists;
        r = read_heartbeat(t, e->pid, &heartbeat);
        if (r < 0)
                return r;
        if (exists && e->seen && heartbeat != *e->seen)
                return -EBUSY;
        r = rec_session_clear(t, e->pid);
        if (r < 0)
                return r;
        if (!exists)
                return e->tried ? 0 : 1;
        e->tried = true;
        return 0;
}

int rec_session_evict(struct kv_store *store, const uint8_t pid[FMT_PID_SIZE], const uint64_t *seen)
{
        struct evict e = { .pid = pid, .seen = seen };
        int r = kv_run(store, KV_WRITE | KV_IDEMPOTENT | KV_RESERVE, evict_body, &e);

        return r > 0 ? -ENOENT : r;
}

/* ---- clearing ----------------------------------------------------------------------------------- */

static int any_body(struct kv_txn *t, void *arg)
{
        _cleanup_range_ struct kv_range range = KV_RANGE_NONE;
        const struct kv_range_opts *opts = arg;
        struct slice key, value;

        kv_range_start(t, &range, opts);
        return kv_range_next(&range, &key, &value);
}

static int clear_body(struct kv_txn *t, void *arg)
{
        const struct kv_range_opts *opts = arg;

        return kv_clear_range(t, opts->begin, opts->end);
}

int rec_session_clear_all(struct kv_store *store)
{
        struct fmt_key first[2], last[2];
        struct kv_range_opts opts = { .limit = 1 };
        int r;

        fmt_key_processes(0, &first[0], &last[0]);
        fmt_key_processes(1, &first[1], &last[1]);
        opts.begin = fmt_slice(&first[0]);
        opts.end = fmt_slice(&last[1]);
        r = kv_run(store, KV_READ, any_body, &opts);
        return r > 0 ? kv_run(store, KV_WRITE | KV_IDEMPOTENT | KV_RESERVE, clear_body, &opts) : r;
}

static int probe_body(struct kv_txn *t, void *arg)
{
        return rec_counter_add(t, FMT_COUNTER_INODES, 0);
}

int rec_probe_write(struct kv_store *store)
{
        return kv_run(store, KV_WRITE | KV_IDEMPOTENT | KV_RESERVE, probe_body, NULL);
}

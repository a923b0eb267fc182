/* SPDX-License-Identifier: MIT */
#include "record/session.h"

#include "base/cleanup.h"
#include "record/counter.h"

#include <string.h>

void rec_registry_start(struct kv_txn *t, struct rec_registry_read *r, bool snapshot)
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

int rec_registry_next(struct rec_registry_read *r, struct fmt_scratch *scratch, struct rec_mount *ret)
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
                        continue; /* nobody's: left to fsck */
                *ret = (struct rec_mount){ .damaged = false };
                memcpy(ret->pid, parsed.pid, FMT_PID_SIZE);
                if (fmt_process_decode(value, scratch, &ret->entry) < 0) {
                        ret->damaged = true;
                        ret->entry = (struct fmt_process){ 0 };
                }
                return 1;
        }
        return 0;
}

void rec_registry_end(struct rec_registry_read *r)
{
        kv_range_end(&r->range[0]);
        kv_range_end(&r->range[1]);
}

int rec_registry_alone(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE])
{
        struct rec_registry_read read;
        struct fmt_scratch scratch;
        struct rec_mount m;
        bool alone = true;
        int r;

        rec_registry_start(t, &read, false);
        while (alone && (r = rec_registry_next(&read, &scratch, &m)) > 0)
                alone = memcmp(m.pid, pid, FMT_PID_SIZE) == 0;
        rec_registry_end(&read);
        return alone && r < 0 ? r : alone;
}

/* ---- listing ------------------------------------------------------------------------------------ */

/* Mounts are collected first: a callback must not be called twice for one because the transaction ran
 * again. */
struct listed {
        struct rec_mount mount;
        uint8_t value[FMT_SMALL_MAX];
        size_t len;
};

struct list {
        struct listed *items;
        size_t n, cap;
};

static int list_add(struct list *l, const struct rec_mount *m)
{
        struct listed *more, *item;

        if (l->n == l->cap) {
                size_t cap = l->cap > 0 ? 2 * l->cap : 8;

                more = reallocarray(l->items, cap, sizeof(*more));
                if (!more)
                        return -ENOMEM;
                l->items = more;
                l->cap = cap;
        }
        item = &l->items[l->n++];
        item->mount = *m;
        item->len = m->damaged ? 0 : fmt_process_encode(&m->entry, item->value);
        return 0;
}

/* Absent or damaged ones count as 0: there is nothing to wait for then. */
static int read_heartbeat(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE], uint64_t *ret)
{
        struct fmt_status status;
        struct slice value;
        struct fmt_key key;
        int r;

        *ret = 0;
        fmt_key_status(&key, pid);
        r = kv_get(t, fmt_slice(&key), 0, &value);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (fmt_status_decode(value, &status) >= 0)
                *ret = status.heartbeat;
        return 0;
}

static int list_body(struct kv_txn *t, void *arg)
{
        struct list *l = arg;
        struct rec_registry_read read;
        struct fmt_scratch scratch;
        struct rec_mount m;
        int r;

        l->n = 0;
        rec_registry_start(t, &read, false);
        while ((r = rec_registry_next(&read, &scratch, &m)) > 0) {
                r = list_add(l, &m);
                if (r < 0)
                        break;
        }
        rec_registry_end(&read);
        for (size_t i = 0; r >= 0 && i < l->n; i++)
                r = read_heartbeat(t, l->items[i].mount.pid, &l->items[i].mount.heartbeat);
        return r;
}

int rec_mounts(struct kv_store *store, rec_mount_fn fn, void *arg)
{
        struct list l = { 0 };
        int r = kv_run(store, KV_READ, list_body, &l);

        for (size_t i = 0; r == 0 && i < l.n; i++) {
                struct listed *item = &l.items[i];
                struct fmt_scratch scratch;

                if (!item->mount.damaged)
                        r = fmt_process_decode(slice_of(item->value, item->len), &scratch,
                                               &item->mount.entry);
                if (r == 0)
                        r = fn(&item->mount, arg);
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

/* The entry is read with conflict, and every transaction of the mount reads it too: theirs come before
 * this one, or not at all. */
static int evict_body(struct kv_txn *t, void *arg)
{
        struct evict *e = arg;
        struct fmt_key entry, status, status_end;
        struct slice value;
        uint64_t heartbeat;
        bool absent;
        int r;

        fmt_key_process(&entry, e->pid);
        fmt_key_status(&status, e->pid);
        fmt_key_status_end(&status_end, e->pid);
        r = kv_get(t, fmt_slice(&entry), 0, &value);
        if (r < 0 && r != -ENOENT)
                return r;
        absent = r == -ENOENT;
        r = read_heartbeat(t, e->pid, &heartbeat);
        if (r < 0)
                return r;
        if (!absent && e->seen && heartbeat != *e->seen)
                return -EBUSY;
        r = kv_clear(t, fmt_slice(&entry));
        if (r >= 0)
                r = kv_clear_range(t, fmt_slice(&status), fmt_slice(&status_end));
        if (r < 0)
                return r;
        if (absent)
                return e->tried ? 0 : 1;
        e->tried = true;
        return 0;
}

int rec_evict(struct kv_store *store, const uint8_t pid[FMT_PID_SIZE], const uint64_t *seen)
{
        struct evict e = { .pid = pid, .seen = seen };
        int r = kv_run(store, KV_WRITE | KV_IDEMPOTENT | KV_RESERVE, evict_body, &e);

        return r > 0 ? -ENOENT : r;
}

static int probe_body(struct kv_txn *t, void *arg)
{
        return rec_counter_add(t, FMT_COUNTER_INODES, 0);
}

int rec_probe_write(struct kv_store *store)
{
        return kv_run(store, KV_WRITE | KV_IDEMPOTENT | KV_RESERVE, probe_body, NULL);
}

/* ---- clearing ----------------------------------------------------------------------------------- */

static int any_body(struct kv_txn *t, void *arg)
{
        const struct kv_range_opts *opts = arg;
        struct slice key, value;
        struct kv_range range;
        int r;

        kv_range_start(t, &range, opts);
        r = kv_range_next(&range, &key, &value);
        kv_range_end(&range);
        return r;
}

static int clear_body(struct kv_txn *t, void *arg)
{
        const struct kv_range_opts *opts = arg;

        return kv_clear_range(t, opts->begin, opts->end);
}

int rec_registry_clear(struct kv_store *store)
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

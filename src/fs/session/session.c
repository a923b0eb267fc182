/* SPDX-License-Identifier: MIT */
#include "fs/session/session.h"
#include "record/counter.h"
#include "record/garbage.h"
#include "record/super.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/rng.h"
#include "base/thread.h"
#include "fs/gc/gc.h"
#include "fs/state.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define BATCH_MARKER 0xff

/* How often to look whether a mount that is in the way has gone. */
#define WAIT_POLL_MS 50u

/* How long a heartbeat, and unregistering, waits for a store that is away: an unmount has to end. */
#define TIMEOUT_MS 10000u

struct fs_session {
        struct kv_store *store;
        struct fs_session_opts opts;
        const struct clock *clock;
        uint8_t pid[FMT_PID_SIZE];
        struct fmt_key entry_key, status_key;
        uint64_t ino_first, ino_end;
        uint64_t epoch; /* acknowledged */
        atomic_bool lost;

        pthread_t thread;
        uint64_t heartbeat;     /* the thread's, once it runs */
        struct kv_watch *watch; /* of the own entry; the same */

        pthread_mutex_t lock; /* protects what follows */
        pthread_cond_t wake;
        bool stop;
        bool fired; /* the watch */
};

bool fs_session_exclusive(const struct fs_session *s)
{
        return s->opts.exclusive;
}

const uint8_t *fs_session_pid(const struct fs_session *s)
{
        return s->pid;
}

/* Beside kv_run's markers, which have smaller numbers, and gone with them. */
void fs_session_batch_key(const struct fs_session *s, struct fmt_key *ret)
{
        *ret = s->status_key;
        ret->data[ret->len++] = BATCH_MARKER;
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
        uint64_t first = s->ino_first, next = s->ino_end;

        fmt_key_inode(&begin[0], first);
        fmt_key_inode(&end[0], next);
        fmt_key_dirent(&begin[1], first, slice_of(NULL, 0));
        fmt_key_dirent(&end[1], next, slice_of(NULL, 0));
        fmt_key_block(&begin[2], first, 0);
        fmt_key_block(&end[2], next, 0);
        fmt_key_garbage(&begin[3], first);
        fmt_key_garbage(&end[3], next);
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

/* ---- who is gone -------------------------------------------------------------------------------- */

static bool same_text(struct slice text, const char *own)
{
        return *own && slice_eq(text, slice_str(own));
}

static bool is_gone_here(const struct fmt_process *entry, const struct process_id *self,
                         bool (*is_gone)(const struct fmt_process *))
{
        return same_text(entry->host, self->host) && same_text(entry->boot_id, self->boot_id) &&
               entry->pid_namespace != 0 && entry->pid_namespace == self->pid_namespace && is_gone(entry);
}

static bool default_is_gone(const struct fmt_process *entry)
{
        return process_is_gone(entry->unix_pid, entry->start_time);
}

/* What ran before this machine was started is gone, but only of this machine can that be said; the name of
 * a host alone does not tell two apart. */
static bool is_of_former_boot(const struct fmt_process *entry, const struct process_id *self, bool local)
{
        return local && *self->boot_id && entry->boot_id.len > 0 && !same_text(entry->boot_id, self->boot_id);
}

bool fs_mount_is_gone(const struct fmt_process *entry, const struct process_id *self, bool local)
{
        return is_of_former_boot(entry, self, local) || is_gone_here(entry, self, default_is_gone);
}

/* A process that is gone does not come back, so what was seen in one transaction holds in the next. Should
 * its last commit still be on its way, it comes before the eviction or fails. */
static int sweep_one(const struct rec_mount *m, void *arg)
{
        struct fs_session *s = arg;
        const struct process_id *self = &s->opts.self;
        int r;

        if (m->damaged || !(is_of_former_boot(&m->entry, self, !kv_limits(s->store)->remote) ||
                            is_gone_here(&m->entry, self, s->opts.is_gone)))
                return 0;
        r = rec_evict(s->store, m->pid, NULL);
        if (r == 0)
                log_info("cleared the registration of a mount at %.*s, whose process is gone",
                         (int)m->entry.mountpoint.len, m->entry.mountpoint.data);
        return r == -ENOENT ? 0 : r;
}

/* ---- registering -------------------------------------------------------------------------------- */

struct registration {
        struct fs_session *s;
        struct fmt_meta meta;
        struct fmt_scratch scratch;
        const char *what; /* was being read */
        /* What is in the way. */
        struct err_text *text;
        bool here; /* on this machine */
};

/* TEXT from the store in a form that is harmless to a terminal. */
static const char *printable(struct slice text, char *buf, size_t cap)
{
        size_t n = text.len < cap - 1 ? text.len : cap - 1;

        for (size_t i = 0; i < n; i++)
                buf[i] = text.data[i] < 0x20 || text.data[i] == 0x7f ? '?' : (char)text.data[i];
        buf[n] = '\0';
        return buf;
}

static int refuse(struct registration *g, const struct rec_mount *m)
{
        const char *store = g->s->opts.store;
        char host[65], dir[129], since[32] = "?", pid[2 * FMT_PID_SIZE + 1];
        struct tm tm;

        for (size_t i = 0; i < FMT_PID_SIZE; i++)
                snprintf(pid + 2 * i, 3, "%02x", m->pid[i]);
        if (m->damaged)
                return err_set(g->text, EBUSY,
                               "the table of mounts has a damaged entry; if nothing is "
                               "mounted, 'ashlar evict %s %s' clears it",
                               store, pid);
        if (gmtime_r(&m->entry.registered.tv_sec, &tm))
                strftime(since, sizeof(since), "%Y-%m-%d %H:%M:%S UTC", &tm);
        g->here = same_text(m->entry.boot_id, g->s->opts.self.boot_id);
        return err_set(g->text, EBUSY,
                       "the store is in use by pid %" PRIu64 " on %s, mounted %s at %s since %s; if that "
                       "mount is dead, 'ashlar evict %s %s' clears it",
                       m->entry.unix_pid, printable(m->entry.host, host, sizeof(host)),
                       m->entry.exclusive ? "exclusively" : "shared",
                       printable(m->entry.mountpoint, dir, sizeof(dir)), since, store, pid);
}

/* 1 if an earlier run of this registration was committed. The whole table is read with conflict, so that
 * of two that exclude one another the second to commit sees the first. */
static int check_table(struct kv_txn *t, struct registration *g)
{
        struct rec_registry_read read;
        struct fmt_scratch scratch;
        struct rec_mount m;
        int r, refused = 0;

        rec_registry_start(t, &read, false);
        while ((r = rec_registry_next(&read, &scratch, &m)) > 0) {
                if (memcmp(m.pid, g->s->pid, FMT_PID_SIZE) == 0)
                        break;
                if (refused == 0 && (g->s->opts.exclusive || m.damaged || m.entry.exclusive))
                        refused = refuse(g, &m);
        }
        rec_registry_end(&read);
        if (r > 0) {
                g->s->ino_first = m.entry.ino_first;
                g->s->ino_end = m.entry.ino_end;
        }
        return r != 0 ? r : refused;
}

static int set_status(struct kv_txn *t, const struct fs_session *s, uint64_t heartbeat)
{
        const struct fmt_status status = { .heartbeat = heartbeat, .epoch_acknowledged = s->epoch };
        uint8_t value[FMT_SMALL_MAX];

        return kv_set(t, fmt_slice(&s->status_key), slice_of(value, fmt_status_encode(&status, value)));
}

static int set_entry(struct kv_txn *t, const struct fs_session *s)
{
        const struct fs_session_opts *o = &s->opts;
        const struct fmt_process entry = {
                .host = slice_str(o->self.host),
                .boot_id = slice_str(o->self.boot_id),
                .mountpoint = slice_str(o->mountpoint),
                .version = slice_str(ASHLAR_VERSION),
                .unix_pid = o->self.pid,
                .start_time = o->self.start_time,
                .pid_namespace = o->self.pid_namespace,
                .registered = s->clock->now(s->clock),
                .exclusive = o->exclusive,
                .ino_first = s->ino_first,
                .ino_end = s->ino_end,
        };
        uint8_t value[FMT_SMALL_MAX];

        return kv_set(t, fmt_slice(&s->entry_key), slice_of(value, fmt_process_encode(&entry, value)));
}

/* Nothing of an earlier epoch can be in use by a mount that begins in this one, so it acknowledges it at
 * once. */
static int register_body(struct kv_txn *t, void *arg)
{
        struct registration *g = arg;
        struct fs_session *s = g->s;
        struct rec_epoch_read epoch_read;
        int r;

        g->what = "metadata block";
        r = rec_super_read(t, 0, &g->scratch, &g->meta);
        if (r < 0)
                return r;
        g->what = "counters";
        rec_epoch_start(t, &epoch_read);
        r = check_table(t, g);
        if (r != 0)
                return r < 0 ? r : 0;
        r = rec_epoch_wait(t, &epoch_read, &s->epoch);
        if (r >= 0)
                r = rec_numbers_take(t, &s->ino_first, &s->ino_end);
        if (r >= 0)
                r = set_entry(t, s);
        return r < 0 ? r : set_status(t, s, 0);
}

static void pid_choose(uint8_t pid[FMT_PID_SIZE])
{
        do
                rng_system(pid, FMT_PID_SIZE);
        while (!fmt_pid_valid(pid));
}

static int register_once(struct fs_session *s, struct registration *g)
{
        int r = rec_mounts(s->store, sweep_one, s);

        /* Twice is the same as once: the table tells. */
        return r < 0 ? r : kv_run(s->store, KV_WRITE | KV_IDEMPOTENT | KV_RESERVE, register_body, g);
}

static int registering_failed(int r, const struct registration *g)
{
        if (r == -EBUSY && g->text && g->text->text[0])
                return r;
        if (r == -ERR_NO_FS || r == -ERR_NEWER || r == -ERR_CORRUPT)
                return rec_super_error(r, &g->meta, g->what, g->text);
        return err_set(g->text, -r, "cannot register the mount: %s", err_str(r));
}

static int register_mount(struct fs_session *s, struct err_text *text)
{
        uint64_t deadline_ns = s->clock->monotonic_ns(s->clock) + (uint64_t)s->opts.wait_ms * 1000000;
        struct registration g = { .s = s, .text = text };
        int r;

        if (text)
                text->text[0] = '\0';
        for (;;) {
                g.here = false;
                r = register_once(s, &g);
                if (r != -EBUSY || !g.here || s->clock->monotonic_ns(s->clock) >= deadline_ns)
                        break;
                nanosleep(&(struct timespec){ .tv_nsec = WAIT_POLL_MS * 1000000L }, NULL);
        }
        return r < 0 ? registering_failed(r, &g) : 0;
}

/* ---- heartbeats --------------------------------------------------------------------------------- */

static void on_fire(int err, void *arg)
{
        struct fs_session *s = arg;

        pthread_mutex_lock(&s->lock);
        s->fired = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
}

/* What is watched is the value that this transaction sees, and the fence sees the same. */
static int watch_entry(struct kv_txn *t, struct fs_session *s)
{
        int r;

        kv_unwatch(s->watch); /* fired, or of a run that failed */
        s->watch = NULL;
        pthread_mutex_lock(&s->lock);
        s->fired = false;
        pthread_mutex_unlock(&s->lock);
        r = kv_watch(t, fmt_slice(&s->entry_key), on_fire, s, &s->watch);
        return r == -EMFILE ? 0 : r; /* the heartbeats will see it too, later */
}

struct beat {
        struct fs_session *s;
        bool watch;
};

static int beat_body(struct kv_txn *t, void *arg)
{
        struct beat *b = arg;
        int r = b->watch ? watch_entry(t, b->s) : 0;

        return r < 0 ? r : set_status(t, b->s, b->s->heartbeat);
}

/* An error of the store says nothing about the registration: the next heartbeat tries again. */
static int beat(struct fs_session *s, bool watch)
{
        struct beat b = { .s = s, .watch = watch };
        struct deadline deadline;
        int r;

        s->heartbeat++;
        deadline_begin(&deadline, TIMEOUT_MS);
        r = kv_run(s->store, KV_WRITE | KV_IDEMPOTENT | KV_RESERVE, beat_body, &b);
        deadline_end(&deadline);
        if (r == -ERR_FENCED)
                fs_session_lose(s);
        return r;
}

static void *session_main(void *arg)
{
        struct fs_session *s = arg;
        bool watch = true;

        pthread_mutex_lock(&s->lock);
        while (!s->stop && !fs_session_lost(s)) {
                struct timespec until;
                int r;

                pthread_mutex_unlock(&s->lock);
                r = beat(s, watch);
                until = thread_deadline(s->opts.heartbeat_ms * UINT64_C(1000000));
                pthread_mutex_lock(&s->lock);
                /* The watch of a transaction that failed has fired, too. */
                while (!s->stop && !(s->fired && r >= 0) && !fs_session_lost(s) &&
                       pthread_cond_timedwait(&s->wake, &s->lock, &until) != ETIMEDOUT)
                        ;
                watch = s->fired || !s->watch;
        }
        pthread_mutex_unlock(&s->lock);
        return NULL;
}

/* ---- life --------------------------------------------------------------------------------------- */

static void session_free(struct fs_session *s)
{
        kv_unwatch(s->watch);
        pthread_cond_destroy(&s->wake);
        pthread_mutex_destroy(&s->lock);
        free((char *)s->opts.store);
        free((char *)s->opts.mountpoint);
        free(s);
}

DEFINE_CLEANUP(struct fs_session, session_free);

static struct fs_session *session_new(struct kv_store *store, const struct fs_session_opts *opts)
{
        struct fs_session *s = calloc(1, sizeof(*s));

        if (!s)
                return NULL;
        s->store = store;
        s->opts = *opts;
        s->opts.store = strdup(opts->store);
        s->opts.mountpoint = strdup(opts->mountpoint);
        if (!s->opts.is_gone)
                s->opts.is_gone = default_is_gone;
        if (s->opts.heartbeat_ms == 0)
                s->opts.heartbeat_ms = FS_HEARTBEAT_MS;
        s->clock = opts->clock ? opts->clock : &clock_system;
        pid_choose(s->pid);
        fmt_key_process(&s->entry_key, s->pid);
        fmt_key_status(&s->status_key, s->pid);
        pthread_mutex_init(&s->lock, NULL);
        thread_cond_init(&s->wake);
        if (!s->opts.store || !s->opts.mountpoint) {
                session_free(s);
                return NULL;
        }
        return s;
}

/* From here on every transaction of the store is the mount's. */
static int take_over(struct fs_session *s)
{
        int r = kv_set_fence(s->store, fmt_slice(&s->entry_key));

        return r < 0 ? r : kv_set_markers(s->store, fmt_slice(&s->status_key));
}

int fs_session_open(struct kv_store *store, const struct fs_session_opts *opts, struct fs_session **ret,
                    struct err_text *text)
{
        _cleanup_(session_free_ptr) struct fs_session *s = session_new(store, opts);
        int r;

        if (!s)
                return err_set(text, ENOMEM, "no memory");
        r = register_mount(s, text);
        if (r < 0)
                return r;
        r = take_over(s);
        if (r >= 0)
                r = thread_start(&s->thread, session_main, s);
        if (r < 0) {
                kv_set_fence(store, slice_of(NULL, 0));
                rec_evict(store, s->pid, NULL);
                return err_set(text, -r, "cannot register the mount: %s", err_str(r));
        }
        *ret = steal_ptr(s);
        return 0;
}

static int unregister(struct fs_session *s)
{
        struct deadline deadline;
        int r;

        deadline_begin(&deadline, TIMEOUT_MS);
        r = rec_evict(s->store, s->pid, NULL);
        deadline_end(&deadline);
        return r;
}

int fs_session_close(struct fs_session *s, bool keep)
{
        int r = 0;

        if (!s)
                return 0;
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
        kv_unwatch(s->watch);
        s->watch = NULL;
        /* The fence stays: nothing may follow. It also ends a second run, when the first had an unknown
         * result. */
        if (!keep)
                r = unregister(s);
        if (r == -ENOENT || r == -ERR_FENCED)
                r = 0;
        session_free(s);
        return r;
}

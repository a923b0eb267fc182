/* SPDX-License-Identifier: MIT */
/* Registering a mount in the session table. */
#include "base/log.h"
#include "fs/session/internal.h"
#include "record/counter.h"
#include "record/garbage.h"
#include "record/session_table.h"
#include "record/super.h"

#include <inttypes.h>
#include <stdio.h>

/* Milliseconds between two looks whether a mount that is in the way has ended. */
#define WAIT_POLL_MS 50u

struct registration {
        struct fs_session *s;
        struct fmt_meta meta;
        struct fmt_scratch scratch;
        const char *what;      /* was being read */
        struct err_text *text; /* describes the mount that is in the way */
        bool here;             /* it is on this machine */
};

/* ---- mounts in the way -------------------------------------------------------------------------- */

/* Copies TEXT from the store in a form that is harmless to a terminal. */
static const char *printable(struct slice text, char *buf, size_t cap)
{
        size_t n = text.len < cap - 1 ? text.len : cap - 1;

        for (size_t i = 0; i < n; i++)
                buf[i] = text.data[i] < 0x20 || text.data[i] == 0x7f ? '?' : (char)text.data[i];
        buf[n] = '\0';
        return buf;
}

static int refuse(struct registration *g, const struct rec_session *m)
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
        g->here = session_same_text(m->entry.boot_id, g->s->opts.self.boot_id);
        return err_set(g->text, EBUSY,
                       "the store is in use by pid %" PRIu64 " on %s, mounted %s at %s since %s; if that "
                       "mount is dead, 'ashlar evict %s %s' clears it",
                       m->entry.unix_pid, printable(m->entry.host, host, sizeof(host)),
                       m->entry.exclusive ? "exclusively" : "shared",
                       printable(m->entry.mountpoint, dir, sizeof(dir)), since, store, pid);
}

/* Reads the whole table with conflict, so that of two mounts that exclude each other the second to commit
 * sees the first. 1: an earlier run of this registration was committed. */
static int check_table(struct kv_txn *t, struct registration *g)
{
        _cleanup_sessions_ struct rec_sessions sessions;
        struct fmt_scratch scratch;
        struct rec_session m;
        int r, refused = 0;

        rec_sessions_start(t, &sessions, false);
        while ((r = rec_sessions_next(&sessions, &scratch, &m)) > 0) {
                if (memcmp(m.pid, g->s->pid, FMT_PID_SIZE) == 0) {
                        g->s->ino_first = m.entry.ino_first;
                        g->s->ino_end = m.entry.ino_end;
                        return 1;
                }
                if (refused == 0 && (g->s->opts.exclusive || m.damaged || m.entry.exclusive))
                        refused = refuse(g, &m);
        }
        return r < 0 ? r : refused;
}

/* A process that has ended does not come back, so a later transaction may rely on it. A commit of that
 * process that is still under way comes before the eviction or fails. */
static int sweep_one(const struct rec_session *m, void *arg)
{
        struct fs_session *s = arg;
        bool local = !kv_limits(s->store)->remote;
        int r;

        if (m->damaged || !session_is_gone(&m->entry, &s->opts.self, local, s->opts.is_gone))
                return 0;
        r = rec_session_evict(s->store, m->pid, NULL);
        if (r == 0)
                log_info("cleared the registration of a mount at %.*s, whose process is gone",
                         (int)m->entry.mountpoint.len, m->entry.mountpoint.data);
        return r == -ENOENT ? 0 : r;
}

/* ---- the entry and the status -------------------------------------------------------------------- */

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

        return rec_session_set(t, s->pid, &entry);
}

/* A mount that begins in an epoch uses nothing of earlier ones, so it acknowledges the epoch at once. */
static int register_body(struct kv_txn *t, void *arg)
{
        struct registration *g = arg;
        struct fs_session *s = g->s;
        struct rec_epoch_read epoch_read;
        struct fmt_status status = { .heartbeat = 0 };
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
        if (r < 0)
                return r;
        r = rec_numbers_take(t, &s->ino_first, &s->ino_end);
        if (r < 0)
                return r;
        r = set_entry(t, s);
        if (r < 0)
                return r;
        status.epoch_acknowledged = s->epoch;
        return rec_status_set(t, s->pid, &status);
}

static int register_once(struct fs_session *s, struct registration *g)
{
        int r = rec_session_each(s->store, sweep_one, s);

        /* Idempotent: check_table finds what an earlier run committed. */
        return r < 0 ? r : kv_run(s->store, KV_WRITE | KV_IDEMPOTENT | KV_RESERVE, register_body, g);
}

static int explain(int r, const struct registration *g)
{
        if (r == -EBUSY && g->text && g->text->text[0])
                return r;
        if (r == -ERR_NO_FS || r == -ERR_NEWER || r == -ERR_CORRUPT)
                return rec_super_error(r, &g->meta, g->what, g->text);
        return err_set(g->text, -r, "cannot register the mount: %s", err_str(r));
}

int session_register(struct fs_session *s, struct err_text *text)
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
        return r < 0 ? explain(r, &g) : 0;
}

/* SPDX-License-Identifier: MIT */
#include "mount/serve.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "format/format.h"
#include "fs/session/session.h"
#include "fuse/mountpoint/mountinfo.h"
#include "fuse/mountpoint/mountpoint.h"
#include "kv/layer/layer.h"
#include "mount/exit_report.h"
#include "mount/signals.h"
#include "mount/store_url.h"
#include "mount/tune.h"
#include "mount/watcher.h"

#include <limits.h>
#include <sys/mount.h>

/* How long to wait for a mount of the same store that is just going away: it has unmounted, so that
 * nobody sees it any more, but is still committing. */
#define STORE_WAIT_MS 10000u

/* How long a store that is away is waited for when mounting, and when it is to be closed, unless the option
 * timeout says so. Longer than a cluster takes to recover, shorter than the time that whoever shuts a machine
 * down gives a process to end (systemd: 90 s). */
#define TIMEOUT_MS 60000u

struct mount {
        const struct mount_job *job;
        bool shared;
        unsigned wait_ms;                /* for a mount that may be going away */
        struct kv_store *bottom, *store; /* the store, and what the file system uses: the same, or over it */
        struct fs_session *session;      /* NULL: the lock does */
        struct fs *fs;
        struct fuse_server *server;
        struct mount_signals *signals;
        int root_err; /* why the root directory cannot be read; 0: it can */
        bool mounted; /* at job->dir, by us */
        int watcher;
        int exit_report; /* -1: nobody can call */
};

/* ---- the store ---------------------------------------------------------------------------------- */

static int has_source(const struct fuse_mountinfo *m, void *arg)
{
        return fuse_mountinfo_is_ashlar(m) && strcmp(m->source, arg) == 0;
}

/* The lock of a local store keeps all others out; elsewhere, and where others are welcome, mounts know of
 * one another by their registrations. */
static bool takes_lock(const struct mount *m)
{
        return !m->shared && store_url_is_local(m->job->url);
}

static int open_store(struct mount *m, struct err_text *text)
{
        const struct mount_job *job = m->job;
        bool rdonly = job->options.flags & MS_RDONLY;
        char host[HOST_NAME_MAX + 1] = "", owner[PATH_MAX + 128];
        struct kv_open_opts opts = { .owner = owner, .wait_ms = m->wait_ms };
        int r;

        gethostname(host, sizeof(host) - 1);
        snprintf(owner, sizeof(owner), "pid %ld on %s, mounted at %s", (long)getpid(), host, job->dir);
        if (takes_lock(m))
                opts.flags = KV_OPEN_EXCLUSIVE;
        r = kv_open(job->url, &opts, &m->bottom, text);
        if (rdonly && takes_lock(m) && (r == -EACCES || r == -EROFS)) {
                opts.flags = KV_OPEN_RDONLY;
                r = kv_open(job->url, &opts, &m->bottom, text);
        }
        m->store = r < 0 ? NULL : m->bottom;
        return r;
}

/* Before anything else that this mount does in the store. */
static int open_session(struct mount *m, struct err_text *text)
{
        const struct mount_job *job = m->job;
        struct fs_session_opts opts = {
                .store = job->url,
                .mountpoint = job->dir,
                .exclusive = !m->shared,
                .wait_ms = m->wait_ms,
        };
        struct err_text why;
        int r;

        if (takes_lock(m))
                return 0;
        process_self(&opts.self);
        r = fs_session_open(m->bottom, &opts, &m->session, &why);
        return r < 0 ? err_set(text, -r, "%s: %s", job->url, why.text) : 0;
}

/* Between a cluster and the write-behind cache: what was read or written needs no round trip again. */
static int open_cache(struct mount *m)
{
        /* Registrations and markers are written past the cache. */
        const struct kv_cache_opts opts = { .prefixes = fmt_prefixes_without_processes() };
        struct fmt_key begin[FS_FRESH_RANGES], end[FS_FRESH_RANGES];
        int r;

        if (!kv_limits(m->bottom)->remote)
                return 0;
        r = kv_cache_open(m->bottom, &opts, &m->store);
        if (r < 0)
                return r;
        fs_session_fresh(m->session, begin, end);
        for (unsigned i = 0; i < FS_FRESH_RANGES && r >= 0; i++)
                r = kv_cache_fresh(m->store, fmt_slice(&begin[i]), fmt_slice(&end[i]));
        return r;
}

static int open_writebehind(struct mount *m, struct err_text *text)
{
        struct kv_writebehind_opts opts = { 0 };
        struct fmt_key sequence, entry;
        int r;

        if (m->session) {
                fs_session_batch_key(m->session, &sequence);
                opts.sequence = fmt_slice(&sequence);
        }
        if (m->shared || (m->job->options.flags & MS_RDONLY))
                return 0;
        r = open_cache(m);
        if (m->store != m->bottom) {
                /* The session has set this for the store at the bottom, which its heartbeats use already. */
                fmt_key_process(&entry, fs_session_pid(m->session));
                opts.fence = fmt_slice(&entry);
        }
        if (r >= 0)
                r = kv_writebehind_open(m->store, &opts, &m->store);
        return r < 0 ? err_set(text, -r, "cannot set up the write-behind cache: %s", err_str(r)) : 0;
}

static unsigned timeout_ms(const struct mount *m)
{
        unsigned timeout_s = m->job->options.timeout_s;

        return timeout_s > 0 ? timeout_s * 1000 : TIMEOUT_MS;
}

/* A store on this machine is never away, however long it takes. */
static void begin_deadline(const struct mount *m, struct deadline *p)
{
        if (!store_url_is_local(m->job->url))
                deadline_begin(p, timeout_ms(m));
}

static void end_deadline(const struct mount *m, struct deadline *p)
{
        if (!store_url_is_local(m->job->url))
                deadline_end(p);
}

static int open_fs(struct mount *m, struct err_text *text)
{
        const struct fs_writeback_opts writeback = { 0 };
        struct fs_open_opts opts = {
                .rdonly = m->job->options.flags & MS_RDONLY,
                .atime = m->job->options.atime,
                .writeback = m->shared ? &writeback : NULL,
        };
        struct err_text why;
        int r;

        /* A mount that everybody can see is not going away. */
        m->wait_ms = fuse_mountinfo_each(has_source, (void *)m->job->url) > 0 ? 0 : STORE_WAIT_MS;
        r = open_store(m, text);
        if (r >= 0)
                r = open_session(m, text);
        if (r >= 0)
                r = open_writebehind(m, text);
        if (r < 0)
                return r;
        opts.session = m->session;
        r = fs_open(m->store, &opts, &m->fs, &why);
        if (r < 0)
                return err_set(text, -r, "%s: %s", m->job->url, why.text);
        /* Who has the lock is alone: what stands in the table is left by shared mounts that died. */
        if (takes_lock(m) && !opts.rdonly)
                (void)rec_registry_clear(m->store);
        return 0;
}

/* ---- being ready -------------------------------------------------------------------------------- */

/* Whoever started us may go on when requests are served, and not before. The mount is not touched for that: a
 * process that waits for its own answer cannot be killed. */
static int on_started(void *arg)
{
        struct mount *m = arg;
        const struct mount_job *job = m->job;
        _cleanup_mountinfo_ struct fuse_mountinfo at = { 0 };
        struct deadline deadline;
        struct fs_attr root;
        int r;

        begin_deadline(m, &deadline);
        r = fs_getattr(m->fs, FMT_ROOT_INO, &root);
        end_deadline(m, &deadline);
        if (r < 0) {
                m->root_err = r;
                return r;
        }
        if (fuse_mountinfo_at(job->dir, &at) == 0 && has_source(&at, (void *)job->url))
                tune_readahead(at.dev);
        log_info("%s is mounted at %s, transport: %s", job->url, job->dir, fuse_server_transport(m->server));
        if (job->ready && job->ready(fuse_server_transport(m->server), job->arg) != 0)
                return -EPIPE;
        return 0;
}

/* Requests under way may wait for a store that is away: from now on not without end. */
static void on_ending(void *arg)
{
        struct mount *m = arg;

        mount_signals_ending(m->signals);
}

/* ---- from begin to end --------------------------------------------------------------------------- */

static int watch_signals(struct mount *m)
{
        const struct mount_signals_opts opts = {
                .url = m->job->url,
                .dir = m->job->dir,
                .server = m->server,
                .store = m->store,
                .timeout_ms = timeout_ms(m),
        };

        return mount_signals_start(&opts, &m->signals);
}

static int start_with_deadline(struct mount *m, struct err_text *text)
{
        const struct mount_job *job = m->job;
        struct fuse_mount_opts opts = {
                .source = job->url,
                .flags = job->options.flags,
                .allow_other = job->options.allow_other,
        };
        struct fuse_opts fuse = job->options.fuse;
        int fd, r;

        r = open_fs(m, text);
        if (r < 0)
                return r;
        r = exit_report_listen(job->url, job->dir, &m->exit_report);
        if (r < 0)
                log_warning("'ashlar umount' will not be told how this mount ends: %s", err_str(r));
        r = fuse_mount(job->dir, &opts, &fd, text);
        if (r < 0)
                return r;
        m->mounted = true;
        fuse.shared = m->shared;
        fuse.remote_store = kv_limits(m->store)->remote;
        fuse.timeout_ms = job->options.timeout_s * 1000;
        fuse.on_started = on_started;
        fuse.on_started_arg = m;
        fuse.on_ending = on_ending;
        fuse.on_ending_arg = m;
        r = fuse_server_new(m->fs, &fuse, fd, &m->server, text);
        if (r < 0) {
                close(fd);
                return r;
        }
        r = watch_signals(m);
        if (r < 0)
                return err_set(text, -r, "cannot start a thread: %s", err_str(r));
        return 0;
}

static int start(struct mount *m, struct err_text *text)
{
        struct deadline deadline;
        int r;

        begin_deadline(m, &deadline);
        r = start_with_deadline(m, text);
        end_deadline(m, &deadline);
        return r;
}

/* The connection to the kernel ends first, so that unmounting cannot wait for an answer from us. */
static void leave_directory(struct mount *m)
{
        struct fuse_mountinfo at = { 0 };
        struct err_text text;

        if (!m->signals && m->store)
                (void)watch_signals(m); /* serving never began, and yet the store has to be closed */
        mount_signals_ending(m->signals);
        fuse_server_free(m->server);
        m->server = NULL;
        mount_signals_leave(m->signals);
        /* Still there if the connection broke, or if we were told to leave at once. */
        if (m->mounted && fuse_mountinfo_at(m->job->dir, &at) == 0 && has_source(&at, (void *)m->job->url) &&
            fuse_unmount(m->job->dir, true, &text) < 0)
                log_warning("%s", text.text);
        fuse_mountinfo_clear(&at);
        watcher_dismiss(m->watcher);
}

static int commit(struct mount *m, struct err_text *text)
{
        struct deadline deadline;
        int r, q, dirty = fs_close(m->fs);

        r = m->session ? kv_sync(m->store) : 0;
        /* The registration goes last. If something could not be written, it stays: closing the store tries
         * that again, and must not do so when somebody else may have come. */
        q = fs_session_close(m->session, r < 0);
        if (q < 0 || (m->session && r < 0))
                log_warning("%s: this mount is still registered: %s; the next one on this machine clears "
                            "that, or 'ashlar evict'",
                            m->job->url, err_str(q < 0 ? q : r));
        mount_signals_stop(m->signals);
        begin_deadline(m, &deadline);
        q = kv_close(m->store);
        end_deadline(m, &deadline);
        r = dirty < 0 ? dirty : r < 0 ? r : q;
        if (r < 0)
                err_set(text, -r,
                        "%s: CHANGES ARE LOST: the last ones that were acknowledged could not be "
                        "written: %s",
                        m->job->url, err_str(r));
        exit_report_send(m->exit_report, r < 0 ? text->text : NULL);
        return r;
}

int mount_serve(const struct mount_job *job, struct err_text *text)
{
        struct mount m = { .job = job, .watcher = -1, .exit_report = -1 };
        struct err_text commit_text;
        int r, q;

        m.shared = mount_options_shared(&job->options, job->url);
        tune_process();
        mount_signals_block();
        r = watcher_start(job->dir, &m.watcher);
        if (r < 0)
                return err_set(text, -r, "cannot start a process: %s", err_str(r));
        r = start(&m, text);
        if (r == 0) {
                r = fuse_serve(m.server);
                if (m.root_err < 0)
                        err_set(text, -r, "%s: the root directory cannot be read: %s", job->url, err_str(r));
                else if (r < 0)
                        err_set(text, -r, "%s: the connection to the kernel failed: %s", job->dir,
                                err_str(r));
        }
        leave_directory(&m);
        q = commit(&m, &commit_text);
        if (q < 0 && r == 0) {
                *text = commit_text;
                r = q;
        } else if (q < 0) {
                log_error("%s", commit_text.text);
        }
        return r;
}

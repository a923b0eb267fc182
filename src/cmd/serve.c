#include "serve.h"

#include "cleanup.h"
#include "format.h"
#include "log.h"
#include "mountinfo.h"
#include "mountpoint.h"
#include "serve_signals.h"
#include "tune.h"
#include "watcher.h"
#include "wrap.h"

#include <limits.h>
#include <sys/mount.h>

/* How long to wait for a mount of the same store that is just going away: it has unmounted, so that
 * nobody sees it any more, but is still committing. */
#define STORE_WAIT_MS 10000u

struct mount {
        const struct mount_job *job;
        struct kv_store *store;
        struct fs *fs;
        struct af_server *server;
        struct serve_signals *signals;
        int root_err; /* why the root directory cannot be read; 0: it can */
        bool mounted; /* at job->dir, by us */
        int watcher;
};

/* ---- the store ---------------------------------------------------------------------------------- */

static int has_source(const struct af_mountinfo *m, void *arg)
{
        return af_mountinfo_is_ashlar(m) && strcmp(m->source, arg) == 0;
}

static int open_store(struct mount *m, struct err_text *text)
{
        const struct mount_job *job = m->job;
        bool rdonly = job->options.flags & MS_RDONLY;
        char host[HOST_NAME_MAX + 1] = "", owner[PATH_MAX + 128];
        struct kv_open_opts opts = { .flags = KV_OPEN_EXCLUSIVE, .owner = owner };
        struct kv_writebehind_opts behind = { 0 };
        struct kv_store *below;
        int r;

        gethostname(host, sizeof(host) - 1);
        snprintf(owner, sizeof(owner), "pid %ld on %s, mounted at %s", (long)getpid(), host, job->dir);
        /* A mount that everybody can see is not going away. */
        opts.wait_ms = af_mountinfo_each(has_source, (void *)job->url) > 0 ? 0 : STORE_WAIT_MS;
        r = kv_open(job->url, &opts, &below, text);
        if (rdonly && (r == -EACCES || r == -EROFS)) {
                opts.flags = KV_OPEN_RDONLY;
                r = kv_open(job->url, &opts, &below, text);
        }
        if (r < 0)
                return r;
        if (rdonly) {
                m->store = below;
                return 0;
        }
        r = kv_writebehind_open(below, &behind, &m->store);
        if (r < 0) {
                kv_close(below);
                return err_set(text, -r, "cannot set up the write-behind cache: %s", err_str(r));
        }
        return 0;
}

static int open_fs(struct mount *m, struct err_text *text)
{
        struct fs_open_opts opts = {
                .rdonly = m->job->options.flags & MS_RDONLY,
                .atime = m->job->options.atime,
        };
        struct err_text why;
        int r;

        r = open_store(m, text);
        if (r < 0)
                return r;
        r = fs_open(m->store, &opts, &m->fs, &why);
        return r < 0 ? err_set(text, -r, "%s: %s", m->job->url, why.text) : 0;
}

/* ---- being ready -------------------------------------------------------------------------------- */

/* Whoever started us may go on when requests are served, and not before. The mount is not touched for that: a
 * process that waits for its own answer cannot be killed. */
static int on_started(void *arg)
{
        struct mount *m = arg;
        const struct mount_job *job = m->job;
        _cleanup_mountinfo_ struct af_mountinfo at = { 0 };
        struct fs_attr root;
        int r = fs_getattr(m->fs, FMT_ROOT_INO, &root);

        if (r < 0) {
                m->root_err = r;
                return r;
        }
        if (af_mountinfo_at(job->dir, &at) == 0 && has_source(&at, (void *)job->url))
                tune_readahead(at.dev);
        log_info("%s is mounted at %s, transport: %s", job->url, job->dir, af_server_transport(m->server));
        if (job->ready && job->ready(af_server_transport(m->server), job->arg) != 0)
                return -EPIPE;
        return 0;
}

/* ---- from begin to end --------------------------------------------------------------------------- */

static int start(struct mount *m, struct err_text *text)
{
        const struct mount_job *job = m->job;
        struct af_mount_opts opts = {
                .source = job->url,
                .flags = job->options.flags,
                .allow_other = job->options.allow_other,
        };
        struct af_opts af = job->options.af;
        int fd, r;

        r = open_fs(m, text);
        if (r < 0)
                return r;
        r = af_mount(job->dir, &opts, &fd, text);
        if (r < 0)
                return r;
        m->mounted = true;
        af.on_started = on_started;
        af.on_started_arg = m;
        r = af_server_new(m->fs, &af, fd, &m->server, text);
        if (r < 0) {
                close(fd);
                return r;
        }
        r = serve_signals_start(job->dir, m->server, &m->signals);
        if (r < 0)
                return err_set(text, -r, "cannot start a thread: %s", err_str(r));
        return 0;
}

/* The connection to the kernel ends first, so that unmounting cannot wait for an answer from us. */
static void leave_directory(struct mount *m)
{
        struct af_mountinfo at = { 0 };
        struct err_text text;

        serve_signals_stop(m->signals);
        af_server_free(m->server);
        /* Still there if the connection broke, or if we were told to leave at once. */
        if (m->mounted && af_mountinfo_at(m->job->dir, &at) == 0 && has_source(&at, (void *)m->job->url) &&
            af_unmount(m->job->dir, true, &text) < 0)
                log_warning("%s", text.text);
        af_mountinfo_clear(&at);
        watcher_dismiss(m->watcher);
}

static int commit(struct mount *m, struct err_text *text)
{
        int r;

        fs_close(m->fs);
        r = kv_close(m->store);
        if (r < 0)
                return err_set(text, -r, "%s: the last changes could not be written: %s", m->job->url,
                               err_str(r));
        return 0;
}

int serve(const struct mount_job *job, struct err_text *text)
{
        struct mount m = { .job = job, .watcher = -1 };
        struct err_text commit_text;
        int r, q;

        tune_process();
        serve_signals_block();
        r = watcher_start(job->dir, &m.watcher);
        if (r < 0)
                return err_set(text, -r, "cannot start a process: %s", err_str(r));
        r = start(&m, text);
        if (r == 0) {
                r = af_serve(m.server);
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

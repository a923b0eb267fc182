/* SPDX-License-Identifier: MIT */
#include "mount/serve.h"

#include "base/log.h"
#include "format/format.h"
#include "fuse/mountpoint/mountinfo.h"
#include "fuse/mountpoint/mountpoint.h"
#include "kv/kv.h"
#include "mount/control.h"
#include "mount/exit_report.h"
#include "mount/signals.h"
#include "mount/stack.h"
#include "mount/tune.h"
#include "mount/watcher.h"

#include <string.h>
#include <unistd.h>

struct mount {
        const struct mount_job *job;
        struct mount_stack stack;
        struct fuse_server *server;
        struct mount_signals *signals;
        struct mount_control *control; /* NULL: no requests */
        int root_err;                  /* why the root directory cannot be read; 0: it can */
        bool mounted;                  /* at job->dir, by this process */
        int watcher;
        int exit_report; /* -1: no report */
};

/* Whether this mount, or another one of the same store, is visible at its directory. */
static bool is_visible(const struct mount *m, dev_t *ret_dev)
{
        _cleanup_mountinfo_ struct fuse_mountinfo at = { 0 };

        if (fuse_mountinfo_at(m->job->dir, &at) < 0)
                return false;
        *ret_dev = at.dev;
        return fuse_mountinfo_is_ashlar(&at) && strcmp(at.source, m->job->url) == 0;
}

/* ---- requests ------------------------------------------------------------------------------------- */

/* A mount_control_fn. The request is a list of mount options. */
static int remount(const char *request, void *arg, struct err_text *text)
{
        struct mount *m = arg;
        struct mount_options options;
        int r;

        mount_options_init(&options, false);
        r = mount_options_parse(&options, request, false, text);
        if (r < 0)
                return r;
        r = mount_stack_remount(&m->stack, options.flags, text);
        if (r >= 0)
                log_info("%s is remounted: %s", m->job->dir, request);
        return r;
}

static void start_control(struct mount *m)
{
        dev_t dev;
        int r = is_visible(m, &dev) ? mount_control_start(dev, remount, m, &m->control) : -ENOENT;

        if (r < 0)
                log_warning("%s cannot be remounted: %s", m->job->dir, err_str(r));
}

/* ---- called by fuse_serve ------------------------------------------------------------------------- */

/* Requests are being served. The directory is not accessed: a process that waits for its own answer cannot be
 * killed. */
static int on_started(void *arg)
{
        struct mount *m = arg;
        const struct mount_job *job = m->job;
        const char *transport = fuse_server_transport(m->server);
        struct deadline deadline;
        struct fs_attr root;
        dev_t dev;

        mount_deadline_begin(job, &deadline);
        m->root_err = fs_getattr(m->stack.fs, FMT_ROOT_INO, &root);
        mount_deadline_end(job, &deadline);
        if (m->root_err < 0)
                return m->root_err;
        if (is_visible(m, &dev))
                tune_readahead(dev);
        start_control(m);
        log_info("%s is mounted at %s, transport: %s", job->url, job->dir, transport);
        return job->ready && job->ready(transport, job->arg) != 0 ? -EPIPE : 0;
}

/* Requests in progress may wait for a store that is away; this bounds the wait. */
static void on_ending(void *arg)
{
        struct mount *m = arg;

        mount_signals_ending(m->signals);
}

/* ---- from start to end ---------------------------------------------------------------------------- */

static int start_signals(struct mount *m)
{
        const struct mount_signals_opts opts = {
                .url = m->job->url,
                .dir = m->job->dir,
                .server = m->server,
                .store = m->stack.store,
                .timeout_ms = mount_timeout_ms(m->job),
        };

        return mount_signals_start(&opts, &m->signals);
}

static int mount_directory(struct mount *m, int *ret_fd, struct err_text *text)
{
        const struct mount_options *o = &m->job->options;
        const struct fuse_mount_opts opts = {
                .source = m->job->url,
                .flags = o->flags,
                .allow_other = o->allow_other,
        };
        int r = fuse_mount(m->job->dir, &opts, ret_fd, text);

        m->mounted = r >= 0;
        return r;
}

static int start_server(struct mount *m, int fd, struct err_text *text)
{
        struct fuse_opts opts = m->job->options.fuse;

        opts.shared = m->stack.shared;
        opts.remote_store = kv_limits(m->stack.store)->remote;
        opts.timeout_ms = m->job->options.timeout_s * 1000;
        opts.on_started = on_started;
        opts.on_started_arg = m;
        opts.on_ending = on_ending;
        opts.on_ending_arg = m;
        return fuse_server_new(m->stack.fs, &opts, fd, &m->server, text);
}

static int start_with_deadline(struct mount *m, struct err_text *text)
{
        int fd, r;

        r = mount_stack_open(m->job, &m->stack, text);
        if (r < 0)
                return r;
        r = exit_report_listen(m->job->url, m->job->dir, &m->exit_report);
        if (r < 0)
                log_warning("'ashlar umount' will get no report of this mount: %s", err_str(r));
        r = mount_directory(m, &fd, text);
        if (r < 0)
                return r;
        r = start_server(m, fd, text);
        if (r < 0) {
                close(fd);
                return r;
        }
        r = start_signals(m);
        return r < 0 ? err_set(text, -r, "cannot start a thread: %s", err_str(r)) : 0;
}

static int start(struct mount *m, struct err_text *text)
{
        struct deadline deadline;
        int r;

        mount_deadline_begin(m->job, &deadline);
        r = start_with_deadline(m, text);
        mount_deadline_end(m->job, &deadline);
        return r;
}

static int serve(struct mount *m, struct err_text *text)
{
        int r = fuse_serve(m->server);

        if (m->root_err < 0)
                return err_set(text, -m->root_err, "%s: the root directory cannot be read: %s", m->job->url,
                               err_str(m->root_err));
        if (r < 0)
                return err_set(text, -r, "%s: the connection to the kernel failed: %s", m->job->dir,
                               err_str(r));
        return 0;
}

/* Closes the connection to the kernel before it unmounts, so that unmounting cannot wait for an answer of
 * this process. */
static void leave_directory(struct mount *m)
{
        struct err_text text;
        dev_t dev;

        if (!m->signals && m->stack.store)
                (void)start_signals(m); /* serving never began, but closing the store may take long */
        mount_signals_ending(m->signals);
        mount_control_stop(m->control);
        fuse_server_free(m->server);
        m->server = NULL;
        mount_signals_leave(m->signals);
        /* It is still mounted after fuse_stop, or if the connection failed. */
        if (m->mounted && is_visible(m, &dev) && fuse_unmount(m->job->dir, true, &text) < 0)
                log_warning("%s", text.text);
        watcher_dismiss(m->watcher);
}

static int commit(struct mount *m, struct err_text *text)
{
        int lost = mount_stack_commit(&m->stack), r;

        mount_signals_stop(m->signals);
        r = mount_stack_close(&m->stack);
        if (lost < 0)
                r = lost;
        if (r < 0)
                err_set(text, -r,
                        "%s: CHANGES ARE LOST: the last ones that were acknowledged could not be written: %s",
                        m->job->url, err_str(r));
        exit_report_send(m->exit_report, r < 0 ? text->text : NULL);
        return r;
}

int mount_serve(const struct mount_job *job, struct err_text *text)
{
        struct mount m = { .job = job, .stack.job = job, .watcher = -1, .exit_report = -1 };
        struct err_text commit_text;
        int r, q;

        tune_process();
        mount_signals_block();
        r = watcher_start(job->dir, &m.watcher);
        if (r < 0)
                return err_set(text, -r, "cannot start a process: %s", err_str(r));
        r = start(&m, text);
        if (r >= 0)
                r = serve(&m, text);
        leave_directory(&m);
        q = commit(&m, &commit_text);
        if (q >= 0)
                return r;
        if (r < 0) { /* TEXT has the first error */
                log_error("%s", commit_text.text);
                return r;
        }
        *text = commit_text;
        return q;
}

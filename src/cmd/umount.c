/* SPDX-License-Identifier: MIT */
/* ashlar umount: unmounts and waits until everything is committed.
 *
 * umount(2) returns when the kernel has detached the mount, while its process may still be committing. There
 * are three ways to wait for that:
 *
 * - The process reports its result (exit_report.h), if it could be connected to before unmounting.
 * - A mount that is registered in its store names its process there: when the process is gone, it has ended.
 * - A mount that holds its store exclusively releases it at the end: when the store can be opened, or another
 *   process has it, it has ended.
 */
#include "base/cleanup.h"
#include "base/process.h"
#include "cmd/cmd.h"
#include "cmd/mount_start.h"
#include "cmd/mount_table.h"
#include "fuse/mountpoint/mountpoint.h"
#include "kv/kv.h"
#include "mount/exit_report.h"
#include "mount/store_url.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

/* How long one attempt to open the store, or to receive the report, lasts. */
#define ATTEMPT_MS 250u
/* After how many attempts a message appears on a terminal. */
#define QUIET_ATTEMPTS 4u
/* Interval at which the process is checked. */
#define PROCESS_POLL_MS 10

/* Timeout for connecting to a cluster and for reading there: unmounting does not depend on it. */
#define CLUSTER_TIMEOUT_MS 3000u

#define WAITING "unmounted; waiting until everything is committed ..."

/* A process that just ended may hold its files a little longer: how often a busy directory is tried again,
 * and after how long. */
#define BUSY_TRIES    10u
#define BUSY_PAUSE_MS 50

struct args {
        bool lazy;
};

static const struct cmd_option options[] = {
        { "lazy", 'l',
          .help = "detach it now although it is in use; it ends with its last user; do\nnot wait",
          .flag = offsetof(struct args, lazy) },
        /* Options that umount(8) passes on when it calls umount.fuse.ashlar. */
        { .letter = 'f', .apply = cmd_ignore_option },
        { .letter = 'n', .apply = cmd_ignore_option },
        { .letter = 'r', .apply = cmd_ignore_option },
        { .letter = 'v', .apply = cmd_ignore_option },
        { .letter = 't', .argument = "TYPE", .apply = cmd_ignore_option },
        { 0 },
};

/* ---- unmounting ----------------------------------------------------------------------------------- */

static int unmount(const char *dir, bool lazy, struct err_text *text)
{
        int r = fuse_unmount(dir, lazy, text);

        for (unsigned tries = 0; r == -EBUSY && tries < BUSY_TRIES; tries++) {
                nanosleep(&(struct timespec){ .tv_nsec = BUSY_PAUSE_MS * 1000000 }, NULL);
                r = fuse_unmount(dir, lazy, text);
        }
        if (r == -EBUSY)
                return err_set(text, EBUSY,
                               "%s is busy: a process has a file open or its working directory "
                               "there ('fuser -vm %s' shows which); end it, or detach with "
                               "'ashlar umount -l %s'",
                               dir, dir, dir);
        return r;
}

/* ---- waiting for the commit ----------------------------------------------------------------------- */

static int has_source(const struct fuse_mountinfo *m, void *arg)
{
        return fuse_mountinfo_is_ashlar(m) && strcmp(m->source, arg) == 0;
}

/* Finds the process that serves DIR by the registration of its mount. False: there is none that can be seen
 * from here. */
static bool find_server(const char *url, const char *dir, struct mount_row *ret)
{
        const struct cmd_store_opts opts = {
                .url = url,
                .subcommand = "umount",
                .flags = KV_OPEN_RDONLY,
                .timeout_ms = CLUSTER_TIMEOUT_MS,
        };
        struct mount_table table = { .n = 0 };
        struct cmd_store store;
        bool found = false;

        if (cmd_store_open(&opts, &store, NULL) < 0)
                return false;
        if (mount_table_read(store.kv, &table) < 0)
                table.n = 0;
        for (size_t i = 0; i < table.n && !found; i++) {
                found = table.rows[i].state == MOUNT_RUNS && strcmp(table.rows[i].mountpoint, dir) == 0;
                *ret = table.rows[i];
        }
        mount_table_clear(&table);
        cmd_store_close(&store);
        return found;
}

static void show(const char *line)
{
        if (isatty(STDERR_FILENO))
                fprintf(stderr, "\r\033[K%s", line);
}

static int wait_for_process(const struct mount_row *server)
{
        const struct timespec pause = { .tv_nsec = PROCESS_POLL_MS * 1000000L };

        for (unsigned polls = 0; !process_is_gone(server->unix_pid, server->start_time); polls++) {
                nanosleep(&pause, NULL);
                if (polls == QUIET_ATTEMPTS * ATTEMPT_MS / PROCESS_POLL_MS)
                        show(WAITING);
        }
        show("");
        return 0;
}

static int wait_for_report(int fd, struct err_text *text)
{
        unsigned attempts = 0;
        struct err_text why;
        int r;

        while ((r = exit_report_receive(fd, ATTEMPT_MS, &why)) == -EAGAIN)
                if (attempts++ == QUIET_ATTEMPTS)
                        show(WAITING);
        show("");
        if (r == -EIO)
                return err_set(text, EIO, "unmounted, but %s", why.text);
        if (r < 0)
                return err_set(text, -r,
                               "unmounted, but the process that served ended without saying "
                               "whether everything is committed; the system log may say why");
        return 0;
}

static int wait_for_store(const char *url, struct err_text *text)
{
        const struct cmd_store_opts opts = {
                .url = url,
                .subcommand = "umount",
                .flags = KV_OPEN_EXCLUSIVE,
                .wait_ms = ATTEMPT_MS,
        };
        struct cmd_store store;
        struct err_text why;
        int r;

        for (unsigned attempts = 0;; attempts++) {
                r = cmd_store_open(&opts, &store, &why);
                /* Busy although mounted: another mount got the store after this one. */
                if (r != -EBUSY || fuse_mountinfo_each(has_source, (void *)url) > 0)
                        break;
                if (attempts == QUIET_ATTEMPTS)
                        show(WAITING);
        }
        show("");
        if (r == 0)
                cmd_store_close(&store);
        if (r < 0 && r != -EBUSY)
                return err_set(text, -r, "unmounted, but whether everything is committed cannot be seen: %s",
                               why.text);
        return 0;
}

struct elsewhere {
        dev_t dev;
        int err; /* why a mount of it could not be opened; 0: there is none */
};

/* The mount may be of a single file, or hidden by another one. Returns 1 when everything is committed. */
static int commit_at(const struct fuse_mountinfo *m, void *arg)
{
        struct elsewhere *e = arg;
        _cleanup_close_ int fd = -1;
        struct stat st;

        if (m->dev != e->dev)
                return 0;
        fd = open(m->target, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                e->err = errno;
        else if (st.st_dev != e->dev)
                e->err = ENOENT;
        else
                return fsync(fd) < 0 ? -errno : 1;
        return 0;
}

/* Commits what the file system DEV was given if it is still mounted at another path, where its process goes
 * on. Returns 0 if it is not, 1 if that is done. */
static int commit_elsewhere(dev_t dev, struct err_text *text)
{
        struct elsewhere e = { .dev = dev };
        int r = fuse_mountinfo_each(commit_at, &e);

        if (r == 0)
                r = -e.err;
        if (r < 0)
                return err_set(text, -r, "unmounted, but whether everything is committed cannot be seen: %s",
                               err_str(r));
        return r;
}

static int unmount_and_wait(const struct fuse_mountinfo *at, struct err_text *text)
{
        _cleanup_close_ int report = -1;
        struct mount_row server = { .unix_pid = 0 };
        bool registered;
        int r;

        exit_report_connect(at->source, at->target, at->owner, &report);
        registered = report < 0 && find_server(at->source, at->target, &server);
        r = unmount(at->target, false, text);
        if (r < 0)
                return r;
        r = commit_elsewhere(at->dev, text);
        if (r != 0)
                return r;
        if (report >= 0)
                return wait_for_report(report, text);
        if (at->flags & MS_RDONLY)
                return 0;
        if (registered)
                return wait_for_process(&server);
        return store_url_is_local(at->source) ? wait_for_store(at->source, text) : 0;
}

static int run(int argc, char **argv)
{
        _cleanup_mountinfo_ struct fuse_mountinfo at = { 0 };
        const char *operands[CMD_OPERANDS_MAX];
        struct args args = { 0 };
        struct err_text text;
        int r = cmd_parse(&cmd_umount, argc, argv, &args, operands);

        if (r >= 0)
                return r;
        r = mount_find(operands[0], &at, &text);
        if (r >= 0)
                r = args.lazy ? unmount(at.target, true, &text) : unmount_and_wait(&at, &text);
        return r < 0 ? cmd_failed(&text) : CMD_OK;
}

const struct cmd cmd_umount = {
        .name = "umount",
        .aliases = { "umount.fuse.ashlar" },
        .synopsis = "[OPTIONS] DIR",
        .summary = "unmount, and wait until everything is committed",
        .about = "Unmount the ashlar file system at DIR and wait until everything is committed.",
        .notes = "Exit code: 0 unmounted and committed, 1 failed or changes are lost, 2 wrong arguments.",
        .options = options,
        .operands = { "DIR" },
        .required = 1,
        .run = run,
};

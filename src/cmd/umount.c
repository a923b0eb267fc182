/* SPDX-License-Identifier: MIT */
/* ashlar umount: unmounts and waits until everything is committed.
 *
 * umount(2) returns when the kernel has let go, while the process that served may still be committing. It
 * tells how that went (exit_report.h). If it could not be called, then either the mount is registered in its
 * store, which names the process: when that is gone, it is over. Or it holds the store alone until it is
 * done: when the store can be had, or when somebody else has it, that is over.
 */
#include "base/cleanup.h"
#include "base/process.h"
#include "cmd/cmd.h"
#include "cmd/mount_table.h"
#include "fuse/mountpoint/mountinfo.h"
#include "fuse/mountpoint/mountpoint.h"
#include "kv/kv.h"
#include "mount/exit_report.h"
#include "mount/store_url.h"

#include <getopt.h>
#include <string.h>
#include <time.h>

/* How long one look at the store waits for it. */
#define LOOK_MS 250u
/* After how many looks a terminal is told. */
#define QUIET_LOOKS 4u
/* How often to look whether the process is gone. */
#define SERVER_POLL_MS 10

/* How long to look for a cluster, and in it, which may be away: unmounting does not depend on it. */
#define CONNECT_MS 3000u

#define WAITING "unmounted; waiting until everything is committed ..."

/* How often a busy directory is tried again, and after how long. */
#define BUSY_TRIES    10u
#define BUSY_PAUSE_MS 50

struct args {
        const char *subcommand;
        bool lazy;
        const char *dir;
};

static void print_help(void)
{
        printf("Usage: ashlar umount [-l] DIR\n"
               "Unmount the ashlar file system at DIR and wait until everything is committed.\n"
               "\n"
               "  -l, --lazy  detach it now although it is in use; it ends with its last user; do\n"
               "              not wait\n"
               "  -h, --help  print this\n"
               "\n"
               "Exit code: 0 unmounted and committed, 1 failed or changes are lost, 2 wrong\n"
               "arguments.\n");
}

/* The exit code to end with, or -1 to go on. */
static int parse_args(int argc, char **argv, struct args *a)
{
        static const struct option options[] = {
                { "lazy", no_argument, NULL, 'l' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        /* -f, -n, -r, -v and -t are umount(8)'s, when it calls us: nothing to do differently. */
        while ((c = getopt_long(argc, argv, ":lhfnrvt:", options, NULL)) >= 0) {
                switch (c) {
                case 'l':
                        a->lazy = true;
                        break;
                case 'f':
                case 'n':
                case 'r':
                case 'v':
                case 't':
                        break;
                case 'h':
                        print_help();
                        return cmd_finish_output(CMD_OK);
                default:
                        return cmd_option_error("umount", argv, c);
                }
        }
        if (optind == argc)
                return cmd_usage_error("umount", "no DIR given");
        if (optind + 1 < argc)
                return cmd_usage_error("umount", "more than one DIR given: '%s'", argv[optind + 1]);
        a->dir = argv[optind];
        return -1;
}

static int find_mount(const char *given, struct fuse_mountinfo *ret, struct err_text *text)
{
        _cleanup_free_ char *dir = realpath(given, NULL);
        int r;

        if (!dir)
                return err_set(text, errno, "%s: %s", given, err_str(errno));
        r = fuse_mountinfo_at(dir, ret);
        if (r == -ENOENT)
                return err_set(text, EINVAL, "%s is not a mount point", dir);
        if (r < 0)
                return err_set(text, -r, "cannot read the table of mounts: %s", err_str(r));
        if (!fuse_mountinfo_is_ashlar(ret))
                return err_set(text, EINVAL, "%s is not an ashlar file system but %s", dir, ret->type);
        return 0;
}

/* What a process that just ended had open is let go a moment later: that moment is worth waiting for. */
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

static int has_source(const struct fuse_mountinfo *m, void *arg)
{
        return fuse_mountinfo_is_ashlar(m) && strcmp(m->source, arg) == 0;
}

/* The process that serves DIR, from the registration of its mount: false if there is none that can be
 * seen. */
static bool find_server(const char *url, const char *dir, struct mount_row *ret)
{
        const struct kv_open_opts opts = { .flags = KV_OPEN_RDONLY, .connect_ms = CONNECT_MS };
        struct mount_table table = { .n = 0 };
        struct deadline deadline;
        struct kv_store *store;
        bool found = false;

        if (kv_open(url, &opts, &store, NULL) < 0)
                return false;
        deadline_begin(&deadline, CONNECT_MS);
        if (mount_table_read(store, &table) < 0)
                table.n = 0;
        for (size_t i = 0; i < table.n && !found; i++) {
                found = table.rows[i].state == MOUNT_RUNS && strcmp(table.rows[i].mountpoint, dir) == 0;
                *ret = table.rows[i];
        }
        mount_table_clear(&table);
        kv_close(store);
        deadline_end(&deadline);
        return found;
}

static void say(bool terminal, const char *line)
{
        if (terminal)
                fprintf(stderr, "\r\033[K%s", line);
}

static void wait_for_server(const struct mount_row *server)
{
        const struct timespec pause = { .tv_nsec = SERVER_POLL_MS * 1000000L };
        bool terminal = isatty(STDERR_FILENO);

        for (unsigned looks = 0; !process_is_gone(server->unix_pid, server->start_time); looks++) {
                nanosleep(&pause, NULL);
                if (looks == QUIET_LOOKS * LOOK_MS / SERVER_POLL_MS)
                        say(terminal, WAITING);
        }
        say(terminal, "");
}

/* What the process says that served. */
static int wait_exit_report(int fd, struct err_text *text)
{
        bool terminal = isatty(STDERR_FILENO);
        unsigned looks = 0;
        struct err_text why;
        int r;

        while ((r = exit_report_receive(fd, LOOK_MS, &why)) == -EAGAIN)
                if (looks++ == QUIET_LOOKS)
                        say(terminal, WAITING);
        say(terminal, "");
        if (r == -EIO)
                return err_set(text, EIO, "unmounted, but %s", why.text);
        if (r < 0)
                return err_set(text, -r,
                               "unmounted, but the process that served ended without saying "
                               "whether everything is committed; the system log may say why");
        return 0;
}

static int wait_committed(const char *url, struct err_text *text)
{
        bool terminal = isatty(STDERR_FILENO);
        char owner[256];
        struct kv_open_opts opts = { .flags = KV_OPEN_EXCLUSIVE, .owner = owner, .wait_ms = LOOK_MS };
        struct err_text why;
        struct kv_store *store;
        int r;

        cmd_owner("umount", owner, sizeof(owner));
        for (unsigned looks = 0;; looks++) {
                r = kv_open(url, &opts, &store, &why);
                /* Mounted again: somewhere else too, or anew. Who comes after the old mount got the
                 * store from it. */
                if (r != -EBUSY || fuse_mountinfo_each(has_source, (void *)url) > 0)
                        break;
                if (looks == QUIET_LOOKS)
                        say(terminal, WAITING);
        }
        say(terminal, "");
        if (r == 0)
                kv_close(store);
        if (r < 0 && r != -EBUSY)
                return err_set(text, -r, "unmounted, but whether everything is committed cannot be seen: %s",
                               why.text);
        return 0;
}

int cmd_umount(int argc, char **argv)
{
        _cleanup_mountinfo_ struct fuse_mountinfo at = { 0 };
        struct args a = { .lazy = false };
        _cleanup_close_ int exit_report = -1;
        struct mount_row server;
        struct err_text text;
        bool registered;
        int r;

        r = parse_args(argc, argv, &a);
        if (r >= 0)
                return r;
        if (find_mount(a.dir, &at, &text) < 0)
                return cmd_failed(&text);
        if (!a.lazy)
                exit_report_connect(at.source, at.target, at.owner, &exit_report);
        registered = !a.lazy && exit_report < 0 && find_server(at.source, at.target, &server);
        if (unmount(at.target, a.lazy, &text) < 0)
                return cmd_failed(&text);
        if (a.lazy || at.rdonly)
                return CMD_OK;
        r = 0;
        if (exit_report >= 0)
                r = wait_exit_report(exit_report, &text);
        else if (registered)
                wait_for_server(&server);
        else if (store_url_is_local(at.source))
                r = wait_committed(at.source, &text);
        return r < 0 ? cmd_failed(&text) : CMD_OK;
}

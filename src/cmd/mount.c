/* SPDX-License-Identifier: MIT */
/* ashlar mount: checks what it is asked for and starts the process that serves (mount/serve.c), in the
 * background unless told otherwise. Returns only when the directory answers.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "cmd/cmd.h"
#include "fuse/mountpoint/mountinfo.h"
#include "fuse/mountpoint/mountpoint.h"
#include "mount/serve.h"
#include "mount/store_url.h"

#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* What mount(8) expects of mount.ashlar. */
enum { HELPER_USAGE = 1, HELPER_FAILED = 32 };

/* Dead mounts of ours on top of one another that are cleared away. */
#define DEAD_MOUNTS_MAX 16

struct args {
        bool helper; /* called by mount(8), which has option letters of its own */
        bool foreground, fake, sloppy, verbose;
        const char *store, *dir;
        struct mount_options options;
};

static void print_help(void)
{
        printf("Usage: ashlar mount [-fdrw] [-o OPTIONS] STORE DIR\n"
               "Mount the file system in STORE at the directory DIR and return when it can be used.\n"
               "\n"
               "  -f             stay in the foreground and log to stderr\n"
               "  -d             the same, and log each request\n"
               "  -r             like -o ro\n"
               "  -w             like -o rw\n"
               "  -v             say how it is mounted\n"
               "  -o OPTIONS     options, separated by commas:\n"
               "      ro, rw               read only, or not\n"
               "      relatime, noatime, strictatime  when reading sets the time of last access\n"
               "      allow_other, noallow_other, allow_root  who is let in beside the user who mounts\n"
               "                           (default: everybody if root mounts, else nobody)\n"
               "      suid, dev            allow set-user-id programs and device files (root only)\n"
               "      exclusive            no other mount beside this one (the default on this machine's\n"
               "                           stores)\n"
               "      shared               others may mount the store too (elsewhere the default)\n"
               "      timeout=SECONDS      how long to wait for a store that is away, before EIO (default:\n"
               "                           0, without end)\n"
               "      noexec, sync, dirsync  as for any file system\n"
               "      noxattr              no extended attributes: faster\n"
               "      writeback_cache      let the kernel writeback writes\n"
               "      transport=auto|uring|classic  how requests come from the kernel: by rings (uring,\n"
               "                           faster), by /dev/fuse, or by rings where it has them (default)\n"
               "      uid=N, gid=N         show every file as that user's or group's\n"
               "      debug                log each request\n"
               "  -h, --help     print this\n"
               "\n"
               "Unmount with 'ashlar umount DIR'. Exit code: 0 mounted, 1 failed, 2 wrong arguments; as\n"
               "mount.ashlar 0, 32 and 1.\n");
}

/* ---- arguments ---------------------------------------------------------------------------------- */

static int add_options(struct args *a, const char *list)
{
        struct err_text text;

        if (mount_options_parse(&a->options, list, a->sloppy, &text) < 0)
                return cmd_usage_error("mount", "%s", text.text);
        return -1;
}

/* The exit code to end with, or -1 to go on. */
static int apply_option(struct args *a, int c, char *const *argv)
{
        switch (c) {
        case 'o':
                return add_options(a, optarg);
        case 'r':
                return add_options(a, "ro");
        case 'w':
                return add_options(a, "rw");
        case 'f':
                if (a->helper)
                        a->fake = true;
                else
                        a->foreground = true;
                return -1;
        case 'd':
                a->options.af.debug = a->foreground = true;
                return -1;
        case 's':
                a->sloppy = true;
                return -1;
        case 'v':
                a->verbose = true;
                return -1;
        case 'n':
        case 't':
                return -1;
        case 'h':
                print_help();
                return cmd_finish_output(CMD_OK);
        default:
                return cmd_option_error("mount", argv, c);
        }
}

static int parse_args(int argc, char **argv, struct args *a)
{
        static const struct option options[] = {
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        const char *letters = a->helper ? ":o:rwfsnvt:h" : ":o:rwfdvh";
        int c, r;

        mount_options_init(&a->options);
        while ((c = getopt_long(argc, argv, letters, options, NULL)) >= 0) {
                r = apply_option(a, c, argv);
                if (r >= 0)
                        return r;
        }
        if (argc - optind < 2)
                return cmd_usage_error("mount", "give a STORE and a DIR");
        if (argc - optind > 2)
                return cmd_usage_error("mount", "more than a STORE and a DIR given: '%s'", argv[optind + 2]);
        a->store = argv[optind];
        a->dir = argv[optind + 1];
        return -1;
}

/* ---- checks ------------------------------------------------------------------------------------- */

/* A mount of ours whose process died is in the way of everything, this mount included. Its watcher may be
 * clearing it away at the same time. */
static int clear_dead_mounts(const char *dir, struct err_text *text)
{
        for (int i = 0; i < DEAD_MOUNTS_MAX; i++) {
                _cleanup_mountinfo_ struct fuse_mountinfo at = { 0 };
                int r;

                if (fuse_mountinfo_at(dir, &at) < 0 || !fuse_mountinfo_is_ashlar(&at))
                        return 0;
                r = fuse_unmount_dead(dir);
                if (r == 0)
                        return 0;
                if (r < 0 && r != -EINVAL)
                        return err_set(text, -r, "cannot unmount the dead mount at %s: %s", dir, err_str(r));
        }
        return 0;
}

static int check_dir(const char *given, char **ret, struct err_text *text)
{
        _cleanup_mountinfo_ struct fuse_mountinfo at = { 0 };
        _cleanup_free_ char *dir = realpath(given, NULL);
        struct stat st;
        int r;

        if (!dir && errno == ENOENT)
                return err_set(text, ENOENT, "mount point %s does not exist", given);
        if (!dir)
                return err_set(text, errno, "mount point %s: %s", given, err_str(errno));
        r = clear_dead_mounts(dir, text);
        if (r < 0)
                return r;
        if (stat(dir, &st) < 0)
                return err_set(text, errno, "mount point %s: %s", dir, err_str(errno));
        if (!S_ISDIR(st.st_mode))
                return err_set(text, ENOTDIR, "mount point %s is not a directory", dir);
        if (fuse_mountinfo_at(dir, &at) == 0 && fuse_mountinfo_is_ashlar(&at))
                return err_set(text, EBUSY,
                               "mount point %s is busy: %s is mounted there; unmount it with "
                               "'ashlar umount %s'",
                               dir, at.source, dir);
        *ret = steal_ptr(dir);
        return 0;
}

static int check_mode(const struct mount_options *o, const char *url, struct err_text *text)
{
        if (o->af.writeback_cache && mount_options_shared(o, url))
                return err_set(text, EINVAL,
                               "mount option 'writeback_cache' needs 'exclusive': what the "
                               "kernel buffers, other mounts would not see");
        return 0;
}

/* fusermount3 would refuse it too, with less to go by. */
static int check_allow_other(const struct mount_options *o, struct err_text *text)
{
        _cleanup_fclose_ FILE *f = NULL;
        _cleanup_free_ char *line = NULL;
        size_t cap = 0;

        if (geteuid() == 0 || !o->allow_other)
                return 0;
        f = fopen("/etc/fuse.conf", "re");
        while (f && getline(&line, &cap, f) > 0) {
                size_t blank = strspn(line, " \t"), word = strlen("user_allow_other");

                if (strncmp(line + blank, "user_allow_other", word) == 0 &&
                    strspn(line + blank + word, " \t\n") == strlen(line + blank + word))
                        return 0;
        }
        return err_set(text, EPERM, "option '%s' needs the line 'user_allow_other' in /etc/fuse.conf",
                       o->af.allow_root ? "allow_root" : "allow_other");
}

/* ---- in the background --------------------------------------------------------------------------- */

/* The process tells its parent through a pipe how it went: a zero byte and the transport when the directory
 * answers, or one line. */
static int report_ready(const char *transport, void *arg)
{
        int *fd = arg;
        struct iovec iov[] = {
                { .iov_base = "", .iov_len = 1 },
                { .iov_base = (void *)transport, .iov_len = strlen(transport) },
        };
        ssize_t n = writev(*fd, iov, 2);

        close(*fd);
        *fd = -1;
        return n > 0 ? 0 : -1;
}

/* Keeps nothing of the caller's but the descriptor REPORT: whoever waits for the end of a pipe that the
 * caller had open would wait as long as the mount lives. */
static void leave_caller(int report)
{
        int null;

        if (report > 3)
                close_range(3, (unsigned)report - 1, 0);
        close_range((unsigned)report + 1, ~0U, 0);
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
        setsid();
        if (chdir("/") < 0 || null < 0)
                _exit(CMD_FAILED);
        for (int fd = 0; fd <= 2; fd++)
                dup2(null, fd);
        if (null > 2)
                close(null);
}

static int run_background(struct mount_job *job, int report)
{
        struct err_text text;
        int r;

        leave_caller(report);
        log_setup(LOG_TARGET_SYSLOG, job->options.af.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
        job->ready = report_ready;
        job->arg = &report;
        r = mount_serve(job, &text);
        if (r == 0)
                return CMD_OK;
        if (report < 0) {
                log_error("%s", text.text);
                return CMD_FAILED;
        }
        if (write(report, text.text, strlen(text.text)) < 0)
                log_error("%s", text.text); /* nobody waits for it any more */
        return CMD_FAILED;
}

/* The report is complete once its writer closes the pipe. */
static int wait_for_report(int fd, pid_t pid, const struct mount_job *job, bool verbose)
{
        struct err_text text;
        size_t used = 0;
        ssize_t n;

        while (used < sizeof(text.text) - 1) {
                n = read(fd, text.text + used, sizeof(text.text) - 1 - used);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                used += (size_t)n;
        }
        text.text[used] = '\0';
        if (used > 0 && text.text[0] == '\0') {
                if (verbose)
                        printf("%s is mounted at %s, transport: %s\n", job->url, job->dir, text.text + 1);
                return cmd_finish_output(CMD_OK);
        }
        waitpid(pid, NULL, 0);
        if (used == 0)
                err_set(&text, EIO, "the mount process ended unexpectedly; the system log may say why");
        return cmd_failed(&text);
}

static int start_background(struct mount_job *job, bool verbose)
{
        struct err_text text;
        int fds[2];
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0) {
                err_set(&text, errno, "cannot make a pipe: %s", err_str(errno));
                return cmd_failed(&text);
        }
        pid = fork();
        if (pid < 0) {
                err_set(&text, errno, "cannot start a process: %s", err_str(errno));
                return cmd_failed(&text);
        }
        if (pid == 0) {
                close(fds[0]);
                _exit(run_background(job, fds[1]));
        }
        close(fds[1]);
        return wait_for_report(fds[0], pid, job, verbose);
}

static int run_foreground(const struct mount_job *job)
{
        struct err_text text;

        log_setup(LOG_TARGET_STDERR, job->options.af.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
        return mount_serve(job, &text) < 0 ? cmd_failed(&text) : CMD_OK;
}

static int run(struct args *a)
{
        _cleanup_free_ char *dir = NULL, *url = store_url_absolute(a->store);
        struct mount_job job = { .options = a->options };
        struct err_text text;

        if (!url) {
                err_set(&text, ENOMEM, "out of memory");
                return cmd_failed(&text);
        }
        if (check_mode(&a->options, url, &text) < 0 || check_dir(a->dir, &dir, &text) < 0 ||
            check_allow_other(&a->options, &text) < 0)
                return cmd_failed(&text);
        if (store_url_is_inside(url, dir)) {
                err_set(&text, EINVAL, "%s lies inside the mount point %s, which would hide it", url, dir);
                return cmd_failed(&text);
        }
        if (a->fake)
                return CMD_OK;
        job.url = url;
        job.dir = dir;
        return a->foreground ? run_foreground(&job) : start_background(&job, a->verbose);
}

int cmd_mount(int argc, char **argv)
{
        const char *slash = strrchr(argv[0], '/');
        struct args a = { .helper = strcmp(slash ? slash + 1 : argv[0], "mount.ashlar") == 0 };
        int r = parse_args(argc, argv, &a);

        if (r < 0)
                r = run(&a);
        if (!a.helper || r == CMD_OK)
                return r;
        return r == CMD_USAGE ? HELPER_USAGE : HELPER_FAILED;
}

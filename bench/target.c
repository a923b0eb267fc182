/* SPDX-License-Identifier: MIT */
/* The file systems that are compared: making, mounting, settling and unmounting them. */
#include "bench.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define START_S  30.0
#define STOP_S   120.0
#define SETTLE_S 60.0

void target_names(struct target targets[static TARGET_COUNT])
{
        static const char *const names[TARGET_COUNT] = {
                [TARGET_NATIVE] = "native",
                [TARGET_BINDFS] = "bindfs",
                [TARGET_MEMFS] = "memfs",
                [TARGET_ASHLAR] = "ashlar",
                [TARGET_MEMFS_WB] = "memfs-wb",
                [TARGET_ASHLAR_WB] = "ashlar-wb",
                [TARGET_MEMFS_RINGS] = "memfs-rings",
                [TARGET_ASHLAR_RINGS] = "ashlar-rings",
        };

        for (int id = 0; id < TARGET_COUNT; id++)
                targets[id] = (struct target){ .id = (enum target_id)id, .name = names[id], .fd = -1 };
}

static void sleep_ms(unsigned ms)
{
        nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 }, NULL);
}

__attribute__((format(printf, 2, 3))) static int path_format(char path[static PATH_MAX], const char *format,
                                                             ...)
{
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(path, PATH_MAX, format, ap);
        va_end(ap);
        return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* ---- starting ------------------------------------------------------------------------------------- */

/* Starts a daemon that stays in the foreground. It is in a separate process group, so that a Ctrl-C does not
 * unmount under the work, and ends with this process. */
static int daemon_start(const char *const argv[], const char *log_path, pid_t *ret)
{
        pid_t parent = getpid(), pid = fork();

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                int log = open(log_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
                int null = open("/dev/null", O_RDONLY);

                setpgid(0, 0);
                prctl(PR_SET_PDEATHSIG, SIGTERM);
                if (log < 0 || null < 0 || getppid() != parent)
                        _exit(127);
                dup2(null, STDIN_FILENO);
                dup2(log, STDOUT_FILENO);
                dup2(log, STDERR_FILENO);
                execvp(argv[0], (char *const *)argv);
                dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
                _exit(127);
        }
        *ret = pid;
        return 0;
}

static void last_line(const char *path, char *line, size_t size)
{
        _cleanup_fclose_ FILE *f = fopen(path, "re");

        line[0] = '\0';
        while (f && fgets(line, (int)size, f))
                line[strcspn(line, "\n")] = '\0';
}

/* Waits until something is mounted at the target's directory and answers. */
static int wait_mounted(struct target *t, dev_t below, const char *log_path, struct err_text *text)
{
        char line[256];
        struct stat st;

        for (double end = bench_now() + START_S; bench_now() < end; sleep_ms(10)) {
                if (waitpid(t->pid, NULL, WNOHANG) == t->pid) {
                        t->pid = 0;
                        last_line(log_path, line, sizeof(line));
                        return err_set(text, EIO, "%s did not mount: %s", t->name, line);
                }
                if (stat(t->dir, &st) == 0 && st.st_dev != below)
                        return 0;
        }
        return err_set(text, ETIMEDOUT, "%s did not mount within %g s", t->name, START_S);
}

static int mount_daemon(struct target *t, const char *const argv[], const struct target_paths *paths,
                        struct err_text *text)
{
        char log_path[PATH_MAX];
        struct stat st;
        int r = path_format(log_path, "%s/%s.log", paths->base, t->name);

        if (r == 0 && stat(t->dir, &st) < 0)
                r = -errno;
        if (r == 0)
                r = daemon_start(argv, log_path, &t->pid);
        if (r < 0)
                return err_set(text, -r, "%s: %s", t->name, strerror(-r));
        return wait_mounted(t, st.st_dev, log_path, text);
}

static int start_bindfs(struct target *t, const struct target_paths *paths, struct err_text *text)
{
        char source[PATH_MAX];
        int r = path_format(source, "%s/%s.source", paths->base, t->name);

        if (r == 0 && mkdir(source, 0755) < 0 && errno != EEXIST)
                r = -errno;
        if (r < 0)
                return err_set(text, -r, "%s: %s", source, strerror(-r));
        return mount_daemon(t, (const char *[]){ "bindfs", "-f", "--multithreaded", source, t->dir, NULL },
                            paths, text);
}

static int start_memfs(struct target *t, const struct target_paths *paths, struct err_text *text)
{
        const char *transport = t->id == TARGET_MEMFS_RINGS ? "uring" : "classic";
        bool writeback = t->id == TARGET_MEMFS_WB;

        return mount_daemon(t,
                            (const char *[]){ paths->memfs, "--transport", transport,
                                              writeback ? "--writeback" : t->dir, writeback ? t->dir : NULL,
                                              NULL },
                            paths, text);
}

static int start_ashlar(struct target *t, const struct target_paths *paths, struct err_text *text)
{
        char store[PATH_MAX], options[512];
        struct stat st;
        int r = path_format(store, "%s/%s.store", paths->base, t->name);

        if (r < 0)
                return err_set(text, -r, "%s: %s", t->name, strerror(-r));
        if (stat(store, &st) < 0)
                r = bench_spawn((const char *[]){ paths->ashlar, "mkfs", store, NULL }, NULL, -1, -1);
        if (r < 0)
                return err_set(text, -r, "%s mkfs %s failed", paths->ashlar, store);
        snprintf(options, sizeof(options), "transport=%s,%s%s%s",
                 t->id == TARGET_ASHLAR_RINGS ? "uring" : "classic",
                 t->id == TARGET_ASHLAR_WB ? "writeback_cache" : "nowriteback_cache",
                 paths->ashlar_options ? "," : "", paths->ashlar_options ? paths->ashlar_options : "");
        return mount_daemon(t,
                            (const char *[]){ paths->ashlar, "mount", "-f", "-o", options, store, t->dir,
                                              NULL },
                            paths, text);
}

int target_start(struct target *t, const struct target_paths *paths, struct err_text *text)
{
        int r = path_format(t->dir, "%s/%s", paths->base, t->name);

        if (r == 0 && mkdir(t->dir, 0755) < 0 && errno != EEXIST)
                r = -errno;
        if (r < 0)
                return err_set(text, -r, "%s: %s", t->dir, strerror(-r));
        switch (t->id) {
        case TARGET_BINDFS:
                r = start_bindfs(t, paths, text);
                break;
        case TARGET_MEMFS:
        case TARGET_MEMFS_WB:
        case TARGET_MEMFS_RINGS:
                r = start_memfs(t, paths, text);
                break;
        case TARGET_ASHLAR:
        case TARGET_ASHLAR_WB:
        case TARGET_ASHLAR_RINGS:
                r = start_ashlar(t, paths, text);
                break;
        default:
                break;
        }
        if (r < 0)
                return r;
        t->fd = open(t->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return t->fd >= 0 ? 0 : err_set(text, errno, "%s: %s", t->dir, strerror(errno));
}

/* ---- stopping ------------------------------------------------------------------------------------- */

static int unmount(const char *dir, bool lazy)
{
        if (geteuid() == 0)
                return umount2(dir, lazy ? MNT_DETACH : 0) < 0 ? -errno : 0;
        return bench_spawn(lazy ? (const char *[]){ "fusermount3", "-u", "-z", dir, NULL }
                                : (const char *[]){ "fusermount3", "-u", dir, NULL },
                           NULL, -1, -1);
}

static bool ended_within(pid_t pid, double seconds)
{
        for (double end = bench_now() + seconds; bench_now() < end; sleep_ms(10))
                if (waitpid(pid, NULL, WNOHANG) != 0)
                        return true;
        return false;
}

void target_stop(struct target *t)
{
        int r = -EBUSY;

        if (t->fd >= 0)
                close(t->fd);
        t->fd = -1;
        if (t->pid == 0)
                return;
        for (int n = 0; n < 20 && r == -EBUSY; n++) {
                if (n > 0)
                        sleep_ms(50);
                r = unmount(t->dir, false);
        }
        if (r < 0)
                unmount(t->dir, true);
        if (!ended_within(t->pid, STOP_S)) {
                bench_warn("%s does not end: killing it", t->name);
                kill(t->pid, SIGKILL);
                waitpid(t->pid, NULL, 0);
        }
        t->pid = 0;
}

/* ---- while it runs -------------------------------------------------------------------------------- */

double target_cpu_s(const struct target *t)
{
        struct timespec ts;
        clockid_t clock;

        if (t->pid == 0 || clock_getcpuclockid(t->pid, &clock) != 0 || clock_gettime(clock, &ts) < 0)
                return 0;
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int target_settle(const struct target *t)
{
        unsigned quiet = 0;
        double before = 0;

        /* The first for native and for dirty pages in front of a mount; the second reaches a daemon. */
        if (syncfs(t->fd) < 0 || fsync(t->fd) < 0)
                return -errno;
        if (t->pid == 0)
                return 0;
        for (double end = bench_now() + SETTLE_S; quiet < 3 && bench_now() < end; sleep_ms(10)) {
                double now = target_cpu_s(t);

                if (bench_interrupted())
                        return -EINTR;
                quiet = now - before < 0.0005 ? quiet + 1 : 0;
                before = now;
        }
        return 0;
}

int64_t target_rss_anon_kib(const struct target *t)
{
        _cleanup_fclose_ FILE *f = NULL;
        char path[64], line[256];
        long long kib;

        snprintf(path, sizeof(path), "/proc/%d/status", (int)t->pid);
        f = fopen(path, "re");
        if (!f)
                return -errno;
        while (fgets(line, sizeof(line), f))
                if (sscanf(line, "RssAnon: %lld kB", &kib) == 1)
                        return kib;
        return -ENODATA;
}

/* SPDX-License-Identifier: MIT */
/* posix DIR [GROUP[/TEST]...]: runs the tests, all of them or those named. Prints a line for each failure and
 * a summary; exit 0 if nothing failed, 77 if root's rights are missing. */
#include "posix.h"

#include <grp.h>
#include <stdarg.h>
#include <sys/wait.h>

enum { PASSED, FAILED, SKIPPED };

void posix_fail(const char *file, int line, const char *format, ...)
{
        const char *slash = strrchr(file, '/');
        va_list ap;

        printf("%s:%d: ", slash ? slash + 1 : file, line);
        va_start(ap, format);
        vprintf(format, ap);
        va_end(ap);
        putchar('\n');
        fflush(stdout);
        _exit(FAILED);
}

void posix_skip(const char *why)
{
        printf("skipped: %s\n", why);
        fflush(stdout);
        _exit(SKIPPED);
}

static int wait_for(pid_t pid)
{
        int status;

        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return FAILED;
        if (WIFSIGNALED(status))
                printf("killed by signal %d\n", WTERMSIG(status));
        return WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
}

void as_user(unsigned uid, void (*fn)(void *arg), void *arg)
{
        const gid_t groups[] = { uid, GROUP_C };
        pid_t pid = OK(fork());
        int r;

        if (pid == 0) {
                OK(setgroups(2, groups));
                OK(setresgid(uid, uid, uid));
                OK(setresuid(uid, uid, uid));
                fn(arg);
                _exit(PASSED);
        }
        r = wait_for(pid);
        if (r != PASSED)
                _exit(r);
}

void make(const char *path, mode_t mode, const char *content)
{
        size_t len = strlen(content);
        int fd = OK(open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));

        EQUAL(write(fd, content, len), len);
        OK(fchmod(fd, mode));
        OK(close(fd));
}

const char *content(const char *path)
{
        static char buf[4096];
        int fd = OK(open(path, O_RDONLY | O_CLOEXEC));
        ssize_t n = OK(read(fd, buf, sizeof(buf) - 1));

        close(fd);
        buf[n] = '\0';
        return buf;
}

struct stat stat_of(const char *path)
{
        struct stat st;

        OK(stat(path, &st));
        return st;
}

struct stat lstat_of(const char *path)
{
        struct stat st;

        OK(lstat(path, &st));
        return st;
}

mode_t mode_of(const char *path)
{
        return lstat_of(path).st_mode & 07777;
}

bool exists(const char *path)
{
        struct stat st;

        return lstat(path, &st) == 0;
}

static const struct posix_group *const groups[] = {
        &posix_open, &posix_name,  &posix_rename, &posix_dir,   &posix_attr,
        &posix_time, &posix_setid, &posix_data,   &posix_xattr, &posix_lock,
};

static bool is_wanted(const struct posix_group *g, const struct posix_test *t, char *const *wanted)
{
        if (!*wanted)
                return true;
        for (; *wanted; wanted++) {
                size_t n = strlen(g->name);

                if (strncmp(*wanted, g->name, n) == 0 &&
                    ((*wanted)[n] == '\0' || ((*wanted)[n] == '/' && strcmp(*wanted + n + 1, t->name) == 0)))
                        return true;
        }
        return false;
}

static int run_test(const char *dir, const struct posix_group *g, const struct posix_test *t)
{
        char path[4096];
        pid_t pid;
        int r;

        snprintf(path, sizeof(path), "%s/%s-%s", dir, g->name, t->name);
        if (mkdir(path, 0777) < 0) {
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
                exit(2);
        }
        fflush(stdout);
        pid = fork();
        if (pid == 0) {
                umask(0);
                if (chdir(path) < 0)
                        _exit(FAILED);
                t->run();
                _exit(PASSED);
        }
        r = wait_for(pid);
        if (r == FAILED)
                printf("FAILED %s/%s\n", g->name, t->name);
        return r;
}

int main(int argc, char **argv)
{
        unsigned count[3] = { 0 };

        if (argc < 2) {
                fprintf(stderr, "usage: %s DIR [GROUP[/TEST]...]\n", argv[0]);
                return 2;
        }
        if (geteuid() != 0) {
                fprintf(stderr, "skipped: must be root, to become other users\n");
                return 77;
        }
        for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
                for (const struct posix_test *t = groups[i]->tests; t->name; t++)
                        if (is_wanted(groups[i], t, argv + 2)) {
                                int r = run_test(argv[1], groups[i], t);

                                count[r == PASSED || r == SKIPPED ? r : FAILED]++;
                        }
        printf("%u passed, %u failed, %u skipped\n", count[PASSED], count[FAILED], count[SKIPPED]);
        return count[FAILED] > 0;
}

/* SPDX-License-Identifier: MIT */
/* The anonymous memory of a daemon under load. */
#include "bench.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FILES_PER_DIR = 10000 };

static int write_data(int dir_fd, uint64_t mib)
{
        int fd = openat(dir_fd, "data", O_WRONLY | O_CREAT | O_CLOEXEC, 0644), r = 0;

        if (fd < 0)
                return -errno;
        for (uint64_t i = 0; i < mib && r == 0; i++) {
                ssize_t n = write(fd, work_source(), WORK_BUFFER);

                r = bench_interrupted() ? -EINTR : n == WORK_BUFFER ? 0 : n < 0 ? -errno : -EIO;
        }
        if (r == 0 && fsync(fd) < 0)
                r = -errno;
        close(fd);
        return r;
}

/* All stay in the kernel's caches if it has enough memory, and so in the daemon's table of inodes in use. */
static int create_files(int dir_fd, uint64_t files)
{
        for (uint64_t i = 0; i < files; i++) {
                char path[32];
                int fd;

                snprintf(path, sizeof(path), "%u", (unsigned)(i / FILES_PER_DIR));
                if (i % FILES_PER_DIR == 0 && mkdirat(dir_fd, path, 0755) < 0)
                        return -errno;
                snprintf(path, sizeof(path), "%u/%u", (unsigned)(i / FILES_PER_DIR), (unsigned)i);
                fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
                if (fd < 0)
                        return -errno;
                close(fd);
                if (bench_interrupted())
                        return -EINTR;
        }
        return 0;
}

/* Runs WORK in a separate process, samples the daemon's memory during it, and prints a line of the table. */
static int watch(struct target *t, const char *title, int (*work)(int dir_fd, uint64_t amount),
                 uint64_t amount, double limit_mib)
{
        int64_t kib, peak_kib = 0;
        double begin = bench_now();
        int status = 0;
        pid_t pid;

        fflush(NULL);
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0)
                _exit(-work(t->fd, amount));
        while (waitpid(pid, &status, WNOHANG) == 0) {
                kib = target_rss_anon_kib(t);
                peak_kib = kib > peak_kib ? kib : peak_kib;
                nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
        begin = bench_now() - begin;
        target_settle(t);
        kib = target_rss_anon_kib(t);
        printf("| %s | %.1f | %.1f | %.1f | %s |\n", title, begin, (double)peak_kib / 1024,
               (double)kib / 1024, (double)peak_kib / 1024 < limit_mib ? "met" : "missed");
        fflush(stdout);
        return kib < 0 ? (int)kib : 0;
}

int memory_run(struct bench *b, struct target *t, uint64_t data_mib, uint64_t files)
{
        const double limit_mib = 200;
        char title[64];
        int r;

        printf("\nAnonymous resident memory of %s (limit %g MiB):\n\n"
               "| work | seconds | peak MiB | afterwards MiB | target |\n| --- | --- | --- | --- | --- |\n",
               t->name, limit_mib);
        snprintf(title, sizeof(title), "write %llu MiB to one file", (unsigned long long)data_mib);
        r = watch(t, title, write_data, data_mib, limit_mib);
        unlinkat(t->fd, "data", 0);
        if (r < 0)
                return r;
        snprintf(title, sizeof(title), "create %llu files", (unsigned long long)files);
        return watch(t, title, create_files, files, limit_mib);
}

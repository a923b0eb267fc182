/* SPDX-License-Identifier: MIT */
/* Metadata and small files. */
#include "bench.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SMALL = 4096 };

/* Short steps are repeated within a sample. */
enum { WARM_STATS = 10, WARM_READS = 4, COLD_LISTS = 4, WARM_LISTS = 20 };

/* The I-th of a worker's files, again from the first after the last. */
static const char *again(const struct worker *w, uint64_t i)
{
        return work_name(i % (w->pass->b->sizes.files / w->pass->threads));
}

static int op_create(struct worker *w, uint64_t i)
{
        int fd = openat(w->dir_fd, work_name(i), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

        if (fd < 0)
                return -errno;
        return close(fd) < 0 ? -errno : 0;
}

static int op_create_4k(struct worker *w, uint64_t i)
{
        int fd = openat(w->dir_fd, work_name(i), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = write(fd, work_source() + i % 256 * SMALL, SMALL);
        if (close(fd) < 0 || n != SMALL)
                return n < 0 ? -errno : -EIO;
        return 0;
}

static int op_stat(struct worker *w, uint64_t i)
{
        struct stat st;

        return fstatat(w->dir_fd, again(w, i), &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static int op_read_4k(struct worker *w, uint64_t i)
{
        int fd = openat(w->dir_fd, again(w, i), O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = read(fd, work_sink(w->index), SMALL);
        close(fd);
        return n == SMALL ? 0 : n < 0 ? -errno : -EIO;
}

static int op_rename(struct worker *w, uint64_t i)
{
        char to[32];

        snprintf(to, sizeof(to), "renamed-%s", work_name(i));
        return renameat(w->dir_fd, work_name(i), w->dir_fd, to) < 0 ? -errno : 0;
}

static int op_unlink(struct worker *w, uint64_t i)
{
        return unlinkat(w->dir_fd, work_name(i), 0) < 0 ? -errno : 0;
}

static int op_unlink_renamed(struct worker *w, uint64_t i)
{
        char name[32];

        snprintf(name, sizeof(name), "renamed-%s", work_name(i));
        return unlinkat(w->dir_fd, name, 0) < 0 ? -errno : 0;
}

static int op_mkdir(struct worker *w, uint64_t i)
{
        return mkdirat(w->dir_fd, work_name(i), 0755) < 0 ? -errno : 0;
}

static int op_rmdir(struct worker *w, uint64_t i)
{
        return unlinkat(w->dir_fd, work_name(i), AT_REMOVEDIR) < 0 ? -errno : 0;
}

/* One listing of the whole directory; all entries must come. */
static int list(struct worker *w, bool with_stat)
{
        int fd = openat(w->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
        uint64_t n = 0;
        struct dirent *e;
        struct stat st;

        if (!d)
                return -errno;
        while (r == 0 && (e = readdir(d))) {
                n++;
                if (with_stat && fstatat(w->dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        r = -errno;
        }
        closedir(d);
        if (r == 0 && n != w->pass->b->sizes.files / w->pass->threads + 2)
                r = -EIO;
        return r;
}

static int op_readdir(struct worker *w, uint64_t i)
{
        return list(w, false);
}

static int op_ls(struct worker *w, uint64_t i)
{
        return list(w, true);
}

/* TIMES times: drops the caches, and takes the time of the step. */
static int measure_cold(struct pass *p, enum row_id row, uint64_t total, unsigned times, worker_op op)
{
        struct cost sum = { 0 }, cost;
        int r = 0;

        if (!p->b->can_drop || !pass_wants(p, row))
                return 0;
        for (unsigned n = 0; n < times && r == 0; n++) {
                r = target_make_cold(p->t, p->dir_fd);
                if (r == 0)
                        r = pass_run(p, total, op, NULL, &cost);
                if (r == 0) {
                        sum.seconds += cost.seconds;
                        sum.cpu_s += cost.cpu_s;
                }
        }
        if (r == 0)
                pass_record(p, row, (double)p->b->sizes.files * times, sum);
        return r;
}

/* Once for the caches, and then the step with TIMES as many operations. */
static int measure_warm(struct pass *p, enum row_id row, uint64_t total, unsigned times, worker_op op)
{
        struct cost cost;
        int r;

        if (!pass_wants(p, row))
                return 0;
        r = pass_run(p, total, op, NULL, &cost);
        return r < 0 ? r : pass_measure(p, row, total * times, (double)p->b->sizes.files * times, op, NULL);
}

static int empty_files(struct pass *p)
{
        uint64_t n = p->b->sizes.files;
        struct cost cost;
        int r;

        if (!pass_wants(p, ROW_CREATE) && !pass_wants(p, ROW_RENAME))
                return 0;
        r = pass_run(p, n, op_create, NULL, &cost);
        if (r < 0)
                return r;
        pass_record(p, ROW_CREATE, (double)n, cost);
        r = target_settle(p->t);
        if (r == 0 && pass_wants(p, ROW_RENAME)) {
                r = pass_measure(p, ROW_RENAME, n, (double)n, op_rename, NULL);
                return r < 0 ? r : pass_run(p, n, op_unlink_renamed, NULL, &cost);
        }
        return r < 0 ? r : pass_run(p, n, op_unlink, NULL, &cost);
}

int group_files(struct pass *p)
{
        uint64_t n = p->b->sizes.files;
        struct cost cost;
        int r = empty_files(p);

        if (r == 0)
                r = target_settle(p->t);
        if (r == 0)
                r = pass_run(p, n, op_create_4k, NULL, &cost);
        if (r < 0)
                return r;
        pass_record(p, ROW_CREATE_4K, (double)n, cost);
        r = target_settle(p->t);
        if (r == 0)
                r = measure_cold(p, ROW_STAT_COLD, n, 1, op_stat);
        if (r == 0)
                r = measure_warm(p, ROW_STAT_WARM, n, WARM_STATS, op_stat);
        if (r == 0)
                r = measure_cold(p, ROW_READ_4K_COLD, n, 1, op_read_4k);
        if (r == 0)
                r = measure_warm(p, ROW_READ_4K_WARM, n, WARM_READS, op_read_4k);
        if (r == 0)
                r = measure_cold(p, ROW_READDIR_COLD, p->threads, COLD_LISTS, op_readdir);
        if (r == 0)
                r = measure_warm(p, ROW_READDIR_WARM, p->threads, WARM_LISTS, op_readdir);
        if (r == 0)
                r = measure_cold(p, ROW_LS_COLD, p->threads, COLD_LISTS, op_ls);
        if (r == 0)
                r = measure_warm(p, ROW_LS_WARM, p->threads, WARM_LISTS, op_ls);
        if (r == 0)
                r = pass_measure(p, ROW_UNLINK, n, (double)n, op_unlink, NULL);
        return r;
}

int group_dirs(struct pass *p)
{
        uint64_t n = p->b->sizes.dirs;
        struct cost cost;
        int r = pass_run(p, n, op_mkdir, NULL, &cost);

        if (r < 0)
                return r;
        pass_record(p, ROW_MKDIR, (double)n, cost);
        r = target_settle(p->t);
        return r < 0 ? r : pass_measure(p, ROW_RMDIR, n, (double)n, op_rmdir, NULL);
}

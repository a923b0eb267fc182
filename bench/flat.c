/* SPDX-License-Identifier: MIT */
/* The cost of one operation in a file system of a thousand files, and of a million. Each size has its own
 * mount, and the batches go through them in turn, so that noise affects all sizes equally. */
#include "bench.h"

#include "base/rng.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BATCH = FLAT_EXTRA_FILES, REPEATS = 9, SIZES_MAX = 4 };

enum flat_op { FLAT_CREATE, FLAT_LOOKUP, FLAT_UNLINK, FLAT_OPS };

/* One size: a directory with FILES files on its own mount. */
struct flat {
        struct target target;
        char name[32];
        uint64_t files;
        int dir_fd;
        double seconds[FLAT_OPS][REPEATS];
};

static int compare(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static int create_range(int dir_fd, uint64_t from, uint64_t to)
{
        for (uint64_t i = from; i < to; i++) {
                int fd = openat(dir_fd, work_name(i), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

                if (fd < 0)
                        return -errno;
                close(fd);
                if (bench_interrupted())
                        return -EINTR;
        }
        return 0;
}

static int unlink_range(int dir_fd, uint64_t from, uint64_t to)
{
        for (uint64_t i = from; i < to; i++)
                if (unlinkat(dir_fd, work_name(i), 0) < 0)
                        return -errno;
        return 0;
}

/* BATCH different ones, from all over the directory, in no order. */
static int lookup_some(int dir_fd, uint64_t files, struct rng *rng)
{
        uint64_t step = files / BATCH;
        struct stat st;

        for (uint64_t i = 0; i < BATCH; i++) {
                uint64_t part = i * 617 % BATCH; /* 617 and BATCH have no common factor */

                if (fstatat(dir_fd, work_name(part * step + rng_below(rng, step)), &st, 0) < 0)
                        return -errno;
        }
        return 0;
}

static int settle_all(struct flat *all, unsigned n)
{
        int r = 0;

        for (unsigned i = 0; i < n && r == 0; i++)
                r = target_settle(&all[i].target);
        return r;
}

/* The N-th batch on one size. The caches are dropped for all mounts, so all must be idle again. */
static int batch(struct flat *all, unsigned n_all, struct flat *f, struct rng *rng, unsigned n)
{
        double begin;
        int r = settle_all(all, n_all);

        begin = bench_now();
        if (r == 0)
                r = create_range(f->dir_fd, f->files, f->files + BATCH);
        f->seconds[FLAT_CREATE][n] = bench_now() - begin;
        if (r == 0)
                r = settle_all(all, n_all);
        if (r == 0)
                r = target_drop_entries(&f->target);
        if (r == 0)
                r = settle_all(all, n_all);
        begin = bench_now();
        if (r == 0)
                r = lookup_some(f->dir_fd, f->files, rng);
        f->seconds[FLAT_LOOKUP][n] = bench_now() - begin;
        begin = bench_now();
        if (r == 0)
                r = unlink_range(f->dir_fd, f->files, f->files + BATCH);
        f->seconds[FLAT_UNLINK][n] = bench_now() - begin;
        return r;
}

static int start_one(struct bench *b, enum target_id id, uint64_t files, struct flat *f)
{
        struct err_text text;
        int r;

        *f = (struct flat){ .target = b->targets[id], .files = files, .dir_fd = -1 };
        snprintf(f->name, sizeof(f->name), "%s-%llu", b->targets[id].name, (unsigned long long)files);
        f->target.name = f->name;
        r = target_start(&f->target, &b->paths, &text);
        if (r < 0) {
                bench_warn("%s", text.text);
                return r;
        }
        if (mkdirat(f->target.fd, "flat", 0755) < 0)
                return -errno;
        f->dir_fd = openat(f->target.fd, "flat", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return f->dir_fd < 0 ? -errno : create_range(f->dir_fd, 0, files);
}

static void print_all(struct flat *all, unsigned n, const char *name)
{
        double first[FLAT_OPS];

        printf("\nMicroseconds per operation on %s (times that of 1000 files), medians of %d batches of %d:\n"
               "\n| files | create | cold lookup | unlink |\n| --- | --- | --- | --- |\n",
               name, REPEATS, BATCH);
        for (unsigned i = 0; i < n; i++) {
                printf("| %llu |", (unsigned long long)all[i].files);
                for (int op = 0; op < FLAT_OPS; op++) {
                        double us;

                        qsort(all[i].seconds[op], REPEATS, sizeof(double), compare);
                        us = all[i].seconds[op][REPEATS / 2] * 1e6 / BATCH;
                        if (i == 0)
                                first[op] = us;
                        printf(" %.1f (%.2f) |", us, us / first[op]);
                }
                printf("\n");
        }
        fflush(stdout);
}

int flat_run(struct bench *b, enum target_id id, uint64_t files_max)
{
        struct flat all[SIZES_MAX];
        struct rng rng;
        unsigned n = 0;
        int r = 0;

        rng_seed(&rng, b->seed);
        for (uint64_t files = 1000; files <= files_max && n < SIZES_MAX && r == 0; files *= 10)
                r = start_one(b, id, files, &all[n++]);
        for (unsigned k = 0; k < REPEATS && r == 0; k++)
                for (unsigned i = 0; i < n && r == 0; i++)
                        r = batch(all, n, &all[i], &rng, k);
        if (r == 0)
                print_all(all, n, b->targets[id].name);
        for (unsigned i = 0; i < n; i++) {
                if (all[i].dir_fd >= 0)
                        close(all[i].dir_fd);
                target_stop(&all[i].target);
        }
        return r;
}

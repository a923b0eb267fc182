/* What one operation costs in a directory of a thousand files, and of a million. */
#include "bench.h"

#include "rng.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BATCH = 1000, REPEATS = 5 };

enum flat_op { FLAT_CREATE, FLAT_LOOKUP, FLAT_UNLINK, FLAT_OPS };

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

/* Times each operation on BATCH files, in a directory that has FILES others. */
static int measure(struct target *t, int dir_fd, uint64_t files, struct rng *rng,
                   double us[static FLAT_OPS])
{
        double values[FLAT_OPS][REPEATS], begin;
        int r = 0;

        for (unsigned n = 0; n < REPEATS && r == 0; n++) {
                r = target_settle(t);
                begin = bench_now();
                if (r == 0)
                        r = create_range(dir_fd, files, files + BATCH);
                values[FLAT_CREATE][n] = bench_now() - begin;
                if (r == 0)
                        r = target_settle(t);
                if (r == 0)
                        r = target_drop_entries(t);
                begin = bench_now();
                if (r == 0)
                        r = lookup_some(dir_fd, files, rng);
                values[FLAT_LOOKUP][n] = bench_now() - begin;
                begin = bench_now();
                if (r == 0)
                        r = unlink_range(dir_fd, files, files + BATCH);
                values[FLAT_UNLINK][n] = bench_now() - begin;
        }
        for (int op = 0; op < FLAT_OPS; op++) {
                qsort(values[op], REPEATS, sizeof(double), compare);
                us[op] = values[op][REPEATS / 2] * 1e6 / BATCH;
        }
        return r;
}

static int grow_and_measure(struct bench *b, struct target *t, int dir_fd, uint64_t files_max)
{
        double first[FLAT_OPS], us[FLAT_OPS];
        uint64_t files = 0;
        struct rng rng;
        int r = 0;

        rng_seed(&rng, b->seed);
        printf("\nMicroseconds per operation on %s (times that at 1000 files), medians of %d batches of %d:\n\n"
               "| files in the directory | create | cold lookup | unlink |\n| --- | --- | --- | --- |\n",
               t->name, REPEATS, BATCH);
        for (uint64_t size = 1000; size <= files_max && r == 0; size *= 10) {
                r = create_range(dir_fd, files, size);
                files = size;
                if (r == 0)
                        r = measure(t, dir_fd, size, &rng, us);
                if (r < 0)
                        break;
                printf("| %llu |", (unsigned long long)size);
                for (int op = 0; op < FLAT_OPS; op++) {
                        if (size == 1000)
                                first[op] = us[op];
                        printf(" %.1f (%.2f) |", us[op], us[op] / first[op]);
                }
                printf("\n");
                fflush(stdout);
        }
        return r;
}

int flat_run(struct bench *b, struct target *t, uint64_t files_max)
{
        int dir_fd, r;

        if (mkdirat(t->fd, "flat", 0755) < 0)
                return -errno;
        dir_fd = openat(t->fd, "flat", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir_fd < 0)
                return -errno;
        r = grow_and_measure(b, t, dir_fd, files_max);
        close(dir_fd);
        return r;
}

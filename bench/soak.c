/* SPDX-License-Identifier: MIT */
/* Metadata work for minutes on several file systems, in short turns: how fast each kind of request was over
 * all of the time, and how long the longest one took. */
#include "bench.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TURN = 100, SMALL = 4096 }; /* TURN: times that a thread does all there is */

enum soak_op { SOAK_CREATE, SOAK_LOOKUP, SOAK_RENAME, SOAK_UNLINK, SOAK_MKDIR, SOAK_RMDIR, SOAK_OPS };

static const char *const titles[SOAK_OPS] = {
        [SOAK_CREATE] = "create-4k", [SOAK_LOOKUP] = "lookup", [SOAK_RENAME] = "rename",
        [SOAK_UNLINK] = "unlink",    [SOAK_MKDIR] = "mkdir",   [SOAK_RMDIR] = "rmdir",
};

/* What one thread on one file system saw. */
struct seen {
        uint64_t n; /* of each kind */
        double seconds[SOAK_OPS], longest[SOAK_OPS];
};

static struct seen seen[BENCH_THREADS_MAX][TARGET_COUNT][BENCH_THREADS_MAX]; /* [threads - 1][..][index] */

static int do_create(struct worker *w)
{
        int fd = openat(w->dir_fd, "file", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = write(fd, work_source(), SMALL);
        if (close(fd) < 0 || n != SMALL)
                return n < 0 ? -errno : -EIO;
        return 0;
}

/* Looks up a new name, which the kernel cannot have cached. */
static int do_lookup(struct worker *w, uint64_t n)
{
        struct stat st;
        char name[32];

        snprintf(name, sizeof(name), "missing-%llu", (unsigned long long)n);
        return fstatat(w->dir_fd, name, &st, 0) < 0 && errno == ENOENT ? 0 : -EIO;
}

static int do_one(struct worker *w, enum soak_op op, uint64_t n)
{
        int r = 0;

        switch (op) {
        case SOAK_CREATE:
                return do_create(w);
        case SOAK_LOOKUP:
                return do_lookup(w, n);
        case SOAK_RENAME:
                r = renameat(w->dir_fd, "file", w->dir_fd, "renamed");
                break;
        case SOAK_UNLINK:
                r = unlinkat(w->dir_fd, "renamed", 0);
                break;
        case SOAK_MKDIR:
                r = mkdirat(w->dir_fd, "dir", 0755);
                break;
        case SOAK_RMDIR:
                r = unlinkat(w->dir_fd, "dir", AT_REMOVEDIR);
                break;
        case SOAK_OPS:
                break;
        }
        return r < 0 ? -errno : 0;
}

static int op_all(struct worker *w, uint64_t i)
{
        struct seen *s = &seen[w->pass->threads - 1][w->pass->t->id][w->index];
        double before = bench_now(), now;

        for (int op = 0; op < SOAK_OPS; op++) {
                int r = do_one(w, (enum soak_op)op, s->n);

                if (r < 0)
                        return r;
                now = bench_now();
                s->seconds[op] += now - before;
                if (now - before > s->longest[op])
                        s->longest[op] = now - before;
                before = now;
        }
        s->n++;
        return 0;
}

static int turn(struct bench *b, struct target *t, unsigned threads)
{
        struct cost cost;
        struct pass p;
        int r = pass_begin(&p, b, t, threads, 0);

        if (r == 0)
                r = pass_run(&p, TURN * threads, op_all, NULL, &cost);
        pass_end(&p);
        return r;
}

static void print_row(const struct bench *b, enum soak_op op, unsigned threads)
{
        printf("| %s | %u |", titles[op], threads);
        for (int t = 0; t < TARGET_COUNT; t++) {
                double rate = 0, longest = 0;

                if (!b->targets[t].wanted)
                        continue;
                for (unsigned i = 0; i < threads; i++) {
                        const struct seen *s = &seen[threads - 1][t][i];

                        rate += (double)s->n / s->seconds[op];
                        if (s->longest[op] > longest)
                                longest = s->longest[op];
                }
                printf(" %.2f | %.0f |", rate / 1000, longest * 1000);
        }
        printf("\n");
}

static void print_all(const struct bench *b, double seconds)
{
        printf("\nEach file system in turns for %.0f seconds in all, %u processes a CPU beside it that never "
               "sleep: 1000/s over all of the time, and the longest one in ms:\n\n| operation | threads |",
               seconds, b->hogs);
        for (int t = 0; t < TARGET_COUNT; t++)
                if (b->targets[t].wanted)
                        printf(" %s | longest |", b->targets[t].name);
        printf("\n| --- | --- |");
        for (int t = 0; t < TARGET_COUNT; t++)
                if (b->targets[t].wanted)
                        printf(" --- | --- |");
        printf("\n");
        for (int op = 0; op < SOAK_OPS; op++)
                for (unsigned threads = 1; threads <= b->threads_max; threads++)
                        print_row(b, (enum soak_op)op, threads);
        fflush(stdout);
}

int soak_run(struct bench *b, double seconds)
{
        double end = bench_now();
        struct hogs *hogs = NULL;
        int r = b->hogs > 0 ? hogs_start(b->hogs, &hogs) : 0;

        for (int t = 0; t < TARGET_COUNT; t++)
                if (b->targets[t].wanted)
                        end += seconds;
        while (r == 0 && bench_now() < end)
                for (unsigned threads = 1; threads <= b->threads_max && r == 0; threads++)
                        for (int t = 0; t < TARGET_COUNT && r == 0; t++)
                                if (b->targets[t].wanted)
                                        r = turn(b, &b->targets[t], threads);
        hogs_stop(hogs);
        if (r == 0)
                print_all(b, seconds);
        return r;
}

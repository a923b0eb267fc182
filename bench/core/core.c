/* SPDX-License-Identifier: MIT */
/* The cost of the core in one process, without FUSE: names and small data over a store, with the committer's
 * thread included. Prints a Markdown table. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/rng.h"
#include "fs/fs.h"
#include "kv/layer/layer.h"
#include "kv/testing/testing.h"
#include "maint/maint.h"

#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define ROOT_INO 1u
#define SMALL    1000u /* files, of the small directory that the large one is compared with */

struct options {
        const char *url; /* NULL: lmdb in a temporary directory, removed at the end */
        unsigned files;  /* of the rates */
        unsigned large;  /* files of the large directory; 0: no comparison */
        uint32_t block_size;
        bool writebehind;
        int cpu; /* everything runs on this one; -1: everywhere */
};

static void die(const char *what, int err)
{
        fprintf(stderr, "core_bench: %s: %s\n", what, err_str(err));
        exit(1);
}

static void check(const char *what, int r)
{
        if (r < 0)
                die(what, r);
}

static double seconds(clockid_t clock)
{
        struct timespec t;

        clock_gettime(clock, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A whole core: the store, the layers over it, and the file system. */
struct core {
        struct kv_store *store;
        struct fs *fs;
};

static void core_open(struct core *c, const struct options *o, const char *url)
{
        const struct kv_open_opts open_opts = { .flags = KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE,
                                                .owner = "core_bench" };
        const struct kv_writebehind_opts behind = { 0 };
        const struct maint_mkfs_opts mkfs_opts = { .block_size = o->block_size, .force = true };
        struct err_text text = { "" };

        if (kv_testing_open(url, &open_opts, &c->store, &text) < 0 ||
            maint_mkfs(c->store, &mkfs_opts, NULL, &text) < 0) {
                fprintf(stderr, "core_bench: %s\n", text.text);
                exit(1);
        }
        if (o->writebehind) {
                struct kv_store *below = c->store;

                check("writebehind", kv_writebehind_open(below, &behind, &c->store));
        }
        if (fs_open(c->store, &(struct fs_open_opts){ .atime = FS_NOATIME }, &c->fs, &text) < 0) {
                fprintf(stderr, "core_bench: %s\n", text.text);
                exit(1);
        }
}

static void core_close(struct core *c)
{
        fs_close(c->fs);
        check("close", kv_close(c->store));
}

/* ---- operations: each does the Nth of its kind ---------------------------------------------------- */

struct workload {
        struct fs *fs;
        uint64_t dir, file;
        uint8_t block[4096];
        struct rng rng;
        unsigned files;
};

typedef void (*operation)(struct workload *p, unsigned n);

static struct slice name_of(unsigned n, char buf[16])
{
        return slice_of(buf, (size_t)snprintf(buf, 16, "file%08u", n));
}

static const struct fs_cred nobody = { .uid = 65534, .gid = 65534 };

static void op_create(struct workload *p, unsigned n)
{
        struct fs_attr attr;
        char buf[16];

        check("create", fs_mknod(p->fs, &nobody, p->dir, name_of(n, buf), S_IFREG | 0644, 0, &attr));
        fs_forget(p->fs, attr.ino, 1);
}

static void op_lookup(struct workload *p, unsigned n)
{
        struct fs_attr attr;
        char buf[16];

        check("lookup", fs_lookup(p->fs, p->dir, name_of(n % p->files, buf), &attr));
        fs_forget(p->fs, attr.ino, 1);
}

static void op_lookup_random(struct workload *p, unsigned n)
{
        op_lookup(p, (unsigned)rng_below(&p->rng, p->files));
}

static void op_unlink(struct workload *p, unsigned n)
{
        char buf[16];

        check("unlink", fs_unlink(p->fs, p->dir, name_of(n, buf)));
}

static void op_create_write(struct workload *p, unsigned n)
{
        struct fs_attr attr;
        char buf[16];

        check("create", fs_mknod(p->fs, &nobody, p->dir, name_of(n, buf), S_IFREG | 0644, 0, &attr));
        check("write", (int)fs_write(p->fs, attr.ino, 0, slice_of(p->block, sizeof(p->block)), 0));
        fs_forget(p->fs, attr.ino, 1);
}

static void op_append(struct workload *p, unsigned n)
{
        check("write", (int)fs_write(p->fs, p->file, (uint64_t)n * sizeof(p->block),
                                     slice_of(p->block, sizeof(p->block)), 0));
}

static void op_overwrite(struct workload *p, unsigned n)
{
        op_append(p, (unsigned)rng_below(&p->rng, p->files));
}

static int take_data(const struct iovec *iov, int n, size_t len, void *arg)
{
        struct workload *p = arg;
        size_t at = 0;

        for (int i = 0; i < n; at += iov[i].iov_len, i++)
                memcpy(p->block + at, iov[i].iov_base, iov[i].iov_len);
        return (int)len;
}

static void op_read(struct workload *p, unsigned n)
{
        check("read", fs_read(p->fs, p->file, rng_below(&p->rng, p->files) * sizeof(p->block),
                              sizeof(p->block), 0, take_data, p));
}

static void op_mebibyte(struct workload *p, unsigned n)
{
        static uint8_t data[1 << 20];

        if (n == 0)
                rng_fill(&p->rng, data, sizeof(data));
        check("write", (int)fs_write(p->fs, p->file, (uint64_t)n << 20, slice_of(data, sizeof(data)), 0));
}

/* ---- measuring ----------------------------------------------------------------------------------- */

/* Operations FIRST to FIRST + COUNT, and if SYNC also until they are durable: microseconds for each, and
 * (RET_CPU may be NULL) those of all threads' processor time. */
static double run(struct workload *p, operation op, unsigned first, unsigned count, bool sync,
                  double *ret_cpu)
{
        double start = seconds(CLOCK_MONOTONIC), cpu_start = seconds(CLOCK_PROCESS_CPUTIME_ID);

        for (unsigned i = 0; i < count; i++)
                op(p, first + i);
        if (sync)
                check("sync", fs_sync(p->fs));
        if (ret_cpu)
                *ret_cpu = (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_start) * 1e6 / count;
        return (seconds(CLOCK_MONOTONIC) - start) * 1e6 / count;
}

static void row(struct workload *p, const char *what, operation op, unsigned count, bool sync)
{
        double cpu, us = run(p, op, 0, count, sync, &cpu);

        printf("| %s | %.0f | %.2f | %.2f | %.0f |\n", what, 1e6 / us, us, cpu, 1e6 / cpu);
        fflush(stdout);
}

static uint64_t make(struct workload *p, const char *name, uint32_t mode)
{
        struct fs_attr attr;

        check(name, S_ISDIR(mode) ? fs_mkdir(p->fs, &nobody, ROOT_INO, slice_str(name), mode, &attr)
                                  : fs_mknod(p->fs, &nobody, ROOT_INO, slice_str(name), mode, 0, &attr));
        return attr.ino;
}

static void rates(const struct options *o, const char *url)
{
        struct workload p = { .files = o->files };
        struct core core;

        core_open(&core, o, url);
        p.fs = core.fs;
        rng_seed(&p.rng, 1);
        memset(p.block, 'x', sizeof(p.block));
        printf("| operation (%u files) | per second | us | us of processor | per second of processor |\n"
               "| --- | ---: | ---: | ---: | ---: |\n",
               o->files);

        p.dir = make(&p, "empty", S_IFDIR | 0755);
        row(&p, "create", op_create, o->files, true);
        row(&p, "lookup in order", op_lookup, o->files, false);
        row(&p, "lookup at random", op_lookup_random, o->files, false);
        row(&p, "unlink", op_unlink, o->files, true);
        p.dir = make(&p, "small", S_IFDIR | 0755);
        row(&p, "create and write 4 KiB", op_create_write, o->files, true);
        row(&p, "unlink with 4 KiB", op_unlink, o->files, true);
        p.file = make(&p, "file", S_IFREG | 0644);
        row(&p, "append 4 KiB", op_append, o->files, true);
        row(&p, "overwrite 4 KiB at random", op_overwrite, o->files / 4, true);
        row(&p, "read 4 KiB at random", op_read, o->files, false);
        p.file = make(&p, "bulk", S_IFREG | 0644);
        row(&p, "write 1 MiB", op_mebibyte, o->files / 200 + 1, true);
        core_close(&core);
}

/* Microseconds of one operation in a directory that holds P->files files, the best of a few rounds: other
 * load on the machine only adds time. BEFORE and AFTER (may be NULL) prepare the next round. */
static double best(struct workload *p, operation op, operation before, operation after)
{
        double least = 0;

        for (unsigned round = 0; round < 10; round++) {
                double us;

                if (before)
                        run(p, before, p->files, SMALL, true, NULL);
                us = run(p, op, p->files, SMALL, false, NULL);
                if (after)
                        run(p, after, p->files, SMALL, false, NULL);
                check("sync", fs_sync(p->fs));
                if (round == 0 || us < least)
                        least = us;
        }
        return least;
}

/* Costs in a directory of FILES. */
static void costs(const struct options *o, const char *url, unsigned files, double ret[4])
{
        struct workload p = { .files = files };
        struct core core;

        core_open(&core, o, url);
        p.fs = core.fs;
        rng_seed(&p.rng, 1);
        p.dir = make(&p, "files", S_IFDIR | 0755);
        run(&p, op_create, 0, files, true, NULL);
        ret[0] = best(&p, op_create, NULL, op_unlink);
        ret[1] = best(&p, op_lookup, NULL, NULL);
        ret[2] = best(&p, op_lookup_random, NULL, NULL);
        ret[3] = best(&p, op_unlink, op_create, NULL);
        core_close(&core);
}

static void flatness(const struct options *o, const char *url)
{
        static const char *const names[] = { "create", "lookup in order", "lookup at random", "unlink" };
        double small[4], large[4];

        if (o->large == 0)
                return;
        costs(o, url, SMALL, small);
        costs(o, url, o->large, large);
        printf("\n| cost in microseconds | %u files | %u files | ratio |\n| --- | ---: | ---: | ---: |\n",
               SMALL, o->large);
        for (unsigned i = 0; i < 4; i++)
                printf("| %s | %.2f | %.2f | %.2f |\n", names[i], small[i], large[i], large[i] / small[i]);
}

/* ---- main ---------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        (void)st;
        (void)type;
        (void)ftw;
        return remove(path);
}

static void usage(FILE *out)
{
        fputs("Usage: core_bench [--files N] [--large N] [--store URL] [--block-size BYTES] [--cpu N]\n"
              "                  [--no-writebehind]\n"
              "Measures the core of ashlar without FUSE: rates with N files (200,000), and the cost of an\n"
              "operation among 1,000 files beside one among N (1,000,000; 0: not). The store at URL\n"
              "is erased; without one it is a directory below $TMPDIR, removed afterwards. With --cpu all\n"
              "threads share one core.\n",
              out);
}

static void parse(int argc, char **argv, struct options *o)
{
        static const struct option longs[] = {
                { "files", required_argument, NULL, 'n' },    { "large", required_argument, NULL, 'l' },
                { "store", required_argument, NULL, 's' },    { "block-size", required_argument, NULL, 'b' },
                { "no-writebehind", no_argument, NULL, 'w' }, { "cpu", required_argument, NULL, 'c' },
                { "help", no_argument, NULL, 'h' },           { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
                switch (c) {
                case 'n':
                        o->files = (unsigned)strtoul(optarg, NULL, 10);
                        break;
                case 'l':
                        o->large = (unsigned)strtoul(optarg, NULL, 10);
                        break;
                case 's':
                        o->url = optarg;
                        break;
                case 'b':
                        o->block_size = (uint32_t)strtoul(optarg, NULL, 10);
                        break;
                case 'w':
                        o->writebehind = false;
                        break;
                case 'c':
                        o->cpu = atoi(optarg);
                        break;
                default:
                        usage(c == 'h' ? stdout : stderr);
                        exit(c == 'h' ? 0 : 2);
                }
        }
        if (o->files < SMALL || (o->large != 0 && o->large < SMALL)) {
                fprintf(stderr, "core_bench: at least %u files\n", SMALL);
                exit(2);
        }
}

int main(int argc, char **argv)
{
        struct options o = { .files = 200000, .large = 1000000, .writebehind = true, .cpu = -1 };
        const char *tmp = getenv("TMPDIR");
        char dir[4096];

        parse(argc, argv, &o);
        if (o.cpu >= 0) {
                cpu_set_t set;

                CPU_ZERO(&set);
                CPU_SET(o.cpu, &set);
                check("cpu", sched_setaffinity(0, sizeof(set), &set) < 0 ? -errno : 0);
        }
        if (o.url) {
                rates(&o, o.url);
                flatness(&o, o.url);
                return 0;
        }
        snprintf(dir, sizeof(dir), "%s/core_bench.XXXXXX", tmp ? tmp : "/tmp");
        if (!mkdtemp(dir))
                die(dir, errno);
        rates(&o, dir);
        flatness(&o, dir);
        nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        return 0;
}

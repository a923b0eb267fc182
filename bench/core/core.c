/* What the core costs in one process, without FUSE: names and small data over a store, with the committer's
 * thread included. Prints a Markdown table. */
#include "cleanup.h"
#include "clock.h"
#include "fs.h"
#include "rng.h"
#include "wrap.h"

#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#define ROOT_INO 1u
#define SMALL 1000u /* files, of the small directory that the large one is compared with */

struct options {
        const char *url; /* NULL: lmdb in a directory of our own, removed in the end */
        unsigned files;
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

static double seconds(void)
{
        return (double)clock_system.monotonic_ns(&clock_system) / 1e9;
}

/* A whole core: the store, what lies over it, and the file system. */
struct core {
        struct kv_store *store;
        struct fs *fs;
};

static void core_open(struct core *c, const struct options *o, const char *url)
{
        struct err_text text = { "" };

        if (kv_open(url, &(struct kv_open_opts){ .flags = KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE, .owner = "core_bench" },
                    &c->store, &text) < 0 ||
            fs_mkfs(c->store, &(struct fs_mkfs_opts){ .block_size = o->block_size, .force = true }, NULL,
                    &text) < 0) {
                fprintf(stderr, "core_bench: %s\n", text.text);
                exit(1);
        }
        if (o->writebehind) {
                struct kv_store *below = c->store;

                check("writebehind", kv_writebehind_open(below, &(struct kv_writebehind_opts){ 0 }, &c->store));
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

struct place {
        struct fs *fs;
        uint64_t dir, file;
        uint8_t block[4096];
        struct rng rng;
        unsigned files;
};

typedef void (*operation)(struct place *p, unsigned n);

static struct slice name_of(unsigned n, char buf[16])
{
        return slice_of(buf, (size_t)snprintf(buf, 16, "file%08u", n));
}

static const struct fs_cred nobody = { .uid = 65534, .gid = 65534 };

static void op_create(struct place *p, unsigned n)
{
        struct fs_attr attr;
        char buf[16];

        check("create", fs_mknod(p->fs, &nobody, p->dir, name_of(n, buf), S_IFREG | 0644, 0, &attr));
        fs_forget(p->fs, attr.ino, 1);
}

static void op_lookup(struct place *p, unsigned n)
{
        struct fs_attr attr;
        char buf[16];

        (void)n;
        check("lookup", fs_lookup(p->fs, p->dir, name_of((unsigned)rng_below(&p->rng, p->files), buf), &attr));
        fs_forget(p->fs, attr.ino, 1);
}

static void op_lookup_in_order(struct place *p, unsigned n)
{
        struct fs_attr attr;
        char buf[16];

        check("lookup", fs_lookup(p->fs, p->dir, name_of(n % p->files, buf), &attr));
        fs_forget(p->fs, attr.ino, 1);
}

static void op_unlink(struct place *p, unsigned n)
{
        char buf[16];

        check("unlink", fs_unlink(p->fs, p->dir, name_of(n, buf)));
}

static void op_create_write(struct place *p, unsigned n)
{
        struct fs_attr attr;
        char buf[16];

        check("create", fs_mknod(p->fs, &nobody, p->dir, name_of(n, buf), S_IFREG | 0644, 0, &attr));
        check("write", (int)fs_write(p->fs, attr.ino, 0, slice_of(p->block, sizeof(p->block)), 0));
        fs_forget(p->fs, attr.ino, 1);
}

static void op_append(struct place *p, unsigned n)
{
        check("write", (int)fs_write(p->fs, p->file, (uint64_t)n * sizeof(p->block),
                                     slice_of(p->block, sizeof(p->block)), 0));
}

static void op_overwrite(struct place *p, unsigned n)
{
        op_append(p, (unsigned)rng_below(&p->rng, p->files));
}

static int take_data(const struct iovec *iov, int n, size_t len, void *arg)
{
        struct place *p = arg;
        size_t at = 0;

        for (int i = 0; i < n; at += iov[i].iov_len, i++)
                memcpy(p->block + at, iov[i].iov_base, iov[i].iov_len);
        return (int)len;
}

static void op_read(struct place *p, unsigned n)
{
        check("read", fs_read(p->fs, p->file, rng_below(&p->rng, p->files) * sizeof(p->block),
                              sizeof(p->block), take_data, p));
}

static void op_mebibyte(struct place *p, unsigned n)
{
        static uint8_t data[1 << 20];

        if (n == 0)
                rng_fill(&p->rng, data, sizeof(data));
        check("write", (int)fs_write(p->fs, p->file, (uint64_t)n << 20, slice_of(data, sizeof(data)), 0));
}

/* ---- measuring ----------------------------------------------------------------------------------- */

/* Operations FIRST to FIRST + COUNT, and if SYNC also until they are durable: ns for each. */
static double run(struct place *p, operation op, unsigned first, unsigned count, bool sync)
{
        double start = seconds();

        for (unsigned i = 0; i < count; i++)
                op(p, first + i);
        if (sync)
                check("sync", fs_sync(p->fs));
        return (seconds() - start) * 1e9 / count;
}

static void row(const char *what, double ns)
{
        printf("| %s | %.0f | %.2f |\n", what, 1e9 / ns, ns / 1000);
        fflush(stdout);
}

static uint64_t make(struct place *p, const char *name, uint32_t mode)
{
        struct fs_attr attr;

        check(name, S_ISDIR(mode) ? fs_mkdir(p->fs, &nobody, ROOT_INO, slice_str(name), mode, &attr) :
                                    fs_mknod(p->fs, &nobody, ROOT_INO, slice_str(name), mode, 0, &attr));
        return attr.ino;
}

static void rates(const struct options *o, const char *url)
{
        struct place p = { .files = o->files };
        struct core core;

        core_open(&core, o, url);
        p.fs = core.fs;
        rng_seed(&p.rng, 1);
        memset(p.block, 'x', sizeof(p.block));
        printf("| operation (%u files) | per second | microseconds |\n| --- | ---: | ---: |\n", o->files);

        p.dir = make(&p, "empty", S_IFDIR | 0755);
        row("create", run(&p, op_create, 0, o->files, true));
        row("lookup in order", run(&p, op_lookup_in_order, 0, o->files, false));
        row("lookup at random", run(&p, op_lookup, 0, o->files, false));
        row("unlink", run(&p, op_unlink, 0, o->files, true));
        p.dir = make(&p, "small", S_IFDIR | 0755);
        row("create and write 4 KiB", run(&p, op_create_write, 0, o->files, true));
        row("unlink with 4 KiB", run(&p, op_unlink, 0, o->files, true));
        p.file = make(&p, "file", S_IFREG | 0644);
        row("append 4 KiB", run(&p, op_append, 0, o->files, true));
        row("overwrite 4 KiB at random", run(&p, op_overwrite, 0, o->files / 4, true));
        row("read 4 KiB at random", run(&p, op_read, 0, o->files, false));
        p.file = make(&p, "bulk", S_IFREG | 0644);
        row("write 1 MiB", run(&p, op_mebibyte, 0, o->files / 200 + 1, true));
        core_close(&core);
}

/* Cost of one operation in a directory that holds P->files files, the best of a few rounds: what else runs on
 * the machine only adds. */
static double best(struct place *p, operation op, operation undo)
{
        double least = 0;

        for (unsigned round = 0; round < 10; round++) {
                double ns = run(p, op, p->files, SMALL, false);

                if (undo)
                        run(p, undo, p->files, SMALL, false);
                check("sync", fs_sync(p->fs));
                if (round == 0 || ns < least)
                        least = ns;
        }
        return least;
}

static double best_unlink(struct place *p)
{
        double least = 0;

        for (unsigned round = 0; round < 10; round++) {
                double ns;

                run(p, op_create, p->files, SMALL, true);
                ns = run(p, op_unlink, p->files, SMALL, false);
                check("sync", fs_sync(p->fs));
                if (round == 0 || ns < least)
                        least = ns;
        }
        return least;
}

/* Costs in a directory of FILES. */
static void costs(const struct options *o, const char *url, unsigned files, double ret[4])
{
        struct place p = { .files = files };
        struct core core;

        core_open(&core, o, url);
        p.fs = core.fs;
        rng_seed(&p.rng, 1);
        p.dir = make(&p, "files", S_IFDIR | 0755);
        run(&p, op_create, 0, files, true);
        ret[0] = best(&p, op_create, op_unlink);
        ret[1] = best(&p, op_lookup_in_order, NULL);
        ret[2] = best(&p, op_lookup, NULL);
        ret[3] = best_unlink(&p);
        core_close(&core);
}

static void flatness(const struct options *o, const char *url)
{
        static const char *const names[] = { "create", "lookup in order", "lookup at random", "unlink" };
        double small[4], large[4];

        costs(o, url, SMALL, small);
        costs(o, url, o->files, large);
        printf("\n| cost in microseconds | %u files | %u files | ratio |\n| --- | ---: | ---: | ---: |\n",
               SMALL, o->files);
        for (unsigned i = 0; i < 4; i++)
                printf("| %s | %.2f | %.2f | %.2f |\n", names[i], small[i] / 1000, large[i] / 1000,
                       large[i] / small[i]);
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
        fprintf(out, "Usage: core_bench [--files N] [--store URL] [--block-size BYTES] [--no-writebehind] [--cpu N]\n"
                     "Measures the core of ashlar without FUSE. The store at URL is erased; without one it is a\n"
                     "directory below $TMPDIR, removed afterwards. With --cpu all threads share one core.\n");
}

static void parse(int argc, char **argv, struct options *o)
{
        static const struct option longs[] = {
                { "files", required_argument, NULL, 'n' },
                { "store", required_argument, NULL, 's' },
                { "block-size", required_argument, NULL, 'b' },
                { "no-writebehind", no_argument, NULL, 'w' },
                { "cpu", required_argument, NULL, 'c' },
                { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
                switch (c) {
                case 'n':
                        o->files = (unsigned)strtoul(optarg, NULL, 10);
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
        if (o->files < SMALL) {
                fprintf(stderr, "core_bench: at least %u files\n", SMALL);
                exit(2);
        }
}

int main(int argc, char **argv)
{
        struct options o = { .files = 200000, .writebehind = true, .cpu = -1 };
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

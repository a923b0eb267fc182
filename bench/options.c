/* SPDX-License-Identifier: MIT */
/* The command line of ashlar-bench. */
#include "options.h"

#include "base/rng.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct bench_sizes sizes_default = {
        .files = 8000,
        .dirs = 4000,
        .stream_mib = 256,
        .random_mib = 64,
        .random_ops = 8192,
        .appends = 20000,
        .fsyncs = 100,
};

static const struct bench_sizes sizes_quick = {
        .files = 2000,
        .dirs = 1000,
        .stream_mib = 64,
        .random_mib = 16,
        .random_ops = 2048,
        .appends = 5000,
        .fsyncs = 30,
};

static const char usage[] =
        "usage: ashlar-bench [OPTION]...\n"
        "Compares file systems, row by row, and prints Markdown tables.\n"
        "\n"
        "  --fs LIST            of native,bindfs,memfs,ashlar,memfs-wb,ashlar-wb,memfs-rings,ashlar-rings\n"
        "                       (default: the first four)\n"
        "  --rows LIST          rows or groups of rows, see --list (default: all)\n"
        "  --writeback          also memfs and ashlar with the kernel's writeback cache\n"
        "  --rings              also memfs and ashlar on the transport by rings\n"
        "  --hogs N             with N processes a CPU that never sleep beside it\n"
        "  --rounds N           repetitions (default 4; with --quick 1)\n"
        "  --threads N          1: only with one thread; 2: with one and with two (default)\n"
        "  --quick              less of everything\n"
        "  --size NAME=N        files, dirs, stream-mib, random-mib, random-ops, appends or fsyncs\n"
        "  --tree DIR           what is unpacked (default /usr/include, with --quick /usr/include/linux)\n"
        "  --dir DIR            where the stores and the native directory are made (default /var/tmp)\n"
        "  --ashlar PATH        the ashlar program (default: the one beside this build)\n"
        "  --memfs PATH         the memfs program (default: likewise)\n"
        "  --ashlar-options O   additional mount options for ashlar\n"
        "  --json FILE          also writes all samples there\n"
        "  --flat[=N]           instead: cost per operation among 1000 to N (1000000) files\n"
        "  --memory[=MIB]       instead: memory while writing MIB (10240) and holding 1000000 files\n"
        "  --soak[=SECONDS]     instead: metadata work for so long (300) on each, and the longest request\n"
        "  --list               prints the names of groups and rows\n"
        "The seed is taken from ASHLAR_SEED if that is set.\n";

static bool number_of(const char *s, uint64_t min, uint64_t max, uint64_t *ret)
{
        char *end;
        unsigned long long v;

        errno = 0;
        v = strtoull(s, &end, 10);
        if (errno != 0 || end == s || *end || *s == '-' || v < min || v > max)
                return false;
        *ret = v;
        return true;
}

static bool set_size(struct bench_sizes *sizes, const char *arg)
{
        const struct {
                const char *name;
                unsigned *value;
                unsigned max;
        } all[] = {
                { "files", &sizes->files, 1000000 },           { "dirs", &sizes->dirs, 1000000 },
                { "stream-mib", &sizes->stream_mib, 1 << 20 }, { "random-mib", &sizes->random_mib, 1 << 20 },
                { "random-ops", &sizes->random_ops, 1 << 30 }, { "appends", &sizes->appends, 1 << 30 },
                { "fsyncs", &sizes->fsyncs, 1 << 20 },
        };
        const char *equals = strchr(arg, '=');
        uint64_t v;

        for (size_t i = 0; equals && i < sizeof(all) / sizeof(all[0]); i++) {
                if (strncmp(arg, all[i].name, (size_t)(equals - arg)) != 0 ||
                    strlen(all[i].name) != (size_t)(equals - arg))
                        continue;
                if (!number_of(equals + 1, BENCH_THREADS_MAX, all[i].max, &v))
                        return false;
                *all[i].value = (unsigned)v;
                return true;
        }
        return false;
}

static bool want_target(struct bench *b, const char *name)
{
        for (int t = 0; t < TARGET_COUNT; t++)
                if (strcmp(name, b->targets[t].name) == 0)
                        return b->targets[t].wanted = true;
        return false;
}

static bool want_rows(struct bench *b, const char *name)
{
        bool found = false;

        for (unsigned g = 0; g < bench_n_groups; g++)
                if (strcmp(name, bench_groups[g].name) == 0)
                        for (int r = (int)bench_groups[g].first; r <= (int)bench_groups[g].last; r++)
                                b->rows_wanted[r] = found = true;
        for (int r = 0; r < ROW_COUNT && !found; r++)
                if (strcmp(name, bench_rows[r].name) == 0)
                        b->rows_wanted[r] = found = true;
        return found;
}

static bool each_of(struct bench *b, char *list, bool (*want)(struct bench *, const char *))
{
        char *state = NULL;

        for (char *s = strtok_r(list, ",", &state); s; s = strtok_r(NULL, ",", &state)) {
                if (!want(b, s)) {
                        bench_warn("unknown name '%s'", s);
                        return false;
                }
        }
        return true;
}

static void list_names(void)
{
        for (unsigned g = 0; g < bench_n_groups; g++) {
                printf("%s:", bench_groups[g].name);
                for (int r = (int)bench_groups[g].first; r <= (int)bench_groups[g].last; r++)
                        printf(" %s", bench_rows[r].name);
                printf("\n");
        }
}

/* Programs are found beside this one, as the build places them. */
static void default_programs(struct bench *b)
{
        char self[PATH_MAX - 32];
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        char *slash;

        self[n > 0 ? n : 0] = '\0';
        slash = strrchr(self, '/');
        if (slash)
                *slash = '\0';
        snprintf(b->paths.ashlar, PATH_MAX, "%s/../ashlar", self);
        snprintf(b->paths.memfs, PATH_MAX, "%s/memfs/memfs", self);
}

static void seed_set(struct bench *b)
{
        const char *s = getenv("ASHLAR_SEED");

        if (!s || !number_of(s, 0, UINT64_MAX, &b->seed))
                rng_system(&b->seed, sizeof(b->seed));
}

static void set_defaults(struct bench *b)
{
        b->sizes = sizes_default;
        b->rounds = 4;
        b->threads_max = BENCH_THREADS_MAX;
        b->tree = "/usr/include";
        snprintf(b->paths.base, PATH_MAX, "/var/tmp");
        default_programs(b);
        seed_set(b);
        target_names(b->targets);
}

int options_parse(int argc, char **argv, struct bench *b, struct options *o)
{
        enum {
                FS = 1000,
                ROWS,
                WRITEBACK,
                ROUNDS,
                THREADS,
                QUICK,
                SIZE,
                TREE,
                DIR,
                ASHLAR,
                MEMFS,
                OPTIONS,
                RINGS,
                HOGS,
                JSON,
                FLAT,
                MEMORY,
                SOAK,
                LIST,
                HELP
        };
        static const struct option longs[] = {
                { "fs", required_argument, NULL, FS },
                { "rows", required_argument, NULL, ROWS },
                { "rings", no_argument, NULL, RINGS },
                { "hogs", required_argument, NULL, HOGS },
                { "writeback", no_argument, NULL, WRITEBACK },
                { "rounds", required_argument, NULL, ROUNDS },
                { "threads", required_argument, NULL, THREADS },
                { "quick", no_argument, NULL, QUICK },
                { "size", required_argument, NULL, SIZE },
                { "tree", required_argument, NULL, TREE },
                { "dir", required_argument, NULL, DIR },
                { "ashlar", required_argument, NULL, ASHLAR },
                { "memfs", required_argument, NULL, MEMFS },
                { "json", required_argument, NULL, JSON },
                { "ashlar-options", required_argument, NULL, OPTIONS },
                { "flat", optional_argument, NULL, FLAT },
                { "memory", optional_argument, NULL, MEMORY },
                { "soak", optional_argument, NULL, SOAK },
                { "list", no_argument, NULL, LIST },
                { "help", no_argument, NULL, HELP },
                { 0 },
        };
        bool ok = true, rows_given = false, fs_given = false, writeback = false, rings = false;
        uint64_t n;
        int c;

        set_defaults(b);
        *o = (struct options){ 0 };
        while (ok && (c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
                switch (c) {
                case FS:
                        fs_given = true;
                        ok = each_of(b, optarg, want_target);
                        break;
                case ROWS:
                        rows_given = true;
                        ok = each_of(b, optarg, want_rows);
                        break;
                case WRITEBACK:
                        writeback = true;
                        break;
                case RINGS:
                        rings = true;
                        break;
                case HOGS:
                        ok = number_of(optarg, 1, 64, &n);
                        b->hogs = (unsigned)n;
                        break;
                case ROUNDS:
                        ok = number_of(optarg, 1, BENCH_ROUNDS_MAX, &n);
                        b->rounds = (unsigned)n;
                        break;
                case THREADS:
                        ok = number_of(optarg, 1, BENCH_THREADS_MAX, &n);
                        b->threads_max = (unsigned)n;
                        break;
                case QUICK: /* before any --size */
                        b->sizes = sizes_quick;
                        b->tree = "/usr/include/linux";
                        b->rounds = 1;
                        break;
                case SIZE:
                        ok = set_size(&b->sizes, optarg);
                        break;
                case TREE:
                        b->tree = optarg;
                        break;
                case DIR:
                        ok = snprintf(b->paths.base, PATH_MAX, "%s", optarg) < PATH_MAX - 64;
                        break;
                case ASHLAR:
                        ok = snprintf(b->paths.ashlar, PATH_MAX, "%s", optarg) < PATH_MAX;
                        break;
                case MEMFS:
                        ok = snprintf(b->paths.memfs, PATH_MAX, "%s", optarg) < PATH_MAX;
                        break;
                case OPTIONS:
                        b->paths.ashlar_options = optarg;
                        break;
                case JSON:
                        o->json = optarg;
                        break;
                case FLAT:
                        o->flat_files = 1000000;
                        ok = !optarg || number_of(optarg, 1000, 1000000, &o->flat_files);
                        break;
                case MEMORY:
                        o->memory_mib = 10240;
                        ok = !optarg || number_of(optarg, 1, 1 << 24, &o->memory_mib);
                        break;
                case SOAK:
                        o->soak_s = 300;
                        ok = !optarg || number_of(optarg, 1, 86400, &o->soak_s);
                        break;
                case LIST:
                        list_names();
                        exit(0);
                case HELP:
                        fputs(usage, stdout);
                        exit(0);
                default:
                        ok = false;
                }
        }
        if (!ok || optind < argc || !!o->flat_files + !!o->memory_mib + !!o->soak_s > 1) {
                bench_warn("wrong arguments; see --help");
                return -EINVAL;
        }
        for (int r = 0; r < ROW_COUNT && !rows_given; r++)
                b->rows_wanted[r] = true;
        /* Two of the special runs are about ashlar, one compares transports. */
        for (int t = TARGET_NATIVE; t <= TARGET_ASHLAR && !fs_given; t++)
                b->targets[t].wanted = t == TARGET_ASHLAR || (!o->flat_files && !o->memory_mib && !o->soak_s);
        if (o->soak_s && !fs_given)
                b->targets[TARGET_ASHLAR_RINGS].wanted = true;
        if (rings)
                b->targets[TARGET_MEMFS_RINGS].wanted = b->targets[TARGET_ASHLAR_RINGS].wanted = true;
        if (writeback)
                b->targets[TARGET_MEMFS_WB].wanted = b->targets[TARGET_ASHLAR_WB].wanted = true;
        return 0;
}

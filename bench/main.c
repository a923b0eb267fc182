/* ashlar-bench: options, and the rounds. See bench.h. */
#include "bench.h"

#include "cleanup.h"
#include "rng.h"

#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static const struct bench_sizes sizes_default = {
        .files = 8000, .dirs = 4000, .stream_mib = 256, .random_mib = 64, .random_ops = 8192, .appends = 20000,
        .fsyncs = 100,
};

static const struct bench_sizes sizes_quick = {
        .files = 2000, .dirs = 1000, .stream_mib = 64, .random_mib = 16, .random_ops = 2048, .appends = 5000,
        .fsyncs = 30,
};

static const char usage[] =
        "usage: ashlar-bench [OPTION]...\n"
        "Compares file systems, row by row, and prints Markdown tables.\n"
        "\n"
        "  --fs LIST            of native,bindfs,memfs,ashlar,memfs-wb,ashlar-wb (default: the first four)\n"
        "  --rows LIST          rows or groups of rows, see --list (default: all)\n"
        "  --writeback          also memfs and ashlar with the kernel's writeback cache\n"
        "  --rounds N           repetitions (default 4; with --quick 1)\n"
        "  --threads N          1: only with one thread; 2: with one and with two (default)\n"
        "  --quick              less of everything\n"
        "  --size NAME=N        files, dirs, stream-mib, random-mib, random-ops, appends or fsyncs; may be repeated\n"
        "  --tree DIR           what is unpacked (default /usr/include, with --quick /usr/include/linux)\n"
        "  --dir DIR            where the stores and the native directory are made (default /var/tmp)\n"
        "  --ashlar PATH        the ashlar program (default: the one beside this build)\n"
        "  --memfs PATH         the memfs program (default: likewise)\n"
        "  --ashlar-options O   additional mount options for ashlar\n"
        "  --json FILE          also writes all samples there\n"
        "  --flat[=N]           instead: cost per operation among 1000 to N (1000000) files\n"
        "  --memory[=MIB]       instead: memory while writing MIB (10240) and holding 1000000 files\n"
        "  --list               prints the names of groups and rows\n"
        "The seed is taken from ASHLAR_SEED if that is set.\n";

struct options {
        bool quick, writeback, fs_given;
        const char *json;
        uint64_t flat_files, memory_mib; /* 0: not asked for */
};

/* ---- services for the others ---------------------------------------------------------------------- */

bool bench_interrupted(void)
{
        return interrupted;
}

double bench_now(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void bench_warn(const char *format, ...)
{
        va_list ap;

        fprintf(stderr, "ashlar-bench: ");
        va_start(ap, format);
        vfprintf(stderr, format, ap);
        va_end(ap);
        fprintf(stderr, "\n");
}

int bench_spawn(const char *const argv[], const char *dir, int stdin_fd, int stdout_fd)
{
        int status;
        pid_t pid = fork();

        if (pid < 0)
                return -errno;
        if (pid == 0) {
                int null = open("/dev/null", O_RDWR);

                if (dir && chdir(dir) < 0)
                        _exit(127);
                dup2(stdin_fd >= 0 ? stdin_fd : null, STDIN_FILENO);
                dup2(stdout_fd >= 0 ? stdout_fd : null, STDOUT_FILENO);
                execvp(argv[0], (char *const *)argv);
                _exit(127);
        }
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return -errno;
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
                return 0;
        return interrupted ? -EINTR : -EIO;
}

static void on_signal(int number)
{
        interrupted = 1;
}

/* ---- options -------------------------------------------------------------------------------------- */

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
                { "files", &sizes->files, 1000000 }, { "dirs", &sizes->dirs, 1000000 },
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

/* Programs are found beside our own, as the build lays them out. */
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

static int parse(int argc, char **argv, struct bench *b, struct options *o)
{
        enum { FS = 1000, ROWS, WRITEBACK, ROUNDS, THREADS, QUICK, SIZE, TREE, DIR_, ASHLAR, MEMFS, OPTIONS, JSON,
               FLAT, MEMORY, LIST, HELP };
        static const struct option longs[] = {
                { "fs", required_argument, NULL, FS }, { "rows", required_argument, NULL, ROWS },
                { "writeback", no_argument, NULL, WRITEBACK }, { "rounds", required_argument, NULL, ROUNDS },
                { "threads", required_argument, NULL, THREADS }, { "quick", no_argument, NULL, QUICK },
                { "size", required_argument, NULL, SIZE }, { "tree", required_argument, NULL, TREE },
                { "dir", required_argument, NULL, DIR_ }, { "ashlar", required_argument, NULL, ASHLAR },
                { "memfs", required_argument, NULL, MEMFS }, { "json", required_argument, NULL, JSON },
                { "ashlar-options", required_argument, NULL, OPTIONS }, { "flat", optional_argument, NULL, FLAT },
                { "memory", optional_argument, NULL, MEMORY }, { "list", no_argument, NULL, LIST },
                { "help", no_argument, NULL, HELP }, { 0 },
        };
        bool ok = true, rows_given = false;
        uint64_t n;
        int c;

        while (ok && (c = getopt_long(argc, argv, "", longs, NULL)) >= 0) {
                switch (c) {
                case FS:
                        o->fs_given = true;
                        ok = each_of(b, optarg, want_target);
                        break;
                case ROWS:
                        rows_given = true;
                        ok = each_of(b, optarg, want_rows);
                        break;
                case WRITEBACK:
                        o->writeback = true;
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
                        o->quick = true;
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
                case DIR_:
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
        if (!ok || optind < argc || (o->flat_files && o->memory_mib)) {
                bench_warn("wrong arguments; see --help");
                return -EINVAL;
        }
        for (int r = 0; r < ROW_COUNT && !rows_given; r++)
                b->rows_wanted[r] = true;
        return 0;
}

/* ---- a run ---------------------------------------------------------------------------------------- */

static bool group_wanted(const struct bench *b, const struct group *g)
{
        if ((g->run == group_tree || g->run == group_git) && !b->tree)
                return false;
        for (int r = (int)g->first; r <= (int)g->last; r++)
                if (b->rows_wanted[r])
                        return true;
        return false;
}

static void run_pass(struct bench *b, const struct group *g, struct target *t, unsigned threads, unsigned round)
{
        static const char *const clear = "\r\033[K";
        bool terminal = isatty(STDERR_FILENO);
        struct pass p;
        int r;

        if (terminal)
                fprintf(stderr, "%sround %u of %u: %s on %s, %u threads", clear, round + 1, b->rounds, g->name,
                        t->name, threads);
        r = pass_begin(&p, b, t, threads, round);
        if (r == 0)
                r = g->run(&p);
        pass_end(&p);
        if (terminal)
                fprintf(stderr, "%s", clear);
        if (r < 0 && r != -EINTR) {
                bench_warn("%s on %s failed: %s", g->name, t->name, err_str(r));
                b->failures++;
        }
}

static void run_rounds(struct bench *b)
{
        for (unsigned round = 0; round < b->rounds; round++)
                for (unsigned g = 0; g < bench_n_groups; g++)
                        for (unsigned threads = 1; threads <= b->threads_max; threads++)
                                for (unsigned k = 0; k < TARGET_COUNT; k++) {
                                        /* Each round begins with another one. */
                                        struct target *t = &b->targets[(k + round) % TARGET_COUNT];

                                        if (interrupted)
                                                return;
                                        if (t->wanted && group_wanted(b, &bench_groups[g]) &&
                                            threads <= bench_groups[g].threads_max)
                                                run_pass(b, &bench_groups[g], t, threads, round);
                                }
}

static int run_special(struct bench *b, const struct options *o)
{
        int r = 0;

        for (int i = 0; i < TARGET_COUNT && r == 0; i++) {
                struct target *t = &b->targets[i];

                if (t->wanted && o->flat_files)
                        r = flat_run(b, t->id, o->flat_files);
                if (r == 0 && t->wanted && o->memory_mib && t->pid)
                        r = memory_run(b, t, o->memory_mib, 1000000);
                if (r < 0)
                        bench_warn("%s: %s", t->name, err_str(r));
        }
        return r;
}

static int run_compare(struct bench *b, const struct options *o)
{
        _cleanup_fclose_ FILE *json = NULL;
        struct err_text text;

        if (o->json) {
                json = fopen(o->json, "we");
                if (!json) {
                        bench_warn("%s: %s", o->json, strerror(errno));
                        return -EIO;
                }
        }
        if (b->tree && access(b->tree, R_OK) < 0) {
                bench_warn("%s is missing: no rows with a tree", b->tree);
                b->tree = NULL;
        }
        if (b->tree && tree_load(b, &text) < 0) {
                bench_warn("%s", text.text);
                return -EIO;
        }
        if (!b->can_drop)
                bench_warn("NOT ROOT: the cold rows cannot be measured");
        run_rounds(b);
        report_markdown(b, stdout);
        if (json)
                report_json(b, json);
        return interrupted || b->failures > 0 ? -EIO : 0;
}

/* ---- beginning and end ---------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        if (remove(path) < 0)
                bench_warn("%s: %s", path, strerror(errno));
        return 0;
}

static void finish(struct bench *b)
{
        for (int t = 0; t < TARGET_COUNT; t++)
                target_stop(&b->targets[t]);
        /* FTW_MOUNT: never into something that could not be unmounted. */
        nftw(b->paths.base, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static int start(struct bench *b, bool mounts)
{
        size_t len = strlen(b->paths.base);
        struct err_text text;

        snprintf(b->paths.base + len, PATH_MAX - len, "/ashlar-bench.XXXXXX");
        if (!mkdtemp(b->paths.base)) {
                bench_warn("%s: %s", b->paths.base, strerror(errno));
                return -EIO;
        }
        for (int t = 0; t < TARGET_COUNT; t++) {
                if (mounts && b->targets[t].wanted && target_start(&b->targets[t], &b->paths, &text) < 0) {
                        bench_warn("%s", text.text);
                        finish(b);
                        return -EIO;
                }
        }
        return 0;
}

static uint64_t seed_of_run(void)
{
        const char *s = getenv("ASHLAR_SEED");
        uint64_t seed;

        if (!s || !number_of(s, 0, UINT64_MAX, &seed))
                rng_system(&seed, sizeof(seed));
        return seed;
}

int main(int argc, char **argv)
{
        static struct bench b = {
                .rounds = 4, .threads_max = BENCH_THREADS_MAX, .tree = "/usr/include", .tree_tar = -1,
                .paths = { .base = "/var/tmp" },
        };
        struct sigaction sa = { .sa_handler = on_signal };
        struct options o = { 0 };
        uint64_t names;
        int r;

        b.sizes = sizes_default;
        target_names(b.targets);
        default_programs(&b);
        b.seed = seed_of_run();
        b.can_drop = access("/proc/sys/vm/drop_caches", W_OK) == 0;
        if (parse(argc, argv, &b, &o) < 0)
                return 2;
        for (int t = TARGET_NATIVE; t <= TARGET_ASHLAR && !o.fs_given; t++)
                b.targets[t].wanted = t == TARGET_ASHLAR || (!o.flat_files && !o.memory_mib);
        if (o.writeback)
                b.targets[TARGET_MEMFS_WB].wanted = b.targets[TARGET_ASHLAR_WB].wanted = true;
        names = o.flat_files ? o.flat_files + 1000 : (b.sizes.files > b.sizes.dirs ? b.sizes.files : b.sizes.dirs);
        if (work_init(names, b.seed) < 0) {
                bench_warn("no memory");
                return 1;
        }
        sigaction(SIGINT, &sa, NULL);
        sigaction(SIGTERM, &sa, NULL);
        sigaction(SIGHUP, &sa, NULL);
        if (start(&b, !o.flat_files) < 0)
                return 1;
        r = o.flat_files || o.memory_mib ? run_special(&b, &o) : run_compare(&b, &o);
        finish(&b);
        return r < 0 ? 1 : 0;
}

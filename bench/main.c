/* SPDX-License-Identifier: MIT */
/* ashlar-bench: the rounds, and what comes before and after them. See bench.h. */
#include "options.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

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

static void run_pass(struct bench *b, const struct group *g, struct target *t, unsigned threads,
                     unsigned round)
{
        static const char *const clear = "\r\033[K";
        bool terminal = isatty(STDERR_FILENO);
        struct pass p;
        int r;

        if (terminal)
                fprintf(stderr, "%sround %u of %u: %s on %s, %u threads", clear, round + 1, b->rounds,
                        g->name, t->name, threads);
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

        if (o->soak_s) {
                r = soak_run(b, (double)o->soak_s);
                if (r < 0)
                        bench_warn("%s", err_str(r));
                return r;
        }
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
        struct hogs *hogs = NULL;
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
        if (b->hogs > 0 && hogs_start(b->hogs, &hogs) < 0) {
                bench_warn("cannot start the other load");
                return -EIO;
        }
        run_rounds(b);
        hogs_stop(hogs);
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

int main(int argc, char **argv)
{
        static struct bench b = { .tree_tar = -1 };
        struct sigaction sa = { .sa_handler = on_signal };
        struct options o;
        uint64_t names;
        int r;

        if (options_parse(argc, argv, &b, &o) < 0)
                return 2;
        b.can_drop = access("/proc/sys/vm/drop_caches", W_OK) == 0;
        names = b.sizes.files > b.sizes.dirs ? b.sizes.files : b.sizes.dirs;
        if (work_init(o.flat_files ? o.flat_files + FLAT_EXTRA_FILES : names, b.seed) < 0) {
                bench_warn("no memory");
                return 1;
        }
        sigaction(SIGINT, &sa, NULL);
        sigaction(SIGTERM, &sa, NULL);
        sigaction(SIGHUP, &sa, NULL);
        if (start(&b, !o.flat_files) < 0)
                return 1;
        r = o.flat_files || o.memory_mib || o.soak_s ? run_special(&b, &o) : run_compare(&b, &o);
        finish(&b);
        return r < 0 ? 1 : 0;
}

/* SPDX-License-Identifier: MIT */
/* Small files that several threads create, stat, list and remove in a second in a directory; measure.sh runs
 * it on mounts over a cluster.
 *
 *     files_bench PHASE DIR [OPTION=N...]     (options with their defaults are below)
 *
 * PHASE is create (write and close, too), stat, list (names with attributes, as ls -l) or unlink; each
 * handles the same files. Each thread has its own directory below DIR, because the kernel serializes
 * changes of a directory. Prints one line.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static struct {
        const char *name;
        size_t n;
} options[] = {
        { "threads", 1 },
        { "files", 1000 }, /* total */
        { "bytes", 4096 }, /* of each */
        { "first", 0 },    /* number of the first thread's directory, for several mounts at once */
};

enum { THREADS, FILES, BYTES, FIRST };

static const char *root;
static char *data;
static pthread_barrier_t start;

static void die(const char *what)
{
        fprintf(stderr, "files_bench: %s: %s\n", what, strerror(errno));
        exit(1);
}

/* ---- the phases: in directory DIR, files 0 to N - 1 ---------------------------------------------- */

static void create(int dir, size_t n)
{
        char name[32];

        for (size_t i = 0; i < n; i++) {
                int fd;

                snprintf(name, sizeof(name), "%06zu", i);
                fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
                if (fd < 0 || write(fd, data, options[BYTES].n) != (ssize_t)options[BYTES].n || close(fd) < 0)
                        die("create");
        }
}

static void stat_each(int dir, size_t n)
{
        char name[32];
        struct stat st;

        for (size_t i = 0; i < n; i++) {
                snprintf(name, sizeof(name), "%06zu", i);
                if (fstatat(dir, name, &st, 0) < 0 || (size_t)st.st_size != options[BYTES].n)
                        die("stat");
        }
}

static void list(int dir, size_t n)
{
        DIR *d = fdopendir(dup(dir));
        struct dirent *e;
        struct stat st;
        size_t found = 0;

        if (!d)
                die("opendir");
        while ((e = readdir(d))) {
                if (e->d_name[0] == '.')
                        continue;
                if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        die("stat");
                found++;
        }
        closedir(d);
        if (found != n) {
                fprintf(stderr, "files_bench: %zu files instead of %zu\n", found, n);
                exit(1);
        }
}

static void unlink_each(int dir, size_t n)
{
        char name[32];

        for (size_t i = 0; i < n; i++) {
                snprintf(name, sizeof(name), "%06zu", i);
                if (unlinkat(dir, name, 0) < 0)
                        die("unlink");
        }
}

static const struct phase {
        const char *name;
        void (*run)(int dir, size_t n);
} phases[] = {
        { "create", create },
        { "stat", stat_each },
        { "list", list },
        { "unlink", unlink_each },
};

static const struct phase *phase;

struct worker {
        pthread_t thread;
        size_t number;
        double begin, end; /* seconds */
};

/* ---- threads ------------------------------------------------------------------------------------- */

static double seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *work(void *arg)
{
        struct worker *me = arg;
        char path[4096];
        int dir;

        snprintf(path, sizeof(path), "%s/%03zu", root, options[FIRST].n + me->number);
        if (phase->run == create && mkdir(path, 0755) < 0)
                die(path);
        dir = open(path, O_RDONLY | O_DIRECTORY);
        if (dir < 0)
                die(path);
        pthread_barrier_wait(&start);
        me->begin = seconds();
        phase->run(dir, options[FILES].n / options[THREADS].n);
        me->end = seconds();
        close(dir);
        if (phase->run == unlink_each && rmdir(path) < 0)
                die(path);
        return NULL;
}

/* Seconds from the first thread's begin to the last one's end; the joining thread would see that too late. */
static double took(const struct worker *workers, size_t n)
{
        double begin = workers[0].begin, end = workers[0].end;

        for (size_t i = 1; i < n; i++) {
                if (workers[i].begin < begin)
                        begin = workers[i].begin;
                if (workers[i].end > end)
                        end = workers[i].end;
        }
        return end - begin;
}

static void usage(void)
{
        fprintf(stderr, "usage: files_bench create|stat|list|unlink DIR [threads=N] [files=N] [bytes=N] "
                        "[first=N]\n");
        exit(2);
}

static void parse(int argc, char **argv)
{
        if (argc < 3)
                usage();
        for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++)
                if (strcmp(argv[1], phases[i].name) == 0)
                        phase = &phases[i];
        if (!phase)
                usage();
        root = argv[2];
        for (int i = 3; i < argc; i++) {
                size_t j, len = strcspn(argv[i], "=");

                for (j = 0; j < sizeof(options) / sizeof(options[0]); j++)
                        if (strlen(options[j].name) == len && memcmp(options[j].name, argv[i], len) == 0)
                                break;
                if (j == sizeof(options) / sizeof(options[0]) || argv[i][len] != '=')
                        usage();
                options[j].n = strtoul(argv[i] + len + 1, NULL, 10);
        }
        if (options[THREADS].n == 0 || options[FILES].n < options[THREADS].n)
                usage();
}

int main(int argc, char **argv)
{
        struct worker *workers;
        size_t n;

        parse(argc, argv);
        n = options[THREADS].n;
        workers = calloc(n, sizeof(*workers));
        data = malloc(options[BYTES].n + 1);
        if (!workers || !data)
                die("memory");
        memset(data, 'x', options[BYTES].n);
        if (pthread_barrier_init(&start, NULL, (unsigned)n) != 0)
                die("barrier");
        for (size_t i = 0; i < n; i++) {
                workers[i].number = i;
                if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
                        die("thread");
        }
        for (size_t i = 0; i < n; i++)
                pthread_join(workers[i].thread, NULL);
        printf("%s, %zu threads, files per second: %.0f\n", phase->name, n,
               (double)(options[FILES].n / n * n) / took(workers, n));
        free(data);
        free(workers);
        return 0;
}

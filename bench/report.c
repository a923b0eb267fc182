/* SPDX-License-Identifier: MIT */
/* The table: medians with their range, ratios within rounds, and which targets are missed. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

struct range {
        unsigned n; /* 0: nothing was measured */
        double min, median, max;
};

static int compare(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static struct range range_of(double *values, unsigned n)
{
        if (n == 0)
                return (struct range){ 0 };
        qsort(values, n, sizeof(*values), compare);
        return (struct range){ .n = n,
                               .min = values[0],
                               .max = values[n - 1],
                               .median = (values[(n - 1) / 2] + values[n / 2]) / 2 };
}

/* Of the samples of one row on one file system. */
static struct range range_of_rounds(const struct bench *b, const double samples[static BENCH_ROUNDS_MAX])
{
        double values[BENCH_ROUNDS_MAX];
        unsigned n = 0;

        for (unsigned i = 0; i < b->rounds; i++)
                if (samples[i] > 0)
                        values[n++] = samples[i];
        return range_of(values, n);
}

static struct range samples_range(const struct bench *b, enum row_id row, unsigned threads, enum target_id t)
{
        return range_of_rounds(b, b->samples[row][threads - 1][t]);
}

static struct range cpu_range(const struct bench *b, enum row_id row, unsigned threads, enum target_id t)
{
        return range_of_rounds(b, b->cpu_us[row][threads - 1][t]);
}

/* How many times as fast T is as BASE, round by round. */
static struct range ratio_range(const struct bench *b, enum row_id row, unsigned threads, enum target_id t,
                                enum target_id base)
{
        double values[BENCH_ROUNDS_MAX];
        unsigned n = 0;

        for (unsigned i = 0; i < b->rounds; i++) {
                double x = b->samples[row][threads - 1][t][i], y = b->samples[row][threads - 1][base][i];

                if (x > 0 && y > 0)
                        values[n++] = row_lower_is_better(row) ? y / x : x / y;
        }
        return range_of(values, n);
}

static void print_range(FILE *f, struct range r)
{
        const char *format = r.median < 9.995   ? " %.2f (%.2f-%.2f) |"
                             : r.median < 99.95 ? " %.1f (%.1f-%.1f) |"
                                                : " %.0f (%.0f-%.0f) |";

        if (r.n == 0)
                fprintf(f, " |");
        else
                fprintf(f, format, r.median, r.min, r.max);
}

static bool row_measured(const struct bench *b, enum row_id row, unsigned threads)
{
        for (int t = 0; t < TARGET_COUNT; t++)
                if (samples_range(b, row, threads, (enum target_id)t).n > 0)
                        return true;
        return false;
}

static const char *unit_text(enum row_unit unit)
{
        static const char *const texts[] = {
                [UNIT_KOPS] = "1000/s", [UNIT_MIBS] = "MiB/s", [UNIT_US] = "us", [UNIT_MS] = "ms"
        };

        return texts[unit];
}

/* Prints whether the row meets the requirement of its class, by the medians of the ratios. */
static void print_verdict(const struct bench *b, FILE *f, enum row_id row, unsigned threads, enum target_id t,
                          enum target_id ram)
{
        struct range memfs = ratio_range(b, row, threads, t, ram);
        struct range bindfs = ratio_range(b, row, threads, t, TARGET_BINDFS);
        struct range native = ratio_range(b, row, threads, t, TARGET_NATIVE);
        bool missed = false;

        if (bench_rows[row].class == ROW_SMALL && memfs.n > 0 && memfs.median < 0.7)
                missed = fprintf(f, " below 0.7 of memfs") > 0;
        if (bench_rows[row].class == ROW_WARM && native.n > 0 && native.median < 0.9)
                missed = fprintf(f, "%s below 0.9 of native", missed ? "," : "") > 0;
        if (bindfs.n > 0 && bindfs.median < 1)
                missed = fprintf(f, "%s behind bindfs", missed ? "," : "") > 0;
        fprintf(f, "%s |\n", missed ? "" : " met");
}

static void print_header(FILE *f, const char *const columns[], unsigned n)
{
        for (unsigned i = 0; i < n; i++)
                fprintf(f, "| %s ", columns[i]);
        fprintf(f, "|\n");
        for (unsigned i = 0; i < n; i++)
                fprintf(f, "| --- ");
        fprintf(f, "|\n");
}

typedef struct range (*range_fn)(const struct bench *b, enum row_id row, unsigned threads, enum target_id t);

/* One table of all rows; UNIT NULL: the row's. */
static void print_values(const struct bench *b, FILE *f, enum target_id first, const char *unit,
                         range_fn range)
{
        const char *columns[3 + TARGET_COUNT] = { "row", "threads", "unit" };
        unsigned n = 3;

        for (int t = (int)first; t < TARGET_COUNT; t++)
                if (b->targets[t].wanted)
                        columns[n++] = b->targets[t].name;
        print_header(f, columns, n);
        for (int row = 0; row < ROW_COUNT; row++) {
                for (unsigned threads = 1; threads <= b->threads_max; threads++) {
                        if (!row_measured(b, (enum row_id)row, threads))
                                continue;
                        fprintf(f, "| %s | %u | %s |", bench_rows[row].name, threads,
                                unit ? unit : unit_text(bench_rows[row].unit));
                        for (int t = (int)first; t < TARGET_COUNT; t++)
                                if (b->targets[t].wanted)
                                        print_range(f,
                                                    range(b, (enum row_id)row, threads, (enum target_id)t));
                        fprintf(f, "\n");
                }
        }
}

static void print_ratios(const struct bench *b, FILE *f, enum target_id t, enum target_id ram)
{
        const char *name = b->targets[t].name;
        char to_ram[64], to_bindfs[64], to_native[64];

        if (!b->targets[t].wanted)
                return;
        snprintf(to_ram, sizeof(to_ram), "%s/%s", name, b->targets[ram].name);
        snprintf(to_bindfs, sizeof(to_bindfs), "%s/bindfs", name);
        snprintf(to_native, sizeof(to_native), "%s/native", name);
        fprintf(f, "\nSpeed of %s (more than 1: faster):\n\n", name);
        print_header(f, (const char *[]){ "row", "threads", to_ram, to_bindfs, to_native, "targets" }, 6);
        for (int row = 0; row < ROW_COUNT; row++) {
                for (unsigned threads = 1; threads <= b->threads_max; threads++) {
                        enum row_id id = (enum row_id)row;

                        if (samples_range(b, id, threads, t).n == 0)
                                continue;
                        fprintf(f, "| %s | %u |", bench_rows[row].name, threads);
                        print_range(f, ratio_range(b, id, threads, t, ram));
                        print_range(f, ratio_range(b, id, threads, t, TARGET_BINDFS));
                        print_range(f, ratio_range(b, id, threads, t, TARGET_NATIVE));
                        print_verdict(b, f, id, threads, t, ram);
                }
        }
}

/* The two transports against one another. */
static void print_rings(const struct bench *b, FILE *f)
{
        if (!b->targets[TARGET_ASHLAR].wanted || !b->targets[TARGET_ASHLAR_RINGS].wanted)
                return;
        fprintf(f, "\nSpeed of rings (more than 1: faster than the classic transport):\n\n");
        print_header(f, (const char *[]){ "row", "threads", "ashlar-rings/ashlar", "memfs-rings/memfs" }, 4);
        for (int row = 0; row < ROW_COUNT; row++) {
                for (unsigned threads = 1; threads <= b->threads_max; threads++) {
                        enum row_id id = (enum row_id)row;

                        if (samples_range(b, id, threads, TARGET_ASHLAR_RINGS).n == 0)
                                continue;
                        fprintf(f, "| %s | %u |", bench_rows[row].name, threads);
                        print_range(f, ratio_range(b, id, threads, TARGET_ASHLAR_RINGS, TARGET_ASHLAR));
                        print_range(f, ratio_range(b, id, threads, TARGET_MEMFS_RINGS, TARGET_MEMFS));
                        fprintf(f, "\n");
                }
        }
}

static void print_machine(const struct bench *b, FILE *f)
{
        struct utsname u;
        struct statfs s;
        time_t now = time(NULL);
        char date[32];

        strftime(date, sizeof(date), "%Y-%m-%d %H:%M", localtime(&now));
        if (uname(&u) < 0)
                strcpy(u.release, "?");
        fprintf(f, "ashlar-bench %s, %s; Linux %s, %ld CPUs", ASHLAR_VERSION, date, u.release,
                sysconf(_SC_NPROCESSORS_ONLN));
        if (statfs(b->paths.base, &s) == 0)
                fprintf(f, "; native file system of type 0x%lx", (unsigned long)s.f_type);
        fprintf(f,
                ".\n%u rounds, seed %llu. Median (minimum-maximum) of the rounds; ratios are taken within "
                "a round.\n",
                b->rounds, (unsigned long long)b->seed);
}

static void print_notes(const struct bench *b, FILE *f)
{
        const struct bench_sizes *s = &b->sizes;

        fprintf(f,
                "\n"
                "- Work is divided between the threads; each has its own directory or file.\n"
                "- Small files: %u empty ones (create, rename), %u of 4 KiB (the others), %u directories.\n"
                "- Streams: %u MiB in requests of 1 MiB. Random: %u requests of 4 KiB in %u MiB. Appends: %u "
                "of 100 bytes. Writes include one fsync at the end; write-4k-fsync is the time of each of "
                "%u.\n",
                s->files, s->files, s->dirs, s->stream_mib, s->random_ops, s->random_mib, s->appends,
                s->fsyncs);
        if (b->tree)
                fprintf(f, "- Tree: %s, %u entries, unpacked by tar from memory.\n", b->tree, b->tree_files);
        fprintf(f,
                "- Cold: the pages of the files and directories were dropped (POSIX_FADV_DONTNEED), then all "
                "entries and inodes (drop_caches=2). What a daemon or the file system below has in memory "
                "stays, so that a cold read of native comes from the disk and one of the others does not.\n"
                "- Before each timed step all earlier writes are on the disk and the daemon is idle.\n");
        if (!b->can_drop)
                fprintf(f, "- NOT MEASURED: the cold rows, because dropping caches needs root.\n");
        if (b->hogs > 0)
                fprintf(f, "- UNDER LOAD: %u processes a CPU that never sleep ran beside it all.\n", b->hogs);
        if (b->failures > 0)
                fprintf(f, "- %u passes FAILED; their values are missing.\n", b->failures);
}

void report_markdown(const struct bench *b, FILE *f)
{
        print_machine(b, f);
        print_notes(b, f);
        fprintf(f, "\n");
        print_values(b, f, TARGET_NATIVE, NULL, samples_range);
        print_ratios(b, f, TARGET_ASHLAR, TARGET_MEMFS);
        print_ratios(b, f, TARGET_ASHLAR_WB, TARGET_MEMFS_WB);
        print_ratios(b, f, TARGET_ASHLAR_RINGS, TARGET_MEMFS_RINGS);
        print_rings(b, f);
        fprintf(f, "\nCPU time of the daemon per operation, MiB or run, which other load on the machine "
                   "disturbs less (without what it does after the step, such as bringing metadata "
                   "down):\n\n");
        print_values(b, f, TARGET_BINDFS, "us", cpu_range);
}

void report_json(const struct bench *b, FILE *f)
{
        const char *separator = "";

        fprintf(f, "{\"version\": \"%s\", \"rounds\": %u, \"seed\": %llu, \"samples\": [", ASHLAR_VERSION,
                b->rounds, (unsigned long long)b->seed);
        for (int row = 0; row < ROW_COUNT; row++) {
                for (unsigned threads = 1; threads <= b->threads_max; threads++) {
                        for (int t = 0; t < TARGET_COUNT; t++) {
                                if (samples_range(b, (enum row_id)row, threads, (enum target_id)t).n == 0)
                                        continue;
                                fprintf(f,
                                        "%s\n  {\"row\": \"%s\", \"threads\": %u, \"fs\": \"%s\", "
                                        "\"unit\": \"%s\", \"values\": [",
                                        separator, bench_rows[row].name, threads, b->targets[t].name,
                                        unit_text(bench_rows[row].unit));
                                for (unsigned i = 0; i < b->rounds; i++)
                                        fprintf(f, "%s%.6g", i > 0 ? ", " : "",
                                                b->samples[row][threads - 1][t][i]);
                                fprintf(f, "], \"daemon_cpu_us\": [");
                                for (unsigned i = 0; i < b->rounds; i++)
                                        fprintf(f, "%s%.6g", i > 0 ? ", " : "",
                                                b->cpu_us[row][threads - 1][t][i]);
                                fprintf(f, "]}");
                                separator = ",";
                        }
                }
        }
        fprintf(f, "\n]}\n");
}

/* SPDX-License-Identifier: MIT */
/* ashlar-bench: the same work on several file systems in one run. Rounds go through the groups of rows,
 * and each group through the file systems in turn, so that noise affects all equally; ratios are
 * taken within a round. */
#ifndef BENCH_H
#define BENCH_H

#include "base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { BENCH_THREADS_MAX = 2, BENCH_ROUNDS_MAX = 32 };

/* ---- file systems (target.c) ---------------------------------------------------------------------- */

enum target_id {
        TARGET_NATIVE,   /* a plain directory */
        TARGET_BINDFS,   /* bindfs over a directory of the same file system */
        TARGET_MEMFS,    /* bench/memfs, on the classic transport as ashlar is */
        TARGET_ASHLAR,   /* its store in the same file system as the native directory */
        TARGET_MEMFS_WB, /* these two with the kernel's writeback cache */
        TARGET_ASHLAR_WB,
        TARGET_MEMFS_RINGS, /* and on the transport by rings */
        TARGET_ASHLAR_RINGS,
        TARGET_COUNT,
};

struct target {
        enum target_id id;
        const char *name;
        bool wanted;
        char dir[PATH_MAX]; /* where the work is done: the mount point, or the native directory */
        int fd;             /* of dir; -1: not running */
        pid_t pid;          /* the daemon; 0 for native */
};

/* What a target needs to know to start. */
struct target_paths {
        char base[PATH_MAX]; /* the run's own directory; everything is below it */
        char ashlar[PATH_MAX], memfs[PATH_MAX];
        const char *ashlar_options; /* additional -o of the ashlar mounts, or NULL */
};

void target_names(struct target targets[static TARGET_COUNT]);
/* Makes what TARGET needs, mounts it and waits until it answers. */
int target_start(struct target *t, const struct target_paths *paths, struct err_text *text);
/* Unmounts, waits for the daemon, and kills it if it does not end. A target that does not run is fine. */
void target_stop(struct target *t);
/* Waits until earlier work has no more effect on what is measured next: data and metadata are down, and
 * the daemon uses no CPU. */
int target_settle(const struct target *t);
/* Makes the next access to the tree at DIR_FD cold: what the kernel keeps of it (pages, entries,
 * attributes) goes. What a daemon or the file system below it has in memory stays. Needs root. */
int target_make_cold(const struct target *t, int dir_fd);
/* Only entries and attributes, of everything on the machine. */
int target_drop_entries(const struct target *t);
/* CPU time that the daemon has used so far, in seconds; 0 for native. */
double target_cpu_s(const struct target *t);
/* Anonymous resident memory of the daemon in KiB, or -errno. */
int64_t target_rss_anon_kib(const struct target *t);

/* ---- other load (hogs.c) --------------------------------------------------------------------------- */

struct hogs;

/* Starts PER_CPU spinning processes on each CPU. They end with this process. */
int hogs_start(unsigned per_cpu, struct hogs **ret);
/* Takes NULL. */
void hogs_stop(struct hogs *h);

/* ---- rows (rows.c) -------------------------------------------------------------------------------- */

enum row_id {
        ROW_CREATE,
        ROW_CREATE_4K,
        ROW_STAT_COLD,
        ROW_STAT_WARM,
        ROW_READ_4K_COLD,
        ROW_READ_4K_WARM,
        ROW_RENAME,
        ROW_READDIR_COLD,
        ROW_READDIR_WARM,
        ROW_LS_COLD,
        ROW_LS_WARM,
        ROW_UNLINK,
        ROW_MKDIR,
        ROW_RMDIR,
        ROW_SEQ_WRITE,
        ROW_SEQ_READ_COLD,
        ROW_SEQ_READ_WARM,
        ROW_RANDOM_WRITE,
        ROW_RANDOM_READ_COLD,
        ROW_RANDOM_READ_WARM,
        ROW_APPEND,
        ROW_FSYNC,
        ROW_UNTAR,
        ROW_RM,
        ROW_GIT_STATUS_COLD,
        ROW_GIT_STATUS_WARM,
        ROW_COUNT,
};

/* The requirement of a row. All rows must be ahead of bindfs. */
enum row_class {
        ROW_SMALL, /* metadata and small files: 70% of memfs */
        ROW_WARM,  /* served by the kernel's caches: within 10% of native */
        ROW_BULK,  /* nothing more */
};

enum row_unit { UNIT_KOPS, UNIT_MIBS, UNIT_US, UNIT_MS }; /* thousands/s, MiB/s, microseconds, milliseconds */

struct row {
        const char *name;
        enum row_class class;
        enum row_unit unit;
};

extern const struct row bench_rows[ROW_COUNT];

static inline bool row_lower_is_better(enum row_id id)
{
        return bench_rows[id].unit == UNIT_US || bench_rows[id].unit == UNIT_MS;
}

/* ---- a run ---------------------------------------------------------------------------------------- */

/* Amounts: totals, divided between the threads. */
struct bench_sizes {
        unsigned files; /* of 0 and of 4 KiB */
        unsigned dirs;
        unsigned stream_mib;
        unsigned random_mib, random_ops; /* operations of 4 KiB each */
        unsigned appends;                /* of 100 bytes each */
        unsigned fsyncs;
};

struct bench {
        struct target_paths paths;
        struct target targets[TARGET_COUNT];
        struct bench_sizes sizes;
        const char *tree;    /* directory whose copy is unpacked, or NULL: no such rows */
        int tree_tar;        /* memory file with its tar */
        unsigned tree_files; /* of all types, in the tar */
        unsigned rounds, threads_max;
        unsigned hogs; /* processes a CPU that spin during the rounds */
        bool can_drop; /* cold rows are possible */
        bool rows_wanted[ROW_COUNT];
        uint64_t seed;
        /* In the row's unit; 0: not measured. */
        double samples[ROW_COUNT][BENCH_THREADS_MAX][TARGET_COUNT][BENCH_ROUNDS_MAX];
        /* CPU of the daemon in microseconds per operation, MiB or run: says more than time on a busy
         * machine. */
        double cpu_us[ROW_COUNT][BENCH_THREADS_MAX][TARGET_COUNT][BENCH_ROUNDS_MAX];
        bool git_ready[TARGET_COUNT];
        unsigned failures;
};

/* Whether the user asked to stop; long loops look at it. */
bool bench_interrupted(void);
double bench_now(void); /* seconds, monotonic */
void bench_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Runs a program and waits for it. STDIN and STDOUT: descriptors for it, or -1 for /dev/null. DIR: where
 * it runs, or NULL. -errno, -EINTR if the user stops it, -EIO if it failed. */
int bench_spawn(const char *const argv[], const char *dir, int stdin_fd, int stdout_fd);

/* ---- one pass of a group over one target (work.c) ------------------------------------------------- */

struct worker {
        struct pass *pass;
        unsigned index;
        char name[24]; /* of its own directory in the pass's */
        int dir_fd;
        int fd;          /* of the file it works on, or -1 */
        uint64_t count;  /* operations of the current step */
        uint64_t random; /* state of its generator */
        int result;
};

/* What a step took. */
struct cost {
        double seconds;
        double cpu_s; /* of the daemon, until the step's end */
};

/* One operation; 0 or -errno. */
typedef int (*worker_op)(struct worker *w, uint64_t i);

struct pass {
        struct bench *b;
        struct target *t;
        unsigned threads, round;
        char dir[PATH_MAX];
        int dir_fd;
        struct worker workers[BENCH_THREADS_MAX];
};

/* Makes a directory for the pass with one for each worker, and settles. */
int pass_begin(struct pass *p, struct bench *b, struct target *t, unsigned threads, unsigned round);
/* Removes it all. */
void pass_end(struct pass *p);

/* Runs OP TOTAL times, divided between the workers, which start together, and returns the cost until the
 * last was ready. FINISH (may be NULL) runs once per worker inside the time. */
int pass_run(struct pass *p, uint64_t total, worker_op op, worker_op finish, struct cost *ret);
/* The same, as a sample of ROW; AMOUNT counts in the row's unit (operations, or MiB). Does nothing if the
 * row is not wanted. */
int pass_measure(struct pass *p, enum row_id row, uint64_t total, double amount, worker_op op,
                 worker_op finish);
void pass_record(struct pass *p, enum row_id row, double amount, struct cost cost);
/* For steps that are not run by workers: called before and, with the result of that call, after the step. */
struct cost pass_clock(const struct pass *p);
struct cost pass_clock_since(const struct pass *p, struct cost begin);
bool pass_wants(const struct pass *p, enum row_id row);

/* Once, at the start: the names of files 0 to N - 1, and the buffers. */
int work_init(uint64_t n_names, uint64_t seed);
const char *work_name(uint64_t i);
/* 1 MiB that does not compress, to be written; and 1 MiB for each worker to read into. */
enum { WORK_BUFFER = 1 << 20 };
const char *work_source(void);
char *work_sink(unsigned worker_index);

/* ---- groups of rows ------------------------------------------------------------------------------- */

struct group {
        const char *name;
        enum row_id first, last; /* its rows */
        unsigned threads_max;
        int (*run)(struct pass *p);
};

extern const struct group bench_groups[];
extern const unsigned bench_n_groups;

int group_files(struct pass *p);
int group_dirs(struct pass *p);
int group_stream(struct pass *p);
int group_random(struct pass *p);
int group_append(struct pass *p);
int group_fsync(struct pass *p);
int group_tree(struct pass *p);
int group_git(struct pass *p);
/* Packs b->tree into b->tree_tar. */
int tree_load(struct bench *b, struct err_text *text);

/* ---- special runs, and the report ----------------------------------------------------------------- */

/* These print separate tables. Cost of create, lookup and unlink against the size of the file system,
 * on mounts that it makes itself: */
enum { FLAT_EXTRA_FILES = 1000 }; /* for which there must be names, too */
int flat_run(struct bench *b, enum target_id id, uint64_t files_max);
/* Memory of a daemon that writes much and holds many files: */
int memory_run(struct bench *b, struct target *t, uint64_t data_mib, uint64_t files);

/* How fast metadata requests are, and how long the longest one took, in SECONDS on each file system: */
int soak_run(struct bench *b, double seconds);

void report_markdown(const struct bench *b, FILE *f);
void report_json(const struct bench *b, FILE *f);

#endif

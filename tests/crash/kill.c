/* SPDX-License-Identifier: MIT */
/* Kills a mount with SIGKILL at random points under load, many times. After each kill the next mount must
 * show the state after some prefix of each thread's operations: with all that was fsynced (an fsync covers
 * all threads), nothing that was not begun, and no operation without those that were acknowledged before it
 * began. Then fsck must find no violation, and the dead mount must disappear by itself.
 *
 * kill ASHLAR [THREADS]: environment ASHLAR_SEED, ASHLAR_KILLS (15). Exit code 77: no /dev/fuse here. */
#include "kill_tree.h"

#include "base/cleanup.h"
#include "base/lock.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX 8u
#define OPS_MAX     200000u /* of a thread in a round */
#define SKIPPED     77
#define FUSE_MAGIC  0x65735546

struct worker {
        struct test *test;
        unsigned me;
        char dir[128];
        struct rng rng;
        struct tree base; /* at the beginning of the round */
        struct tree live; /* after the last operation that was begun */
        struct op *ops;   /* of this round */
        _Atomic size_t begun, acked;
        size_t synced;  /* test->lock; operations that an fsync covers */
        bool *possible; /* [n]: the tree found is that after n operations */
};

struct test {
        const char *ashlar;
        char root[64], store[80], mount[80];
        unsigned threads;
        pid_t daemon;
        struct worker workers[THREADS_MAX];
        struct lock lock;
        _Atomic uint64_t events;
        _Atomic bool killed, broken;
        uint64_t total_ops;
};

static void die(const char *what)
{
        fprintf(stderr, "kill: %s: %s\n", what, strerror(errno));
        exit(1);
}

static void sleep_ms(unsigned ms)
{
        nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 }, NULL);
}

/* ---- the program under test --------------------------------------------------------------------- */

static pid_t start(const char *const argv[])
{
        pid_t pid = fork();

        if (pid < 0)
                die("fork");
        if (pid == 0) {
                execvp(argv[0], (char *const *)argv);
                die(argv[0]);
        }
        return pid;
}

static int run(const char *const argv[])
{
        pid_t pid = start(argv);
        int status;

        if (waitpid(pid, &status, 0) < 0)
                die("waitpid");
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool is_mounted(const struct test *t)
{
        struct statfs s;

        return statfs(t->mount, &s) == 0 && s.f_type == FUSE_MAGIC;
}

static bool mount_start(struct test *t)
{
        t->daemon = start((const char *[]){ t->ashlar, "mount", "-f", t->store, t->mount, NULL });
        for (int i = 0; i < 3000; i++) {
                if (is_mounted(t))
                        return true;
                if (waitpid(t->daemon, NULL, WNOHANG) != 0) {
                        t->daemon = 0;
                        fprintf(stderr, "kill: the mount ended before it was usable\n");
                        return false;
                }
                sleep_ms(10);
        }
        fprintf(stderr, "kill: not mounted after 30 s\n");
        return false;
}

/* Whether the kernel has a mount at the mount point, alive or dead. */
static bool is_mount_point(const struct test *t)
{
        _cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
        char line[4096], wanted[100];
        bool found = false;

        if (!f)
                die("/proc/self/mountinfo");
        snprintf(wanted, sizeof(wanted), " %s ", t->mount);
        while (fgets(line, sizeof(line), f))
                found = found || strstr(line, wanted);
        return found;
}

static void detach(const struct test *t)
{
        if (umount2(t->mount, MNT_DETACH) < 0)
                run((const char *[]){ "fusermount3", "-u", "-z", t->mount, NULL });
}

/* After the daemon was killed, its mount point must become a plain directory again soon. */
static bool dead_mount_disappears(struct test *t)
{
        for (int i = 0; i < 1000; i++) {
                if (!is_mount_point(t))
                        return true;
                sleep_ms(10);
        }
        fprintf(stderr, "kill: a dead mount point is left behind\n");
        detach(t);
        return false;
}

/* Unmounts with `ashlar umount`, again if another process of the machine has the directory open. */
static bool mount_stop(struct test *t)
{
        int status, r = 1;

        for (int attempt = 0; r != 0 && attempt < 5; attempt++) {
                if (attempt > 0)
                        sleep_ms(500);
                r = run((const char *[]){ t->ashlar, "umount", t->mount, NULL });
        }
        if (r != 0) {
                fprintf(stderr, "kill: umount ended with %d\n", r);
                return false;
        }
        if (waitpid(t->daemon, &status, 0) < 0 || status != 0) {
                fprintf(stderr, "kill: the daemon ended with status %d\n", status);
                return false;
        }
        t->daemon = 0;
        return true;
}

/* ---- load --------------------------------------------------------------------------------------- */

static void note_fsync(struct test *t, const size_t *acked)
{
        LOCK_GUARD(&t->lock);
        for (unsigned i = 0; i < t->threads; i++)
                if (t->workers[i].synced < acked[i])
                        t->workers[i].synced = acked[i];
}

/* Performs one operation. False: the mount was killed. */
static bool work_once(struct worker *w)
{
        struct test *t = w->test;
        size_t first = w->begun, parts, acked[THREADS_MAX];
        struct op op;
        int r;

        op_choose(&op, &w->live, &w->rng);
        op_apply(&op, &w->live);
        for (unsigned i = 0; i < t->threads; i++)
                acked[i] = t->workers[i].acked;
        op.begin = atomic_fetch_add(&t->events, 1) + 1;
        parts = op_split(&op, &w->ops[first]);
        w->begun = first + parts;
        r = op_perform(&op, w->dir);
        if (r < 0) {
                if (!t->killed) {
                        fprintf(stderr, "kill: %s from a mount that was not killed:\n", strerror(-r));
                        op_print(&op);
                        t->broken = true;
                }
                return false;
        }
        op.acked = atomic_fetch_add(&t->events, 1) + 1;
        for (size_t i = 0; i < parts; i++)
                w->ops[first + i].acked = op.acked;
        w->acked = first + parts;
        if (op_is_fsync(&op))
                note_fsync(t, acked);
        return true;
}

static void *work(void *arg)
{
        struct worker *w = arg;

        while (w->begun + OP_PARTS <= OPS_MAX && work_once(w))
                continue;
        return NULL;
}

static void load_and_kill(struct test *t, unsigned after_ms)
{
        pthread_t threads[THREADS_MAX];

        t->killed = false;
        t->events = 0;
        for (unsigned i = 0; i < t->threads; i++) {
                struct worker *w = &t->workers[i];

                w->begun = w->acked = w->synced = 0;
                tree_copy(&w->live, &w->base);
        }
        for (unsigned i = 0; i < t->threads; i++)
                if (pthread_create(&threads[i], NULL, work, &t->workers[i]) != 0)
                        die("pthread_create");
        sleep_ms(after_ms);
        t->killed = true;
        kill(t->daemon, SIGKILL);
        waitpid(t->daemon, NULL, 0);
        t->daemon = 0;
        for (unsigned i = 0; i < t->threads; i++)
                pthread_join(threads[i], NULL);
}

/* ---- checking ----------------------------------------------------------------------------------- */

/* Finds after how many operations W's directory may look as it does. False: after no number of them. */
static bool find_possible(struct worker *w)
{
        static struct tree found, replay;
        uint64_t digest;
        char where[512];
        bool any = false, lost = false; /* LOST: the state is older than an fsync */
        int r = tree_load(&found, w->dir, where);

        if (r < 0) {
                fprintf(stderr, "kill: %s: %s\n", where, strerror(-r));
                return false;
        }
        digest = tree_digest(&found);
        tree_copy(&replay, &w->base);
        for (size_t n = 0;; n++) {
                w->possible[n] = tree_digest(&replay) == digest;
                if (w->possible[n] && n < w->synced) {
                        w->possible[n] = false;
                        lost = true;
                }
                any = any || w->possible[n];
                if (n == w->acked && !any) {
                        fprintf(stderr,
                                "kill: thread %u: against the state after all %zu acknowledged "
                                "operations:\n",
                                w->me, n);
                        tree_print_differences(&replay, &found);
                }
                if (n == w->begun)
                        break;
                op_apply(&w->ops[n], &replay);
        }
        if (!any) {
                fprintf(stderr,
                        "kill: thread %u: no prefix of %zu to %zu operations looks like this%s; the "
                        "last:\n",
                        w->me, w->synced, (size_t)w->begun, lost ? ", but a shorter one" : "");
                for (size_t n = w->begun > 10 ? w->begun - 10 : 0; n < w->begun; n++)
                        op_print(&w->ops[n]);
        }
        return any;
}

/* The first possible number of operations that is not below N; begun + 1 if there is none. */
static size_t next_possible(const struct worker *w, size_t n)
{
        while (n <= w->begun && !w->possible[n])
                n++;
        return n;
}

/* The number of W's operations that were acknowledged before EVENT. */
static size_t acked_before(const struct worker *w, uint64_t event)
{
        size_t n = 0;

        while (n < w->acked && w->ops[n].acked < event)
                n++;
        return n;
}

/* Chooses the shortest possible prefix of each thread so that all of them respect the order across threads:
 * an operation requires those that were acknowledged before it began. Longer prefixes only require more, so
 * lengthening them step by step finds the solution if there is one. */
static bool choose_prefixes(struct test *t, size_t *prefix)
{
        bool changed = true;

        for (unsigned i = 0; i < t->threads; i++)
                prefix[i] = next_possible(&t->workers[i], 0);
        while (changed) {
                changed = false;
                for (unsigned a = 0; a < t->threads; a++)
                        for (unsigned b = 0; b < t->threads; b++) {
                                struct worker *w = &t->workers[b];
                                size_t needed;

                                if (prefix[a] == 0)
                                        continue;
                                needed = acked_before(w, t->workers[a].ops[prefix[a] - 1].begin);
                                if (needed <= prefix[b])
                                        continue;
                                prefix[b] = next_possible(w, needed);
                                changed = true;
                                if (prefix[b] > w->begun) {
                                        fprintf(stderr,
                                                "kill: thread %u shows an operation that began "
                                                "after one of thread %u that is lost\n",
                                                a, b);
                                        return false;
                                }
                        }
        }
        return true;
}

static bool check_contents(struct test *t)
{
        size_t prefix[THREADS_MAX];

        for (unsigned i = 0; i < t->threads; i++)
                if (!find_possible(&t->workers[i]))
                        return false;
        if (!choose_prefixes(t, prefix))
                return false;
        for (unsigned i = 0; i < t->threads; i++) {
                struct worker *w = &t->workers[i];

                for (size_t n = 0; n < prefix[i]; n++)
                        op_apply(&w->ops[n], &w->base);
                t->total_ops += w->begun;
        }
        return true;
}

/* ---- rounds ------------------------------------------------------------------------------------- */

static bool one_round(struct test *t, struct rng *rng)
{
        bool gone = true;

        if (!mount_start(t))
                return false;
        load_and_kill(t, (unsigned)(5 + rng_below(rng, rng_below(rng, 3) ? 150 : 800)));
        if (rng_below(rng, 2)) /* else mount at once, over the dead mount */
                gone = dead_mount_disappears(t);
        if (t->broken || !mount_start(t))
                return false;
        if (!check_contents(t) || !mount_stop(t))
                return false;
        if (run((const char *[]){ t->ashlar, "fsck", "-q", t->store, NULL }) != 0) {
                fprintf(stderr, "kill: fsck found violations\n");
                return false;
        }
        return gone;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

static void prepare(struct test *t, struct rng *rng)
{
        const char *tmp = getenv("TMPDIR");

        umask(022);
        snprintf(t->root, sizeof(t->root), "%s/ashlar-kill-XXXXXX", tmp && strlen(tmp) < 32 ? tmp : "/tmp");
        if (!mkdtemp(t->root))
                die(t->root);
        snprintf(t->store, sizeof(t->store), "%s/store", t->root);
        snprintf(t->mount, sizeof(t->mount), "%s/mnt", t->root);
        if (mkdir(t->mount, 0755) < 0)
                die(t->mount);
        lock_init(&t->lock);
        for (unsigned i = 0; i < t->threads; i++) {
                struct worker *w = &t->workers[i];

                w->test = t;
                w->me = i;
                snprintf(w->dir, sizeof(w->dir), "%s/w%u", t->mount, i);
                w->ops = calloc(OPS_MAX, sizeof(w->ops[0]));
                w->possible = calloc(OPS_MAX + 1, sizeof(w->possible[0]));
                if (!w->ops || !w->possible)
                        die("calloc");
                rng_seed(&w->rng, rng_next(rng));
        }
}

/* Makes a file system with a directory for each thread, and unmounts it. */
static bool make_directories(struct test *t)
{
        if (run((const char *[]){ t->ashlar, "mkfs", t->store, NULL }) != 0 || !mount_start(t))
                return false;
        for (unsigned i = 0; i < t->threads; i++)
                if (mkdir(t->workers[i].dir, 0755) < 0)
                        die(t->workers[i].dir);
        return mount_stop(t);
}

/* Leaves no process and no mount behind. */
static void let_go(struct test *t)
{
        if (t->daemon > 0) {
                kill(t->daemon, SIGKILL);
                waitpid(t->daemon, NULL, 0);
        }
        if (is_mount_point(t))
                detach(t);
}

static void clean_up(struct test *t)
{
        for (unsigned i = 0; i < t->threads; i++) {
                tree_clear(&t->workers[i].base);
                tree_clear(&t->workers[i].live);
                free(t->workers[i].ops);
                free(t->workers[i].possible);
        }
        nftw(t->root, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static uint64_t number(const char *name, uint64_t n)
{
        const char *value = getenv(name);

        return value && *value ? strtoull(value, NULL, 0) : n;
}

int main(int argc, char **argv)
{
        static struct test test;
        uint64_t seed, kills = number("ASHLAR_KILLS", 15);
        struct rng rng;
        bool ok;

        if (argc < 2 || argc > 3)
                return fprintf(stderr, "usage: kill ASHLAR [THREADS]\n"), 2;
        test.ashlar = argv[1];
        test.threads = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
        if (test.threads < 1 || test.threads > THREADS_MAX)
                return fprintf(stderr, "kill: 1 to %u threads\n", THREADS_MAX), 2;
        if (access("/dev/fuse", R_OK | W_OK) < 0) {
                fprintf(stderr, "kill: SKIPPED: no access to /dev/fuse\n");
                return SKIPPED;
        }
        rng_system(&seed, sizeof(seed));
        seed = number("ASHLAR_SEED", seed & 0xffffffff);
        printf("replay: ASHLAR_SEED=%llu ASHLAR_KILLS=%llu %s %s %u\n", (unsigned long long)seed,
               (unsigned long long)kills, argv[0], test.ashlar, test.threads);
        fflush(stdout);
        rng_seed(&rng, seed);
        prepare(&test, &rng);
        ok = make_directories(&test);
        for (uint64_t i = 0; ok && i < kills; i++) {
                ok = one_round(&test, &rng);
                if (!ok)
                        fprintf(stderr, "kill: round %llu failed; the store is %s\n", (unsigned long long)i,
                                test.store);
        }
        let_go(&test);
        if (!ok)
                return 1; /* the store is kept for examination */
        printf("%llu kills, %llu operations\n", (unsigned long long)kills,
               (unsigned long long)test.total_ops);
        clean_up(&test);
        return 0;
}

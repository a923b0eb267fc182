/* SPDX-License-Identifier: MIT */
/* Sessions: which mounts exclude which, that an evicted mount changes nothing, and the table of mounts. */
#include "kv/testing/testing.h"
#include "maint/maint.h"
#include "mounts.h"

#include <pthread.h>
#include <unistd.h>

static const struct fs_cred user = { .uid = 1000, .gid = 1000 };
static const char *spec = "mem";
static struct site site;

static int setup(void **state)
{
        site_open(&site, spec);
        return 0;
}

static int teardown(void **state)
{
        site_close(&site);
        return 0;
}

static int count_one(const struct rec_session *m, void *arg)
{
        ++*(unsigned *)arg;
        return 0;
}

static unsigned count_mounts(void)
{
        unsigned n = 0;

        assert_ok(rec_session_each(site.bottom, count_one, &n));
        return n;
}

static void make(struct mount *m, const char *name)
{
        struct fs_attr a;

        assert_ok(fs_mknod(m->fs, &user, ROOT, str(name), S_IFREG | 0644, 0, &a));
        fs_forget(m->fs, a.ino, 1);
}

/* ---- the table ---------------------------------------------------------------------------------- */

static int check_entry(const struct rec_session *m, void *arg)
{
        const struct mount *mounted = arg;

        assert_false(m->damaged);
        assert_memory_equal(m->pid, fs_session_pid(mounted->session), FMT_PID_SIZE);
        assert_true(m->pid[0] != 'l');
        assert_true(slice_eq(m->entry.host, str("alpha")));
        assert_true(slice_eq(m->entry.boot_id, str("boot")));
        assert_true(slice_eq(m->entry.mountpoint, str("/some/where")));
        assert_true(slice_eq(m->entry.version, str(ASHLAR_VERSION)));
        assert_int_equal(m->entry.unix_pid, 4242);
        assert_int_equal(m->entry.start_time, 5);
        assert_int_equal(m->entry.pid_namespace, 7);
        assert_int_equal(m->entry.registered.tv_sec, 1000000000);
        assert_false(m->entry.exclusive);
        assert_true(m->entry.ino_first < m->entry.ino_end);
        return 1;
}

static void test_entry(void **state)
{
        struct mount m;

        assert_int_equal(count_mounts(), 0);
        mount_open(&m, &site, &(struct mount_opts){ .mountpoint = "/some/where", .unix_pid = 4242 });
        assert_int_equal(rec_session_each(site.bottom, check_entry, &m), 1);
        assert_int_equal(count_mounts(), 1);
        make(&m, "file");
        mount_close(&m);
        assert_int_equal(count_keys(site.bottom, "p"), 0); /* the status and the markers, too */
}

/* Mounts use disjoint ranges of inode numbers. */
static void test_numbers(void **state)
{
        struct mount a, b;
        struct fs_attr x, y;
        uint64_t last = 0;

        for (int i = 0; i < 20; i++) {
                mount_open(&a, &site, &(struct mount_opts){ 0 });
                mount_open(&b, &site, &(struct mount_opts){ 0 });
                assert_ok(fs_mknod(a.fs, &user, ROOT, str("a"), S_IFREG | 0644, 0, &x));
                assert_ok(fs_mknod(b.fs, &user, ROOT, str("b"), S_IFREG | 0644, 0, &y));
                assert_true(x.ino > last && y.ino > x.ino);
                last = y.ino;
                assert_ok(fs_unlink(a.fs, ROOT, str("b")));
                assert_ok(fs_unlink(b.fs, ROOT, str("a")));
                mount_close(&a);
                mount_close(&b);
        }
}

static int get_heartbeat(const struct rec_session *m, void *arg)
{
        *(uint64_t *)arg = m->heartbeat;
        return 0;
}

static void test_heartbeat(void **state)
{
        struct mount m;
        uint64_t seen = 0;

        mount_open(&m, &site, &(struct mount_opts){ .heartbeat_ms = 1 });
        while (seen < 3) {
                assert_ok(rec_session_each(site.bottom, get_heartbeat, &seen));
                usleep(1000);
        }
        mount_close(&m);
}

/* ---- which mounts exclude each other --------------------------------------------------------- */

static void test_refused(void **state)
{
        struct err_text text = { "" };
        struct mount m, other;

        for (int first = 0; first < 2; first++)
                for (int second = 0; second < 2; second++) {
                        struct mount_opts opts = { .exclusive = second, .text = &text };
                        int r;

                        mount_open(&m, &site,
                                   &(struct mount_opts){ .exclusive = first,
                                                         .unix_pid = 77,
                                                         .mountpoint = "/first\x1b[0m" });
                        r = mount_open(&other, &site, &opts);
                        assert_int_equal(r, first || second ? -EBUSY : 0);
                        if (r == 0) {
                                mount_close(&other);
                        } else {
                                assert_non_null(strstr(text.text, "pid 77 on alpha"));
                                assert_non_null(strstr(text.text, "/first?[0m"));
                                assert_non_null(strstr(text.text, "2001-09-09"));
                                assert_non_null(strstr(text.text, "ashlar evict STORE "));
                                assert_non_null(strstr(text.text, first ? "exclusively" : "shared"));
                        }
                        assert_int_equal(count_mounts(), 1);
                        mount_close(&m);
                }
}

static int clear_meta(struct kv_txn *t, void *arg)
{
        struct fmt_key k;

        fmt_key_meta(&k);
        return kv_clear(t, fmt_slice(&k));
}

/* Nothing is written into a store without a file system of this format. */
static void test_no_file_system(void **state)
{
        struct err_text text = { "" };
        struct mount m;

        assert_ok(kv_run(site.bottom, KV_WRITE | KV_IDEMPOTENT, clear_meta, NULL));
        assert_fails(mount_open(&m, &site, &(struct mount_opts){ .text = &text }), ERR_NO_FS);
        assert_non_null(strstr(text.text, "mkfs"));
        assert_int_equal(count_keys(site.bottom, "p"), 0);
        site_format(&site);
}

/* A mounted file system is not erased, where no lock of the store prevents it. */
static void test_mkfs(void **state)
{
        const struct maint_mkfs_opts mkfs = { .block_size = 4096, .force = true };
        struct err_text text = { "" };
        struct mount m;

        if (!kv_limits(site.bottom)->remote)
                skip();
        mount_open(&m, &site, &(struct mount_opts){ 0 });
        assert_fails(maint_mkfs(site.bottom, &mkfs, NULL, &text), EBUSY);
        assert_non_null(strstr(text.text, "mounted"));
        make(&m, "file");
        mount_close(&m);
}

/* The read conflict: a commit that the stand-in delays must not overwrite what was committed after it. */
static int set_damaged(struct kv_txn *t, void *arg)
{
        struct fmt_key k;

        fmt_key_process(&k, arg);
        assert_ok(kv_conflict_key(t, KV_CONFLICT_READ, fmt_slice(&k)));
        return kv_set(t, fmt_slice(&k), str("no message"));
}

static void test_damaged_entry(void **state)
{
        uint8_t pid[FMT_PID_SIZE] = "\xabsome mount's id";
        struct err_text text = { "" };
        struct mount m;

        assert_ok(kv_run(site.bottom, KV_WRITE | KV_IDEMPOTENT, set_damaged, pid));
        for (int exclusive = 0; exclusive < 2; exclusive++) {
                struct mount_opts opts = { .exclusive = exclusive, .text = &text };

                assert_fails(mount_open(&m, &site, &opts), EBUSY);
                assert_non_null(strstr(text.text, "ashlar evict STORE ab736f6d65"));
        }
        assert_ok(rec_session_evict(site.bottom, pid, NULL));
        mount_open(&m, &site, &(struct mount_opts){ 0 });
        mount_close(&m);
}

/* Entries of processes that have ended are cleared by the next mount on the same machine, by no other. */
static void test_gone(void **state)
{
        struct mount dead, m;

        mount_open(&dead, &site, &(struct mount_opts){ .exclusive = true, .unix_pid = DEAD_PIDS });
        mount_crash(&dead);
        assert_int_equal(count_mounts(), 1);
        mount_open(&m, &site, &(struct mount_opts){ 0 });
        assert_int_equal(count_mounts(), 1);
        mount_close(&m);
        assert_int_equal(count_keys(site.bottom, "p"), 0);
}

/* Mounts from before the last boot of this machine have ended, if only this machine can use the store. */
static void test_former_boot(void **state)
{
        const struct mount_opts before = { .exclusive = true, .boot_id = "before" };
        struct err_text text = { "" };
        struct mount dead, m;

        mount_open(&dead, &site, &before);
        mount_crash(&dead);
        if (kv_limits(site.bottom)->remote) {
                assert_fails(mount_open(&m, &site, &(struct mount_opts){ .text = &text }), EBUSY);
                assert_int_equal(count_mounts(), 1);
        } else {
                mount_open(&m, &site, &(struct mount_opts){ 0 });
                assert_int_equal(count_mounts(), 1);
                mount_close(&m);
        }
}

/* Many mounts register at the same time, over a store with conflicts and unknown results: an exclusive one is
 * alone, and each has one entry. */
#define CROWD 6

struct crowd {
        pthread_barrier_t barrier;
        _Atomic unsigned exclusive, shared, failures;
};

struct registrant {
        struct crowd *crowd;
        unsigned me;
};

static void *run_registrant(void *arg)
{
        struct registrant *g = arg;
        struct crowd *c = g->crowd;
        struct mount_opts opts = { .exclusive = g->me % 3 == 0, .faults = fixture_faults };
        struct err_text text;

        opts.faults.seed = fixture_number("ASHLAR_SEED", 1) + g->me;
        opts.faults.unknown_done_ppm = opts.faults.unknown_not_done_ppm = 200000;
        opts.text = &text;
        for (int i = 0; i < 50; i++) {
                struct mount m;
                unsigned shared, exclusive;
                int r;

                pthread_barrier_wait(&c->barrier);
                r = mount_open(&m, &site, &opts);
                if (r == 0) {
                        atomic_fetch_add(opts.exclusive ? &c->exclusive : &c->shared, 1);
                        exclusive = c->exclusive;
                        shared = c->shared;
                        if (opts.exclusive ? exclusive != 1 || shared != 0 : exclusive != 0)
                                atomic_fetch_add(&c->failures, 1);
                        atomic_fetch_sub(opts.exclusive ? &c->exclusive : &c->shared, 1);
                        mount_close(&m);
                } else if (r != -EBUSY) {
                        atomic_fetch_add(&c->failures, 1);
                }
                pthread_barrier_wait(&c->barrier);
                if (g->me == 0 && count_keys(site.bottom, "p") != 0)
                        atomic_fetch_add(&c->failures, 1);
        }
        return NULL;
}

static void test_crowd(void **state)
{
        struct registrant registrants[CROWD];
        struct crowd c = { 0 };
        pthread_t threads[CROWD];

        pthread_barrier_init(&c.barrier, NULL, CROWD);
        for (unsigned i = 0; i < CROWD; i++) {
                registrants[i] = (struct registrant){ &c, i };
                assert_int_equal(pthread_create(&threads[i], NULL, run_registrant, &registrants[i]), 0);
        }
        for (unsigned i = 0; i < CROWD; i++)
                pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&c.barrier);
        assert_int_equal(c.failures, 0);
}

/* ---- eviction ----------------------------------------------------------------------------------- */

static void test_evict(void **state)
{
        struct mount victim, other;
        struct fs_attr a;
        uint64_t sum, seen = 12345;
        char buf[4];

        mount_open(&victim, &site, &(struct mount_opts){ 0 });
        mount_open(&other, &site, &(struct mount_opts){ 0 });
        make(&victim, "file");
        assert_fails(rec_session_evict(site.bottom, fs_session_pid(victim.session), &seen), EBUSY);
        assert_int_equal(count_mounts(), 2);
        assert_ok(rec_session_evict(site.bottom, fs_session_pid(victim.session), NULL));
        assert_fails(rec_session_evict(site.bottom, fs_session_pid(victim.session), NULL), ENOENT);
        assert_int_equal(count_mounts(), 1);
        sum = site_sum(&site);
        assert_fails(fs_getattr(victim.fs, ROOT, &a), ERR_FENCED);
        assert_true(fs_session_lost(victim.session));
        assert_fails(fs_mknod(victim.fs, &user, ROOT, str("x"), S_IFREG | 0644, 0, &a), ERR_FENCED);
        assert_fails(fs_unlink(victim.fs, ROOT, str("file")), ERR_FENCED);
        assert_fails(fs_getxattr(victim.fs, ROOT, str("user.x"), buf, 4), ERR_FENCED);
        mount_close(&victim);
        assert_int_equal(site_sum(&site), sum);
        assert_int_equal(count_mounts(), 1);
        mount_close(&other);
}

/* An idle mount learns of its eviction by its watch. */
static void test_evict_idle(void **state)
{
        struct mount victim;

        mount_open(&victim, &site, &(struct mount_opts){ 0 });
        assert_ok(rec_session_evict(site.bottom, fs_session_pid(victim.session), NULL));
        while (!fs_session_lost(victim.session))
                usleep(1000);
        mount_close(&victim);
}

/* A mount is evicted in the middle of its operations: after the commit of the eviction no byte of the store
 * changes. */
struct worker {
        struct mount *m;
        unsigned me;
        int ended; /* the error that ended it */
};

static void *work(void *arg)
{
        struct worker *w = arg;
        int r = 0;

        for (unsigned i = 0; r >= 0; i++) {
                struct fs_attr a;
                char name[32];

                snprintf(name, sizeof(name), "%u-%u", w->me, i % 10);
                r = fs_mknod(w->m->fs, &user, ROOT, str(name), S_IFREG | 0644, 0, &a);
                if (r >= 0) {
                        r = (int)fs_write(w->m->fs, a.ino, 0, str("data"), 0);
                        fs_forget(w->m->fs, a.ino, 1);
                }
                if (r == -EEXIST)
                        r = fs_unlink(w->m->fs, ROOT, str(name));
                if (r >= 0 && i % 7 == 0 && w->m->store != w->m->handle)
                        r = fs_sync(w->m->fs);
        }
        w->ended = r;
        return NULL;
}

static void evict_under_load(bool exclusive)
{
        struct kv_fault_opts faults = fixture_faults;
        struct worker workers[3];
        pthread_t threads[3];

        faults.seed = fixture_number("ASHLAR_SEED", 1);
        faults.slow_ppm = 200000;
        for (unsigned round = 0; round < 10; round++) {
                struct mount victim;
                uint64_t sum;

                faults.seed++;
                mount_open(&victim, &site, &(struct mount_opts){ .exclusive = exclusive, .faults = faults });
                for (unsigned i = 0; i < 3; i++) {
                        workers[i] = (struct worker){ &victim, i, 0 };
                        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
                }
                usleep((useconds_t)(faults.seed * 7919 % 30000));
                assert_ok(rec_session_evict(site.bottom, fs_session_pid(victim.session), NULL));
                sum = site_sum(&site);
                for (unsigned i = 0; i < 3; i++) {
                        pthread_join(threads[i], NULL);
                        assert_fails(workers[i].ended, ERR_FENCED);
                }
                mount_close(&victim);
                assert_int_equal(site_sum(&site), sum);
                site_check(&site, NULL);
        }
}

static void test_evict_under_load(void **state)
{
        evict_under_load(false);
}

static void test_evict_exclusive_under_load(void **state)
{
        evict_under_load(true);
}

/* The mount is evicted while a call of its store is delayed. */
struct paused {
        struct mount *victim;
        unsigned runs;
};

static int paused_body(struct kv_txn *t, void *arg)
{
        struct paused *p = arg;
        int r = kv_set(t, str("z"), str("written by the dead"));

        if (p->runs++ == 0)
                assert_ok(rec_session_evict(site.bottom, fs_session_pid(p->victim->session), NULL));
        return r;
}

static void test_evict_paused(void **state)
{
        struct mount victim;
        struct paused p = { .victim = &victim };

        mount_open(&victim, &site, &(struct mount_opts){ 0 });
        assert_fails(kv_run(victim.handle, KV_WRITE | KV_IDEMPOTENT, paused_body, &p), ERR_FENCED);
        assert_int_equal(count_keys(site.bottom, "z"), 0);
        mount_close(&victim);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_entry, setup, teardown),
                cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
                cmocka_unit_test_setup_teardown(test_heartbeat, setup, teardown),
                cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
                cmocka_unit_test_setup_teardown(test_no_file_system, setup, teardown),
                cmocka_unit_test_setup_teardown(test_mkfs, setup, teardown),
                cmocka_unit_test_setup_teardown(test_damaged_entry, setup, teardown),
                cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
                cmocka_unit_test_setup_teardown(test_former_boot, setup, teardown),
                cmocka_unit_test_setup_teardown(test_crowd, setup, teardown),
                cmocka_unit_test_setup_teardown(test_evict, setup, teardown),
                cmocka_unit_test_setup_teardown(test_evict_idle, setup, teardown),
                cmocka_unit_test_setup_teardown(test_evict_under_load, setup, teardown),
                cmocka_unit_test_setup_teardown(test_evict_exclusive_under_load, setup, teardown),
                cmocka_unit_test_setup_teardown(test_evict_paused, setup, teardown),
        };

        if (argc > 1)
                spec = argv[1];
        fixture_seed(argc, argv);
        return cmocka_run_group_tests(tests, NULL, NULL);
}

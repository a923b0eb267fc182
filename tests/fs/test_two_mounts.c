/* SPDX-License-Identifier: MIT */
/* Two mounts of one store, which each make random changes to the same small tree over a store that adds
 * conflicts, unknown results and failed reads.
 *
 * In turns they must agree with a model, as one mount would: each sees the other's changes with its next
 * call. At the same time, the results returned to both must add up to the final tree. And one of them may die
 * at any commit: the other continues, and the next mount that is alone collects the garbage.
 *
 * test_two_mounts SPEC: "mem", "mem+remote" or "fdb" (mounts.h); environment ASHLAR_SEED, ASHLAR_ROUNDS. */
#include "fs/gc/gc.h"
#include "kv/testing/testing.h"
#include "mounts.h"

#include <pthread.h>
#include <unistd.h>

#define NAMES 6u
#define BYTES 9000u

static const char *spec = "mem";
static uint64_t seed, rounds;
static const struct fs_cred user = { .uid = 1000, .gid = 1000 };

static struct mount_opts faulty(uint64_t n)
{
        struct mount_opts o = { .faults = fixture_faults };

        o.faults.seed = seed + n;
        return o;
}

/* Waits until nothing is left under 'g': a mount that is alone collects. */
static void drain(struct site *s)
{
        for (int i = 0; count_keys(s->bottom, "g") > 0; i++) {
                if (i == 4000)
                        fail_msg("garbage is not collected");
                usleep(5000);
        }
}

/* ---- in turns ----------------------------------------------------------------------------------- */

/* The expected content: bytes of a file, or no file. */
struct expected {
        bool exists;
        uint64_t ino;
        size_t len;
        char bytes[BYTES];
};

struct turns {
        struct site site;
        struct mount mounts[2];
        struct expected files[NAMES];
        struct rng rng;
};

static void name_of(unsigned n, char name[16])
{
        snprintf(name, 16, "name%u", n);
}

static int take(const struct iovec *iov, int n, size_t len, void *arg)
{
        char *at = arg;

        for (int i = 0; i < n; i++) {
                memcpy(at, iov[i].iov_base, iov[i].iov_len);
                at += iov[i].iov_len;
        }
        return (int)len;
}

static void check_file(struct mount *m, const struct expected *e, const char *name)
{
        char bytes[BYTES + 1];
        struct fs_attr a;
        int r = fs_lookup(m->fs, ROOT, str(name), &a);

        assert_int_equal(r, e->exists ? 0 : -ENOENT);
        if (!e->exists)
                return;
        assert_int_equal(a.ino, e->ino);
        assert_int_equal(a.size, e->len);
        assert_int_equal(fs_read(m->fs, a.ino, 0, BYTES, 0, take, bytes), (int)e->len);
        assert_memory_equal(bytes, e->bytes, e->len);
        fs_forget(m->fs, a.ino, 1);
}

static void do_create(struct mount *m, struct expected *e, const char *name)
{
        struct fs_attr a;
        int r = fs_mknod(m->fs, &user, ROOT, str(name), S_IFREG | 0644, 0, &a);

        assert_int_equal(r, e->exists ? -EEXIST : 0);
        if (r < 0)
                return;
        fs_forget(m->fs, a.ino, 1);
        *e = (struct expected){ .exists = true, .ino = a.ino };
}

static void do_unlink(struct mount *m, struct expected *e, const char *name)
{
        int r = fs_unlink(m->fs, ROOT, str(name));

        assert_int_equal(r, e->exists ? 0 : -ENOENT);
        e->exists = false;
}

static void do_write(struct turns *t, struct mount *m, struct expected *e)
{
        size_t at = rng_below(&t->rng, BYTES - 1), len = 1 + rng_below(&t->rng, BYTES - at);
        bool append = rng_below(&t->rng, 3) == 0;
        char data[BYTES];

        if (!e->exists)
                return;
        if (append) {
                at = e->len;
                len = len < BYTES - at ? len : BYTES - at;
        }
        if (len == 0)
                return;
        memset(data, (int)('a' + rng_below(&t->rng, 26)), len);
        assert_int_equal(fs_write(m->fs, e->ino, append ? 0 : at, slice_of(data, len),
                                  append ? FS_WRITE_APPEND : 0),
                         (ssize_t)len);
        if (at > e->len)
                memset(e->bytes + e->len, 0, at - e->len);
        memcpy(e->bytes + at, data, len);
        e->len = at + len > e->len ? at + len : e->len;
}

static void do_truncate(struct turns *t, struct mount *m, struct expected *e)
{
        struct fs_setattr set = { .set = FS_SET_SIZE, .size = rng_below(&t->rng, BYTES) };
        struct fs_attr a;

        if (!e->exists)
                return;
        assert_ok(fs_setattr(m->fs, e->ino, &set, &a));
        if (set.size > e->len)
                memset(e->bytes + e->len, 0, set.size - e->len);
        e->len = set.size;
}

static void do_rename(struct mount *m, struct expected *from, const char *name, struct expected *to,
                      const char *new_name)
{
        int r = fs_rename(m->fs, ROOT, str(name), ROOT, str(new_name), 0, NULL);

        assert_int_equal(r, from->exists ? 0 : -ENOENT);
        if (r < 0 || from == to)
                return;
        *to = *from;
        from->exists = false;
}

static void take_turn(struct turns *t)
{
        struct mount *m = &t->mounts[rng_below(&t->rng, 2)];
        unsigned n = (unsigned)rng_below(&t->rng, NAMES), k = (unsigned)rng_below(&t->rng, NAMES);
        char name[16], other[16];

        name_of(n, name);
        name_of(k, other);
        switch (rng_below(&t->rng, 8)) {
        case 0:
        case 1:
                do_create(m, &t->files[n], name);
                break;
        case 2:
                do_unlink(m, &t->files[n], name);
                break;
        case 3:
                do_rename(m, &t->files[n], name, &t->files[k], other);
                break;
        case 4:
                do_truncate(t, m, &t->files[n]);
                break;
        default:
                do_write(t, m, &t->files[n]);
        }
        check_file(&t->mounts[rng_below(&t->rng, 2)], &t->files[n], name);
        check_file(&t->mounts[rng_below(&t->rng, 2)], &t->files[k], other);
}

/* Replaces one mount by a new one: after umount, or after a crash and an eviction. */
static void replace_one(struct turns *t, unsigned i)
{
        struct mount *m = &t->mounts[i];

        if (rng_below(&t->rng, 2)) {
                mount_close(m);
        } else {
                uint8_t pid[FMT_PID_SIZE];

                memcpy(pid, fs_session_pid(m->session), FMT_PID_SIZE);
                mount_crash(m);
                assert_ok(rec_session_evict(t->site.bottom, pid, NULL));
        }
        mount_open(m, &t->site, &(struct mount_opts){ .faults = faulty(rng_next(&t->rng)).faults });
}

static void test_in_turns(void **state)
{
        struct turns *t = calloc(1, sizeof(*t));

        assert_non_null(t);
        rng_seed(&t->rng, seed);
        site_open(&t->site, spec);
        for (unsigned i = 0; i < 2; i++)
                mount_open(&t->mounts[i], &t->site, &(struct mount_opts){ .faults = faulty(i).faults });
        for (uint64_t i = 0; i < rounds; i++) {
                take_turn(t);
                if (i % 100 == 99) {
                        replace_one(t, (unsigned)rng_below(&t->rng, 2));
                        site_check(&t->site, NULL);
                }
        }
        mount_close(&t->mounts[0]);
        mount_close(&t->mounts[1]);
        assert_int_equal(count_keys(t->site.bottom, "g"), 0); /* the last mount was alone */
        assert_int_equal(count_keys(t->site.bottom, "p"), 0);
        site_close(&t->site);
        free(t);
}

/* ---- at the same time --------------------------------------------------------------------------- */

/* Many threads create and remove each name: successful creates and removes must alternate. */
struct counts {
        _Atomic int64_t made[NAMES], removed[NAMES];
        _Atomic uint64_t failures;
        pthread_barrier_t barrier;
};

struct member {
        struct mount *m;
        struct counts *c;
        uint64_t seed;
};

static int make_or_remove(struct member *w, struct rng *rng)
{
        unsigned n = (unsigned)rng_below(rng, NAMES);
        struct fs_attr a;
        char name[16];
        int r;

        name_of(n, name);
        if (rng_below(rng, 2)) {
                r = fs_mknod(w->m->fs, &user, ROOT, str(name), S_IFREG | 0644, 0, &a);
                if (r == 0) {
                        atomic_fetch_add(&w->c->made[n], 1);
                        (void)fs_write(w->m->fs, a.ino, 0, str("some bytes"), FS_WRITE_APPEND);
                        fs_forget(w->m->fs, a.ino, 1);
                }
                return r == -EEXIST ? 0 : r;
        }
        r = fs_unlink(w->m->fs, ROOT, str(name));
        if (r == 0)
                atomic_fetch_add(&w->c->removed[n], 1);
        return r == -ENOENT ? 0 : r;
}

static void *run_member(void *arg)
{
        struct member *w = arg;
        struct rng rng;

        rng_seed(&rng, w->seed);
        pthread_barrier_wait(&w->c->barrier);
        for (uint64_t i = 0; i < rounds; i++) {
                int r = make_or_remove(w, &rng);

                if (r == -EIO || r == -ERR_FENCED)
                        break; /* it died */
                if (r < 0) {
                        print_error("%s\n", err_str(r));
                        atomic_fetch_add(&w->c->failures, 1);
                }
        }
        return NULL;
}

#define MEMBERS 4

static void run_all(struct counts *c, struct mount *mounts, unsigned n_mounts)
{
        struct member members[MEMBERS];
        pthread_t threads[MEMBERS];

        pthread_barrier_init(&c->barrier, NULL, MEMBERS);
        for (unsigned i = 0; i < MEMBERS; i++) {
                members[i] = (struct member){ &mounts[i % n_mounts], c, seed + i };
                assert_int_equal(pthread_create(&threads[i], NULL, run_member, &members[i]), 0);
        }
        for (unsigned i = 0; i < MEMBERS; i++)
                pthread_join(threads[i], NULL);
        pthread_barrier_destroy(&c->barrier);
        assert_int_equal(c->failures, 0);
}

static void test_at_once(void **state)
{
        struct counts c = { .failures = 0 };
        struct mount mounts[2];
        struct site site;

        site_open(&site, spec);
        for (unsigned i = 0; i < 2; i++)
                mount_open(&mounts[i], &site, &(struct mount_opts){ .faults = faulty(i).faults });
        run_all(&c, mounts, 2);
        for (unsigned n = 0; n < NAMES; n++) {
                struct fs_attr a;
                char name[16];
                int r;

                name_of(n, name);
                r = fs_lookup(mounts[0].fs, ROOT, str(name), &a);
                assert_int_equal(c.made[n] - c.removed[n], r == 0);
                if (r == 0)
                        fs_forget(mounts[0].fs, a.ino, 1);
        }
        mount_close(&mounts[0]);
        mount_close(&mounts[1]);
        assert_int_equal(count_keys(site.bottom, "g"), 0);
        site_close(&site);
}

/* One mount dies at some commit, in the middle of its operations. */
static void test_one_dies(void **state)
{
        struct rng rng;

        rng_seed(&rng, seed);
        for (unsigned round = 0; round < 20; round++) {
                struct counts c = { .failures = 0 };
                struct mount mounts[2];
                struct site site;
                uint8_t pid[FMT_PID_SIZE];

                site_open(&site, spec);
                for (unsigned i = 0; i < 2; i++)
                        mount_open(&mounts[i], &site, &(struct mount_opts){ .faults = faulty(i).faults });
                kv_fault_crash_at(mounts[0].handle, rng_below(&rng, 60), rng_below(&rng, 2));
                run_all(&c, mounts, 2);
                memcpy(pid, fs_session_pid(mounts[0].session), FMT_PID_SIZE);
                mount_crash(&mounts[0]);
                site_check(&site, NULL);
                mount_close(&mounts[1]);
                assert_ok(rec_session_evict(site.bottom, pid, NULL));
                site_check(&site, NULL);
                mount_open(&mounts[0], &site, &(struct mount_opts){ 0 });
                drain(&site);
                mount_close(&mounts[0]);
                assert_int_equal(count_keys(site.bottom, "p"), 0);
                site_close(&site);
        }
}

/* ---- unlinked but open -------------------------------------------------------------------------- */

/* Two mounts, and a small file that A created and references. */
struct held {
        struct site site;
        struct mount a, b;
        uint64_t ino;
};

static void held_open(struct held *h)
{
        struct fs_attr attr;

        site_open(&h->site, spec);
        mount_open(&h->a, &h->site, &(struct mount_opts){ 0 });
        mount_open(&h->b, &h->site, &(struct mount_opts){ 0 });
        assert_ok(fs_mknod(h->a.fs, &user, ROOT, str("file"), S_IFREG | 0644, 0, &attr));
        assert_int_equal(fs_write(h->a.fs, attr.ino, 0, str("bytes"), 0), 5);
        h->ino = attr.ino;
}

/* M references the file, which has no name any more. */
static void assert_held(const struct held *h, struct mount *m)
{
        struct fs_attr attr;
        char bytes[16];

        assert_int_equal(fs_read(m->fs, h->ino, 0, sizeof(bytes), 0, take, bytes), 5);
        assert_memory_equal(bytes, "bytes", 5);
        assert_ok(fs_getattr(m->fs, h->ino, &attr));
        assert_int_equal(attr.nlink, 0);
}

static void test_unlinked_by_the_other(void **state)
{
        struct held h;

        held_open(&h);
        assert_ok(fs_unlink(h.b.fs, ROOT, str("file")));
        /* B unmounts; A is alone then, but references the file. */
        mount_close(&h.b);
        usleep(200000);
        assert_held(&h, &h.a);
        fs_forget(h.a.fs, h.ino, 1);
        /* A scans again after some time, and at unmount. */
        mount_close(&h.a);
        assert_int_equal(count_keys(h.site.bottom, "g"), 0);
        assert_int_equal(count_keys(h.site.bottom, "f"), 0);
        site_close(&h.site);
}

/* While there is another mount, which may reference the file, nothing is collected; afterwards it is. */
static void test_left_to_the_last(void **state)
{
        struct fs_attr attr;
        struct held h;

        held_open(&h);
        fs_forget(h.a.fs, h.ino, 1);
        assert_ok(fs_lookup(h.b.fs, ROOT, str("file"), &attr));
        assert_int_equal(attr.ino, h.ino);
        assert_ok(fs_unlink(h.a.fs, ROOT, str("file")));
        usleep(200000);
        assert_int_equal(count_keys(h.site.bottom, "g"), 1);
        assert_held(&h, &h.b);
        mount_close(&h.b);
        drain(&h.site);
        mount_close(&h.a);
        site_close(&h.site);
}

/* ---- conflicts ---------------------------------------------------------------------------------- */

struct churn {
        struct kv_store *stats;
        struct fs *fs;
        unsigned me;
        pthread_barrier_t *barrier;
        int failed;
};

static void *churn(void *arg)
{
        struct churn *c = arg;

        pthread_barrier_wait(c->barrier);
        for (uint64_t i = 0; i < rounds && c->failed == 0; i++) {
                struct fs_attr a;
                char name[32];

                snprintf(name, sizeof(name), "%u-%llu", c->me, (unsigned long long)i);
                c->failed = fs_mknod(c->fs, &user, ROOT, str(name), S_IFREG | 0644, 0, &a);
                if (c->failed == 0) {
                        fs_forget(c->fs, a.ino, 1);
                        c->failed = fs_unlink(c->fs, ROOT, str(name));
                }
        }
        return NULL;
}

/* Many mounts create and remove their own files in one directory: no two transactions conflict. */
static void test_no_conflicts(void **state)
{
        struct churn churns[MEMBERS];
        pthread_t threads[MEMBERS];
        pthread_barrier_t barrier;
        struct mount mounts[MEMBERS];
        struct kv_stats total = { 0 }, stats;
        struct err_text text;
        struct site site;

        if (strcmp(spec, "fdb") == 0) {
                skip(); /* conflicts are injected there */
                return;
        }
        site_open(&site, spec);
        pthread_barrier_init(&barrier, NULL, MEMBERS);
        for (unsigned i = 0; i < MEMBERS; i++) {
                struct fs_open_opts opts = { .atime = FS_NOATIME };

                mount_open(&mounts[i], &site, &(struct mount_opts){ 0 });
                fs_close(mounts[i].fs);
                churns[i] = (struct churn){ .me = i, .barrier = &barrier };
                /* The fence and the markers stay with the handle below. */
                assert_ok(kv_stats_open(mounts[i].handle, &churns[i].stats));
                opts.session = mounts[i].session;
                assert_ok(fs_open(churns[i].stats, &opts, &churns[i].fs, &text));
        }
        for (unsigned i = 0; i < MEMBERS; i++) {
                struct fs_attr a;

                /* The session closed those with the first file system. */
                assert_ok(fs_mkdir(churns[i].fs, &user, ROOT, str("numbers"), 0755, &a));
                assert_ok(fs_rmdir(churns[i].fs, ROOT, str("numbers")));
                fs_forget(churns[i].fs, a.ino, 1);
        }
        for (unsigned i = 0; i < MEMBERS; i++) {
                /* The first scan of a collector conflicts with concurrent registrations, by design. */
                fs_gc_drain(churns[i].fs);
                kv_stats_reset(churns[i].stats);
        }
        for (unsigned i = 0; i < MEMBERS; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, churn, &churns[i]), 0);
        for (unsigned i = 0; i < MEMBERS; i++)
                pthread_join(threads[i], NULL);
        for (unsigned i = 0; i < MEMBERS; i++) {
                assert_ok(churns[i].failed);
                fs_close(churns[i].fs);
                kv_stats_get(churns[i].stats, &stats);
                total.conflicts += stats.conflicts;
                total.commits += stats.commits;
        }
        assert_int_equal(total.conflicts, 0);
        assert_true(total.commits >= 2 * MEMBERS * rounds);
        for (unsigned i = 0; i < MEMBERS; i++) {
                assert_ok(fs_session_close(mounts[i].session, false));
                assert_ok(kv_close(churns[i].stats));
        }
        pthread_barrier_destroy(&barrier);
        mount_open(&mounts[0], &site, &(struct mount_opts){ 0 });
        drain(&site);
        mount_close(&mounts[0]);
        site_close(&site);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_in_turns),         cmocka_unit_test(test_at_once),
                cmocka_unit_test(test_one_dies),         cmocka_unit_test(test_unlinked_by_the_other),
                cmocka_unit_test(test_left_to_the_last), cmocka_unit_test(test_no_conflicts),
        };

        if (argc > 1)
                spec = argv[1];
        seed = fixture_seed(argc, argv);
        rounds = fixture_number("ASHLAR_ROUNDS", 400);
        return cmocka_run_group_tests(tests, NULL, NULL);
}

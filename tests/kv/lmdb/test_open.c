/* SPDX-License-Identifier: MIT */
/* Opening: what there may be in a directory, who may open it at the same time, damage. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void make_store(struct fixture *f)
{
        struct kv_store *s = store_open(f, KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE);

        put(s, "key", "value");
        assert_int_equal(kv_close(s), 0);
}

static void write_file(const char *path, const void *data, size_t len)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, len), len);
        close(fd);
}

static void test_missing(void **state)
{
        struct fixture *f = *state;
        char name[128];

        store_open_fails(f, 0, ENOENT, "ashlar mkfs");
        store_open_fails(f, KV_OPEN_RDONLY, ENOENT, "ashlar mkfs");
        assert_int_equal(mkdir(f->path, 0700), 0);
        store_open_fails(f, 0, ENOENT, "ashlar mkfs");
        /* Looking for a store leaves nothing behind. */
        assert_int_equal(rmdir(f->path), 0);
        write_file(f->path, "x", 1);
        store_open_fails(f, 0, ENOTDIR, "directory");
        store_open_fails(f, KV_OPEN_CREATE, ENOTDIR, "directory");
        assert_int_equal(unlink(f->path), 0);
        assert_int_equal(mkdir(f->path, 0700), 0);
        write_file(file_path(f, "letter.txt", name), "x", 1);
        store_open_fails(f, KV_OPEN_CREATE, ENOTEMPTY, "not empty");
        snprintf(f->path, sizeof(f->path), "%s/no/such", f->dir);
        store_open_fails(f, KV_OPEN_CREATE, ENOENT, "no/such");
}

static void test_create(void **state)
{
        struct fixture *f = *state;
        struct kv_store *s;
        struct stat st;

        make_store(f);
        assert_int_equal(stat(f->path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        s = store_open(f, 0);
        expect(s, "key", "value");
        assert_int_equal(kv_close(s), 0);
        s = store_open(f, KV_OPEN_CREATE);
        expect(s, "key", "value");
        assert_int_equal(kv_close(s), 0);
}

static void make_foreign(struct fixture *f, const char *key, const char *value)
{
        MDB_val k = { .mv_data = (void *)key, .mv_size = key ? strlen(key) : 0 };
        MDB_val v = { .mv_data = (void *)value, .mv_size = value ? strlen(value) : 0 };
        MDB_env *env;
        MDB_txn *txn;
        MDB_dbi dbi;

        assert_int_equal(mkdir(f->path, 0700), 0);
        assert_int_equal(mdb_env_create(&env), 0);
        assert_int_equal(mdb_env_open(env, f->path, 0, 0600), 0);
        assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
        assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
        if (key)
                assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
        assert_int_equal(mdb_txn_commit(txn), 0);
        mdb_env_close(env);
}

static void test_foreign(void **state)
{
        struct fixture *f = *state;

        make_foreign(f, "their key", "their value");
        store_open_fails(f, 0, ERR_NO_FS, "not an ashlar store");
        store_open_fails(f, KV_OPEN_CREATE, ERR_NO_FS, "not an ashlar store");
        store_open_fails(f, KV_OPEN_RDONLY, ERR_NO_FS, "not an ashlar store");
}

static void test_foreign_empty(void **state)
{
        struct fixture *f = *state;
        struct kv_store *s;

        make_foreign(f, NULL, NULL);
        s = store_open(f, KV_OPEN_RDONLY);
        expect(s, "key", NULL);
        assert_int_equal(kv_close(s), 0);
        s = store_open(f, 0);
        put(s, "key", "value");
        assert_int_equal(kv_close(s), 0);
        s = store_open(f, KV_OPEN_RDONLY);
        expect(s, "key", "value");
        assert_int_equal(kv_close(s), 0);
}

static void put_marker(struct fixture *f, const char *value)
{
        MDB_val k = { .mv_data = (void *)"\0\0", .mv_size = 2 };
        MDB_val v = { .mv_data = (void *)value, .mv_size = strlen(value) };
        MDB_env *env;
        MDB_txn *txn;
        MDB_dbi dbi;

        assert_int_equal(mdb_env_create(&env), 0);
        assert_int_equal(mdb_env_open(env, f->path, 0, 0600), 0);
        assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
        assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
        assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
        assert_int_equal(mdb_txn_commit(txn), 0);
        mdb_env_close(env);
}

static void test_newer(void **state)
{
        struct fixture *f = *state;

        make_store(f);
        put_marker(f, "ashlar store 2\n");
        store_open_fails(f, 0, ERR_NEWER, "newer version");
        put_marker(f, "something else");
        store_open_fails(f, 0, ERR_NO_FS, "not an ashlar store");
}

/* ---- who may open ------------------------------------------------------------------------------- */

struct open_arg {
        unsigned flags, wait_ms;
        int err;
        const char *part;
        struct err_text text;
};

/* In a child: opens, expects the error or success, and reads a key. */
static void child_open(struct fixture *f, void *p)
{
        struct open_arg *a = p;
        struct kv_open_opts opts = { .flags = a->flags, .owner = "the child", .wait_ms = a->wait_ms };
        struct err_text text = { "" };
        struct kv_store *s;
        int r = kv_open(f->path, &opts, &s, &text);

        if (r != -a->err || (r < 0 && !strstr(text.text, a->part))) {
                fprintf(stderr, "in the child: %s: %s\n", err_str(r), text.text);
                _exit(1);
        }
        if (r < 0)
                return;
        expect(s, "key", "value");
        kv_close(s);
}

static void test_exclusive(void **state)
{
        struct open_arg busy = { .flags = KV_OPEN_EXCLUSIVE, .err = EBUSY, .part = "in use by a test" };
        struct open_arg shared = { .flags = 0, .err = EBUSY, .part = "in use by a test" };
        struct open_arg rdonly = { .flags = KV_OPEN_RDONLY };
        struct fixture *f = *state;
        struct kv_store *s;

        make_store(f);
        s = store_open(f, KV_OPEN_EXCLUSIVE);
        assert_int_equal(in_child(child_open, f, &busy), 0);
        assert_int_equal(in_child(child_open, f, &shared), 0);
        assert_int_equal(in_child(child_open, f, &rdonly), 0);
        /* LMDB cannot have a store open twice in one process, whatever the flags. */
        store_open_fails(f, KV_OPEN_EXCLUSIVE, EBUSY, "this process");
        store_open_fails(f, KV_OPEN_RDONLY, EBUSY, "this process");
        /* None of this took the lock away. */
        assert_int_equal(in_child(child_open, f, &busy), 0);
        put(s, "key", "value");
        assert_int_equal(kv_close(s), 0);
        busy.err = 0;
        assert_int_equal(in_child(child_open, f, &busy), 0);
}

static void test_shared(void **state)
{
        struct open_arg exclusive = { .flags = KV_OPEN_EXCLUSIVE, .err = EBUSY, .part = "in use by" };
        struct open_arg shared = { .flags = 0 };
        struct fixture *f = *state;
        struct kv_store *s;

        make_store(f);
        s = store_open(f, 0);
        assert_int_equal(in_child(child_open, f, &exclusive), 0);
        assert_int_equal(in_child(child_open, f, &shared), 0);
        assert_int_equal(kv_close(s), 0);
}

static double now_s(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void test_wait(void **state)
{
        struct kv_open_opts opts = { .flags = KV_OPEN_EXCLUSIVE, .wait_ms = 10000 };
        struct fixture *f = *state;
        struct kv_store *s;
        double start;
        int ready[2];
        char c;
        pid_t pid;

        make_store(f);
        assert_int_equal(pipe(ready), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                s = store_open(f, KV_OPEN_EXCLUSIVE);
                if (write(ready[1], "x", 1) != 1)
                        _exit(1);
                usleep(300000);
                _exit(0); /* without closing: a dead process holds no lock */
        }
        assert_int_equal(read(ready[0], &c, 1), 1);
        opts.wait_ms = 50;
        assert_int_equal(kv_open(f->path, &opts, &s, &f->text), -EBUSY);
        opts.wait_ms = 10000;
        start = now_s();
        assert_int_equal(kv_open(f->path, &opts, &s, &f->text), 0);
        assert_true(now_s() - start < 5);
        expect(s, "key", "value");
        assert_int_equal(kv_close(s), 0);
        waitpid(pid, NULL, 0);
        close(ready[0]);
        close(ready[1]);
}

/* ---- without permission to write ---------------------------------------------------------------- */

static void as_nobody(struct fixture *f, void *arg)
{
        if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
                _exit(2);
        child_open(f, arg);
}

static void make_readable(struct fixture *f)
{
        char name[128];

        assert_int_equal(chmod(f->dir, 0755), 0);
        assert_int_equal(chmod(f->path, 0755), 0);
        assert_int_equal(chmod(file_path(f, "data.mdb", name), 0644), 0);
        assert_int_equal(chmod(file_path(f, "lock.mdb", name), 0644), 0);
        assert_int_equal(chmod(file_path(f, "ashlar.lock", name), 0644), 0);
}

static void test_no_permission(void **state)
{
        struct open_arg denied = { .flags = 0, .err = EACCES, .part = "Permission denied" };
        struct open_arg rdonly = { .flags = KV_OPEN_RDONLY };
        struct open_arg busy = { .flags = KV_OPEN_RDONLY, .err = EBUSY, .part = "in use by a test" };
        struct fixture *f = *state;
        struct kv_store *s;

        if (geteuid() != 0)
                skip();
        make_store(f);
        chmod(f->dir, 0755);
        assert_int_equal(in_child(as_nobody, f, &denied), 0);
        make_readable(f);
        assert_int_equal(in_child(as_nobody, f, &denied), 0);
        assert_int_equal(in_child(as_nobody, f, &rdonly), 0);
        /* A writer could not see such a reader and would use its pages again. */
        s = store_open(f, 0);
        assert_int_equal(in_child(as_nobody, f, &busy), 0);
        assert_int_equal(kv_close(s), 0);
        assert_int_equal(in_child(as_nobody, f, &rdonly), 0);
}

/* The store's file system mounted for reading only, in a name space of its own; exits with 77 if that is not
 * allowed. */
static void on_readonly_fs(struct fixture *f, void *arg)
{
        if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) < 0 ||
            mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount(f->path, f->path, NULL, MS_BIND, NULL) < 0 ||
            mount(NULL, f->path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
                _exit(77);
        child_open(f, arg);
}

static void test_readonly_fs(void **state)
{
        struct open_arg denied = { .flags = 0, .err = EROFS, .part = "Read-only file system" };
        struct open_arg rdonly = { .flags = KV_OPEN_RDONLY };
        struct fixture *f = *state;
        char name[128];
        int status;

        make_store(f);
        status = in_child(on_readonly_fs, f, &rdonly);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                skip();
        assert_int_equal(status, 0);
        assert_int_equal(in_child(on_readonly_fs, f, &denied), 0);
        /* A copy on a medium, without the lock files. */
        assert_int_equal(unlink(file_path(f, "lock.mdb", name)), 0);
        assert_int_equal(unlink(file_path(f, "ashlar.lock", name)), 0);
        assert_int_equal(in_child(on_readonly_fs, f, &rdonly), 0);
}

/* ---- little address space ----------------------------------------------------------------------- */

#if defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static void with_little_memory(struct fixture *f, void *arg)
{
        struct rlimit limit = { .rlim_cur = UINT64_C(3) << 30, .rlim_max = UINT64_C(3) << 30 };

        if (setrlimit(RLIMIT_AS, &limit) < 0)
                _exit(2);
        child_open(f, arg);
}

static void test_address_space(void **state)
{
        struct open_arg any = { .flags = KV_OPEN_EXCLUSIVE };
        struct fixture *f = *state;

        if (SANITIZED)
                skip(); /* sanitizers need more themselves */
        make_store(f);
        assert_int_equal(in_child(with_little_memory, f, &any), 0);
}

/* ---- damage ------------------------------------------------------------------------------------- */

static void test_damaged_headers(void **state)
{
        struct fixture *f = *state;
        char name[128];
        uint8_t garbage[12288];
        struct rng g;

        make_store(f);
        file_path(f, "data.mdb", name);
        assert_int_equal(truncate(name, 4096), 0);
        store_open_fails(f, 0, ERR_CORRUPT, "too short");
        assert_int_equal(truncate(name, 0), 0);
        store_open_fails(f, KV_OPEN_CREATE, ERR_CORRUPT, "too short");
        rng_seed(&g, 1);
        rng_fill(&g, garbage, sizeof(garbage));
        write_file(name, garbage, sizeof(garbage));
        store_open_fails(f, 0, ERR_CORRUPT, "no LMDB file");
        memset(garbage, 0, sizeof(garbage));
        write_file(name, garbage, sizeof(garbage));
        store_open_fails(f, KV_OPEN_RDONLY, ERR_CORRUPT, "no LMDB file");
        assert_int_equal(unlink(name), 0);
        assert_int_equal(mkdir(name, 0700), 0);
        store_open_fails(f, 0, ERR_CORRUPT, "not a file");
}

/* A store with branches, overflow pages, free pages and a bucket. */
static void make_larger_store(struct fixture *f)
{
        struct kv_store *s = store_open(f, KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE);
        uint8_t value[20000], key[600];
        struct kv_txn *t;

        memset(value, 'v', sizeof(value));
        memset(key, 'k', sizeof(key));
        for (int round = 0; round < 3; round++) {
                assert_int_equal(kv_begin(s, KV_WRITE, &t), 0);
                for (int i = 0; i < 400; i++) {
                        char name[32];

                        snprintf(name, sizeof(name), "key %04d", i);
                        assert_int_equal(kv_set(t, slice_str(name),
                                                slice_of(value, i % 50 == 0 ? 20000 : 100)),
                                         0);
                }
                assert_int_equal(kv_set(t, slice_of(key, 600), slice_of(value, 10)), 0);
                assert_int_equal(kv_set(t, slice_of(key, 599), slice_of(value, 10)), 0);
                assert_int_equal(kv_clear_range(t, slice_str("key 0100"), slice_str("key 0150")), 0);
                assert_int_equal(kv_commit(t), 0);
                kv_end(t);
        }
        assert_int_equal(kv_close(s), 0);
}

static void test_truncated(void **state)
{
        struct fixture *f = *state;
        struct stat st;
        char name[128];

        make_larger_store(f);
        file_path(f, "data.mdb", name);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(truncate(name, st.st_size / 8192 * 4096), 0);
        store_open_fails(f, 0, ERR_CORRUPT, "damaged");
        store_open_fails(f, KV_OPEN_RDONLY, ERR_CORRUPT, "damaged");
}

/* Opens what may be damaged, reads everything and writes, in a process of its own, which exits with 0 if it
 * could be opened, else with 1. */
static void use_damaged(struct fixture *f, void *arg)
{
        struct kv_open_opts opts = { .flags = KV_OPEN_EXCLUSIVE };
        struct kv_range_opts all = { .begin = slice_of("", 0), .end = slice_of("\xff", 1) };
        static const uint8_t small[300];
        struct slice key, value;
        struct kv_range range;
        struct kv_store *s;
        struct kv_txn *t;
        uint64_t sum = 0;

        alarm(20);
        if (kv_open(f->path, &opts, &s, &f->text) < 0)
                _exit(1);
        for (int reverse = 0; reverse < 2; reverse++) {
                if (kv_begin(s, KV_READ, &t) < 0)
                        _exit(1);
                all.reverse = reverse;
                kv_range_start(t, &range, &all);
                while (kv_range_next(&range, &key, &value) > 0)
                        for (size_t i = 0; i < value.len; i += 64)
                                sum += value.data[i];
                kv_range_end(&range);
                kv_end(t);
        }
        for (int i = 0; i < 4 && kv_begin(s, KV_WRITE, &t) >= 0; i++) {
                for (int j = i; j < 400; j += 9) {
                        char name[32];

                        snprintf(name, sizeof(name), "key %04d", j);
                        kv_set(t, slice_str(name), slice_of(small, (size_t)(j * 7) % sizeof(small)));
                }
                kv_clear_range(t, slice_str("key 0200"), slice_str("key 0220"));
                if (kv_commit(t) < 0)
                        i = 4;
                kv_end(t);
        }
        kv_close(s);
        /* Never 2: it only keeps the reading from being left out. */
        _exit(sum == UINT64_MAX ? 2 : 0);
}

/* Bytes changed at random places: whatever comes of it, no crash and no endless loop. */
static void test_damaged_pages(void **state)
{
        const char *scale = getenv("ASHLAR_DAMAGE_ROUNDS");
        int rounds = scale ? atoi(scale) : 150, opened = 0;
        struct fixture *f = *state;
        struct stat st;
        uint8_t *bytes;
        char name[128];
        struct rng g;
        int fd;

        make_larger_store(f);
        rng_seed(&g, test_seed("lmdb damage"));
        fd = open(file_path(f, "data.mdb", name), O_RDONLY);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        bytes = malloc((size_t)st.st_size);
        assert_non_null(bytes);
        assert_int_equal(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
        close(fd);
        for (int i = 0; i < rounds; i++) {
                size_t n = 1 + rng_below(&g, 4), at = 0;
                uint8_t *damaged = malloc((size_t)st.st_size);
                int status;

                assert_non_null(damaged);
                memcpy(damaged, bytes, (size_t)st.st_size);
                while (n-- > 0) {
                        /* Mostly where structure is: the beginnings of pages. */
                        at = rng_below(&g, (uint64_t)st.st_size / 4096) * 4096;
                        at += rng_below(&g, 3) ? rng_below(&g, 160) : rng_below(&g, 4096);
                        if (rng_below(&g, 2))
                                damaged[at] = (uint8_t)rng_next(&g);
                        else
                                damaged[at] ^= (uint8_t)(1u << rng_below(&g, 8));
                }
                write_file(name, damaged, (size_t)st.st_size);
                status = in_child(use_damaged, f, NULL);
                if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
                        write_file("damaged.mdb", damaged, (size_t)st.st_size);
                        fail_msg("round %d, last change at %zu, kept as damaged.mdb: status %x", i, at,
                                 status);
                }
                free(damaged);
                opened += WEXITSTATUS(status) == 0;
        }
        print_message("%d of %d damaged stores could be opened\n", opened, rounds);
        free(bytes);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_missing),       TEST(test_create),        TEST(test_foreign),
                TEST(test_foreign_empty), TEST(test_newer),         TEST(test_exclusive),
                TEST(test_shared),        TEST(test_wait),          TEST(test_no_permission),
                TEST(test_readonly_fs),   TEST(test_address_space), TEST(test_damaged_headers),
                TEST(test_truncated),     TEST(test_damaged_pages),
        };

        return cmocka_run_group_tests_name("lmdb open", tests, NULL, NULL);
}

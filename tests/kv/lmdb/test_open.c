/* SPDX-License-Identifier: MIT */
/* Opening: contents of the directory, processes that open a store at the same time, permissions. */
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

static void test_missing(void **state)
{
        struct fixture *f = *state;
        char name[128];

        store_open_fails(f, 0, ENOENT, "ashlar mkfs");
        store_open_fails(f, KV_OPEN_RDONLY, ENOENT, "ashlar mkfs");
        assert_int_equal(mkdir(f->path, 0700), 0);
        store_open_fails(f, 0, ENOENT, "ashlar mkfs");
        /* A failed open leaves no file behind. */
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

static void test_foreign(void **state)
{
        struct fixture *f = *state;

        put_raw(f, slice_str("their key"), "their value");
        store_open_fails(f, 0, ERR_NO_FS, "not an ashlar store");
        store_open_fails(f, KV_OPEN_CREATE, ERR_NO_FS, "not an ashlar store");
        store_open_fails(f, KV_OPEN_RDONLY, ERR_NO_FS, "not an ashlar store");
}

static void test_foreign_empty(void **state)
{
        struct fixture *f = *state;
        struct kv_store *s;

        put_raw(f, slice_of(NULL, 0), NULL);
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

static void test_newer(void **state)
{
        struct fixture *f = *state;

        make_store(f);
        put_raw(f, slice_of("\0\0", 2), "ashlar store 2\n");
        store_open_fails(f, 0, ERR_NEWER, "newer version");
        put_raw(f, slice_of("\0\0", 2), "something else");
        store_open_fails(f, 0, ERR_NO_FS, "not an ashlar store");
}

/* ---- several processes -------------------------------------------------------------------------- */

struct open_arg {
        unsigned flags, wait_ms;
        int err;
        const char *part;
        bool part_at_end;
        struct err_text text;
};

static bool has_part(const struct open_arg *a, const char *text)
{
        const char *found = strstr(text, a->part);

        return found && (!a->part_at_end || found[strlen(a->part)] == '\0');
}

/* In a child: opens with the expected result, and reads a key. */
static void child_open(struct fixture *f, void *p)
{
        struct open_arg *a = p;
        struct kv_open_opts opts = { .flags = a->flags, .owner = "the child", .wait_ms = a->wait_ms };
        struct err_text text = { "" };
        struct kv_store *s;
        int r = kv_open(f->path, &opts, &s, &text);

        if (r != -a->err || (r < 0 && !has_part(a, text.text))) {
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
        /* LMDB cannot have a store open twice in one process, with any flags. */
        store_open_fails(f, KV_OPEN_EXCLUSIVE, EBUSY, "this process");
        store_open_fails(f, KV_OPEN_RDONLY, EBUSY, "this process");
        /* These attempts did not release the lock. */
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

/* Stays in the store until STOP is closed. */
static pid_t start_sharer(struct fixture *f, const char *owner, int stop[2])
{
        const struct kv_open_opts opts = { .owner = owner };
        int ready[2];
        pid_t pid;
        char c;

        assert_int_equal(pipe(ready), 0);
        assert_int_equal(pipe(stop), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                struct kv_store *s;

                close(stop[1]);
                if (kv_open(f->path, &opts, &s, NULL) < 0 || write(ready[1], "x", 1) != 1)
                        _exit(1);
                _exit(read(stop[0], &c, 1) != 0);
        }
        assert_int_equal(read(ready[0], &c, 1), 1);
        close(ready[0]);
        close(ready[1]);
        close(stop[0]);
        return pid;
}

static void stop_sharer(pid_t pid, int stop[2])
{
        int status;

        close(stop[1]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

/* Of several writers, the message names those that exist, not the last one that opened the store. */
static void test_names(void **state)
{
        struct open_arg exclusive = { .flags = KV_OPEN_EXCLUSIVE, .err = EBUSY, .part_at_end = true };
        struct open_arg shared = { .flags = 0 };
        struct fixture *f = *state;
        struct kv_store *s;
        int stop_a[2], stop_b[2];
        pid_t a, b;

        make_store(f);
        s = store_open(f, 0);
        put(s, "key", "value");
        assert_int_equal(in_child(child_open, f, &shared), 0);
        exclusive.part = "in use by a test";
        assert_int_equal(in_child(child_open, f, &exclusive), 0);
        a = start_sharer(f, "sharer a", stop_a);
        exclusive.part = "in use by a test and sharer a";
        assert_int_equal(in_child(child_open, f, &exclusive), 0);
        b = start_sharer(f, "sharer b", stop_b);
        exclusive.part = "in use by a test, sharer a and 1 more";
        assert_int_equal(in_child(child_open, f, &exclusive), 0);
        stop_sharer(b, stop_b);
        exclusive.part = "in use by a test and sharer a";
        assert_int_equal(in_child(child_open, f, &exclusive), 0);
        stop_sharer(a, stop_a);
        exclusive.part = "in use by a test";
        assert_int_equal(in_child(child_open, f, &exclusive), 0);
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
                _exit(0); /* without closing: the lock ends with the process */
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
        /* A writer would not see such a reader and would reuse its pages. */
        s = store_open(f, 0);
        assert_int_equal(in_child(as_nobody, f, &busy), 0);
        assert_int_equal(kv_close(s), 0);
        assert_int_equal(in_child(as_nobody, f, &rdonly), 0);
}

/* Mounts the store's file system read-only, in a separate mount namespace. Exits with 77 if that is not
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
        /* A copy on a read-only medium, without the lock files. */
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
                skip(); /* sanitizers need more */
        make_store(f);
        assert_int_equal(in_child(with_little_memory, f, &any), 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_missing),       TEST(test_create),      TEST(test_foreign),
                TEST(test_foreign_empty), TEST(test_newer),       TEST(test_exclusive),
                TEST(test_shared),        TEST(test_names),       TEST(test_wait),
                TEST(test_no_permission), TEST(test_readonly_fs), TEST(test_address_space),
        };

        return cmocka_run_group_tests_name("lmdb open", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Space: figures, reservations, a full store that can still delete, a full disk. */
#include "fixture.h"
#include "kv/engine.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1024u * 1024u)

static struct kv_store *open_bounded(struct fixture *f, uint64_t max_bytes)
{
        struct kv_open_opts opts = { .flags = KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE, .max_bytes = max_bytes };
        struct kv_store *s = NULL;
        int r = kv_open(f->path, &opts, &s, &f->text);

        if (r < 0)
                fail_msg("cannot open: %s", f->text.text);
        return s;
}

static struct slice numbered(unsigned i, char buf[32])
{
        return slice_of(buf, (size_t)snprintf(buf, 32, "key %06u", i));
}

/* Writes blocks of 64 KiB until one fails. Returns how many it wrote. */
static unsigned fill(struct kv_store *s, unsigned limit, int *ret_err)
{
        static uint8_t value[65536];
        char buf[32];
        unsigned i;

        for (i = 0; i < limit; i++) {
                *ret_err = try_put(s, 0, numbered(i, buf), slice_of(value, sizeof(value) - 100));
                if (*ret_err < 0)
                        return i;
        }
        return i;
}

static int clear_some(struct kv_store *s, unsigned from, unsigned to)
{
        char buf[2][32];
        _cleanup_txn_ struct kv_txn *t = NULL;
        int r = kv_begin(s, KV_WRITE | KV_RESERVE, &t);

        if (r < 0)
                return r;
        r = kv_clear_range(t, numbered(from, buf[0]), numbered(to, buf[1]));
        return r < 0 ? r : kv_commit(t);
}

/* On a full store or disk writes fail with ENOSPC, reads and deletes work, and deletes free space. */
static void check_full(struct kv_store *s, unsigned expected_min, unsigned limit)
{
        struct kv_space space;
        unsigned n, again;
        int err;

        n = fill(s, limit, &err);
        assert_int_equal(err, -ENOSPC);
        assert_true(n >= expected_min);
        assert_int_equal(kv_space(s, &space), 0);
        assert_true(space.used_bytes >= n * 65536ull);
        assert_true(space.free_bytes < 4 * MIB);
        expect(s, "key none", NULL);
        for (unsigned i = 0; i < n / 2; i++)
                assert_int_equal(clear_some(s, i, i + 1), 0);
        again = fill(s, limit, &err);
        assert_true(again >= n / 4);
        assert_int_equal(clear_some(s, 0, n + again), 0);
        sleep(2); /* the count of free pages may be a second old */
        assert_int_equal(kv_space(s, &space), 0);
        assert_true(space.used_bytes < 8 * MIB);
        assert_true(space.free_bytes >= expected_min * 65536ull);
}

static void test_bounded(void **state)
{
        struct kv_store *s = open_bounded(*state, 32 * MIB);

        check_full(s, 250, 600);
        assert_int_equal(kv_close(s), 0);
}

static void test_figures(void **state)
{
        struct fixture *f = *state;
        struct kv_store *s = store_open(f, KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE);
        struct kv_space before, after;
        struct statvfs v;
        struct stat st;
        char name[128];
        int err;

        assert_int_equal(statvfs(f->path, &v), 0);
        assert_int_equal(kv_space(s, &before), 0);
        assert_true(before.used_bytes < MIB);
        assert_true(before.free_bytes <= v.f_bavail * v.f_frsize + 16 * MIB);
        assert_true(before.free_bytes * 2 > v.f_bavail * v.f_frsize || before.free_bytes > (1ull << 39));
        assert_int_equal(before.total_bytes, before.used_bytes + before.free_bytes);
        assert_int_equal(fill(s, 100, &err), 100);
        sleep(2);
        assert_int_equal(kv_space(s, &after), 0);
        assert_true(after.used_bytes >= 100 * 65536);
        assert_true(after.used_bytes < 100 * 65536 * 5 / 4);
        assert_int_equal(kv_close(s), 0);
        /* Closing returns the space that was allocated beyond the end. */
        assert_int_equal(stat(file_path(f, "data.mdb", name), &st), 0);
        assert_true((uint64_t)st.st_blocks * 512 <= (uint64_t)st.st_size + 64 * 1024);
}

static int reserve(struct kv_store *s, uint64_t bytes)
{
        struct kv_need need = { .keys = bytes / 32768 + 1,
                                .sets = bytes / 32768 + 1,
                                .bytes = bytes,
                                .largest = 32768,
                                .commits = 1 };

        return s->ops->reserve(s, &need);
}

static void test_reserve(void **state)
{
        struct fixture *f = *state;
        struct kv_store *s = open_bounded(f, 64 * MIB);

        assert_int_equal(reserve(s, 0), 0);
        assert_int_equal(reserve(s, 10 * MIB), 0);
        assert_int_equal(reserve(s, 100 * MIB), -ENOSPC);
        assert_int_equal(kv_close(s), 0);
}

/* In a child: mounts a file system of 96 MiB in memory, in a separate mount namespace. Exits with 77 if
 * that is not allowed. */
static void on_small_disk(struct fixture *f, void *arg)
{
        struct kv_store *s;

        if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) < 0 ||
            mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", f->dir, "tmpfs", 0, "size=96m") < 0)
                _exit(77);
        s = open_bounded(f, 0);
        check_full(s, 700, 3000);
        _exit(kv_close(s) == 0 ? 0 : 1);
}

static void test_full_disk(void **state)
{
        int status = in_child(on_small_disk, *state, NULL);

        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                skip();
        assert_int_equal(status, 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_figures),
                TEST(test_reserve),
                TEST(test_bounded),
                TEST(test_full_disk),
        };

        return cmocka_run_group_tests_name("lmdb space", tests, NULL, NULL);
}

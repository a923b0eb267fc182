/* SPDX-License-Identifier: MIT */
/* Extended attributes after setxattr(2), getxattr(2), listxattr(2) and removexattr(2). */
#include "fixture.h"
#include "maint/maint.h"

#include <sys/xattr.h>

static void test_set_get(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        char buf[16];

        assert_fails(fs_getxattr(f->fs, file, str("user.a"), buf, 16), ENODATA);
        tick(f);
        assert_ok(fs_setxattr(f->fs, file, str("user.a"), str("value"), 0));
        assert_times(attr(f, file).ctime, now(f));
        assert_true(attr(f, file).mtime.tv_sec < now(f).tv_sec);
        assert_int_equal(fs_getxattr(f->fs, file, str("user.a"), NULL, 0), 5);
        assert_int_equal(fs_getxattr(f->fs, file, str("user.a"), buf, 5), 5);
        assert_memory_equal(buf, "value", 5);
        assert_fails(fs_getxattr(f->fs, file, str("user.a"), buf, 4), ERANGE);
        assert_ok(fs_setxattr(f->fs, file, str("user.a"), str(""), 0));
        assert_int_equal(fs_getxattr(f->fs, file, str("user.a"), buf, 16), 0);

        assert_ok(fs_setxattr(f->fs, ROOT, str("user.dir"), str("x"), 0));
        assert_int_equal(fs_getxattr(f->fs, ROOT, str("user.dir"), buf, 16), 1);
        assert_fails(fs_setxattr(f->fs, 987654321, str("user.a"), str("x"), 0), ENOENT);
        assert_fails(fs_getxattr(f->fs, 987654321, str("user.a"), buf, 16), ENOENT);
}

static void test_flags(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");

        assert_fails(fs_setxattr(f->fs, file, str("user.a"), str("1"), XATTR_REPLACE), ENODATA);
        assert_ok(fs_setxattr(f->fs, file, str("user.a"), str("1"), XATTR_CREATE));
        assert_fails(fs_setxattr(f->fs, file, str("user.a"), str("2"), XATTR_CREATE), EEXIST);
        assert_ok(fs_setxattr(f->fs, file, str("user.a"), str("3"), XATTR_REPLACE));
}

static void test_limits(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        char name[FMT_NAME_MAX + 2], *value = calloc(1, FMT_XATTR_MAX + 1);

        assert_non_null(value);
        memset(name, 'x', sizeof(name));
        memcpy(name, "user.", 5);
        assert_ok(fs_setxattr(f->fs, file, slice_of(name, FMT_NAME_MAX), str("v"), 0));
        assert_true(fs_setxattr(f->fs, file, slice_of(name, FMT_NAME_MAX + 1), str("v"), 0) < 0);
        assert_ok(fs_setxattr(f->fs, file, str("user.big"), slice_of(value, FMT_XATTR_MAX), 0));
        assert_int_equal(fs_getxattr(f->fs, file, str("user.big"), NULL, 0), FMT_XATTR_MAX);
        assert_fails(fs_setxattr(f->fs, file, str("user.big"), slice_of(value, FMT_XATTR_MAX + 1), 0), E2BIG);
        free(value);
}

static void test_list_remove(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        char buf[64];

        assert_int_equal(fs_listxattr(f->fs, file, buf, sizeof(buf)), 0);
        assert_ok(fs_setxattr(f->fs, file, str("user.b"), str("1"), 0));
        assert_ok(fs_setxattr(f->fs, file, str("user.a"), str("2"), 0));
        assert_int_equal(fs_listxattr(f->fs, file, NULL, 0), 14);
        assert_int_equal(fs_listxattr(f->fs, file, buf, 14), 14);
        assert_memory_equal(buf, "user.a\0user.b", 14);
        assert_fails(fs_listxattr(f->fs, file, buf, 13), ERANGE);

        tick(f);
        assert_ok(fs_removexattr(f->fs, file, str("user.a")));
        assert_times(attr(f, file).ctime, now(f));
        assert_fails(fs_removexattr(f->fs, file, str("user.a")), ENODATA);
        assert_int_equal(fs_listxattr(f->fs, file, buf, sizeof(buf)), 7);
        assert_fails(fs_listxattr(f->fs, 987654321, buf, 1), ENOENT);
        assert_fails(fs_removexattr(f->fs, 987654321, str("user.a")), ENOENT);
}

/* They are removed with their inode; rename and link do not change them. */
static void test_life(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        struct maint_check_result result;

        assert_ok(fs_setxattr(f->fs, file, str("user.a"), str("1"), 0));
        assert_ok(fs_rename(f->fs, ROOT, str("file"), ROOT, str("other"), 0, NULL));
        fixture_remount(f);
        assert_int_equal(fs_getxattr(f->fs, file, str("user.a"), NULL, 0), 1);
        assert_ok(fs_unlink(f->fs, ROOT, str("other")));
        fixture_drain(f);
        fixture_check(f, &result);
        assert_int_equal(result.xattrs, 0);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                FIXTURE_TEST(test_set_get),     FIXTURE_TEST(test_flags), FIXTURE_TEST(test_limits),
                FIXTURE_TEST(test_list_remove), FIXTURE_TEST(test_life),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Versions and builds of LMDB: which are accepted, and the message for the others. */
#include "fixture.h"
#include "kv/lmdb/version.h"

#include <lmdb.h>
#include <unistd.h>

static void accepts(int major, int minor, int patch)
{
        assert_int_equal(lmdb_check_version(major, minor, patch, NULL), 0);
}

static void refuses(int major, int minor, int patch, const char *part)
{
        struct err_text text = { "" };

        assert_int_equal(lmdb_check_version(major, minor, patch, &text), -ENOTSUP);
        assert_non_null(strstr(text.text, part));
        assert_non_null(strstr(text.text, "0.9.24 to 0.9.33"));
        assert_null(strchr(text.text, '\n'));
}

static void test_versions(void **state)
{
        (void)state;
        accepts(0, 9, 24);
        accepts(0, 9, 31);
        accepts(0, 9, 33);
        refuses(0, 9, 23, "LMDB 0.9.23 ");
        refuses(0, 9, 34, "LMDB 0.9.34 ");
        refuses(0, 9, 70, "LMDB 0.9.70 "); /* LMDB's master before 1.0 */
        refuses(1, 0, 0, "LMDB 1.0.0 ");
        refuses(0, 8, 24, "LMDB 0.8.24 ");
        refuses(1, 9, 24, "LMDB 1.9.24 ");
}

static int library_patch = MDB_VERSION_PATCH;

/* Replaces that of the library. */
char *mdb_version(int *major, int *minor, int *patch)
{
        *major = MDB_VERSION_MAJOR;
        *minor = MDB_VERSION_MINOR;
        *patch = library_patch;
        return MDB_VERSION_STRING;
}

static void test_open(void **state)
{
        struct fixture *f = *state;

        library_patch = LMDB_PATCH_MAX + 1;
        store_open_fails(f, KV_OPEN_CREATE, ENOTSUP, "LMDB 0.9.34 is not supported");
        assert_int_equal(access(f->path, F_OK), -1); /* nothing was made */
        library_patch = MDB_VERSION_PATCH;
        assert_int_equal(kv_close(store_open(f, KV_OPEN_CREATE)), 0);
}

static void test_sizes(void **state)
{
        struct err_text text = { "" };

        (void)state;
        assert_int_equal(lmdb_check_sizes(511, 4096, "store", NULL), 0);
        assert_int_equal(lmdb_check_sizes(1982, 32768, "store", NULL), 0);
        assert_int_equal(lmdb_check_sizes(255, 4096, "store", &text), -ENOTSUP);
        assert_non_null(strstr(text.text, "255 bytes"));
        assert_int_equal(lmdb_check_sizes(511, 2048, "store", &text), -ENOTSUP);
        assert_non_null(strstr(text.text, "store: the store has pages of 2048 bytes"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_versions),
                TEST(test_open),
                cmocka_unit_test(test_sizes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

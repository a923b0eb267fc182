/* SPDX-License-Identifier: MIT */
/* Life cycle of a file system and of its inodes: mkfs, open, read-only, unlinked files, collection,
 * statfs. */
#include "fixture.h"
#include "kv/testing/testing.h"
#include "maint/maint.h"

#include <unistd.h>

static const struct fs_cred user = { .uid = 1000, .gid = 1000 };

static void test_mkfs(void **state)
{
        struct fixture *f = *state;
        struct err_text text = { "" };
        struct maint_mkfs_opts opts = {
                .block_size = 65536, .root_mode = 0700, .root_uid = 5, .root_gid = 6, .label = "label"
        };
        struct fs_attr a;

        new_file(f, ROOT, "file");
        fs_close(f->fs);
        assert_fails(maint_mkfs(f->store, &opts, &f->clock.clock, &text), EEXIST);
        assert_true(text.text[0] != '\0');
        opts.force = true;
        assert_ok(maint_mkfs(f->store, &opts, &f->clock.clock, &text));
        assert_ok(fs_open(f->store, &f->opts, &f->fs, &text));
        assert_int_equal(fs_block_size(f->fs), 65536);
        a = attr(f, ROOT);
        assert_int_equal(a.mode, S_IFDIR | 0700);
        assert_int_equal(a.uid, 5);
        assert_int_equal(a.gid, 6);
        assert_string_equal(names(f, ROOT), "");
}

static void test_mkfs_bad_options(void **state)
{
        static const uint32_t sizes[] = { 1, 512, 4064, 4097, 65552, 131072 };
        struct fixture *f = *state;

        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                struct maint_mkfs_opts opts = { .block_size = sizes[i], .force = true };
                struct err_text text = { "" };

                assert_fails(maint_mkfs(f->store, &opts, &f->clock.clock, &text), EINVAL);
                assert_true(text.text[0] != '\0');
        }
}

static void test_open_empty_store(void **state)
{
        struct kv_open_opts opts = { .flags = KV_OPEN_CREATE };
        struct fs_open_opts fs_opts = { 0 };
        struct err_text text = { "" };
        struct maint_check_result result;
        struct kv_store *store;
        struct fs *fs;

        assert_ok(kv_testing_open("mem:", &opts, &store, &text));
        assert_fails(fs_open(store, &fs_opts, &fs, &text), ERR_NO_FS);
        assert_true(text.text[0] != '\0');
        text.text[0] = '\0';
        assert_fails(maint_check(store, NULL, NULL, NULL, &result, &text), ERR_NO_FS);
        assert_true(text.text[0] != '\0');
        assert_ok(kv_close(store));
}

static void test_rdonly(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file"), dir = new_dir(f, ROOT, "dir");
        struct fs_attr a, kept;
        struct fs_setattr set = { .set = FS_SET_MODE };

        put(f, file, 0, "data");
        kept = attr(f, file);
        f->opts.rdonly = true;
        f->opts.atime = FS_STRICTATIME;
        fixture_remount(f);
        tick(f);
        assert_data(f, file, 0, "data", 4);
        assert_times(attr(f, file).atime, kept.atime);
        assert_string_equal(names(f, ROOT), "dir/file/");
        assert_fails(fs_mknod(f->fs, &user, ROOT, str("x"), S_IFREG, 0, &a), EROFS);
        assert_fails(fs_mkdir(f->fs, &user, ROOT, str("x"), 0, &a), EROFS);
        assert_fails(fs_symlink(f->fs, &user, ROOT, str("x"), str("y"), &a), EROFS);
        assert_fails(fs_link(f->fs, file, ROOT, str("x"), &a), EROFS);
        assert_fails(fs_unlink(f->fs, ROOT, str("file")), EROFS);
        assert_fails(fs_rmdir(f->fs, ROOT, str("dir")), EROFS);
        assert_fails(fs_rename(f->fs, ROOT, str("file"), dir, str("x"), 0, NULL), EROFS);
        assert_fails(fs_setattr(f->fs, file, &set, &a), EROFS);
        assert_fails(fs_write(f->fs, file, 0, str("x"), 0), EROFS);
        assert_fails(fs_fallocate(f->fs, file, 0, 0, 1), EROFS);
        assert_fails(fs_setxattr(f->fs, file, str("user.x"), str("y"), 0), EROFS);
        assert_fails(fs_removexattr(f->fs, file, str("user.x")), EROFS);
        assert_ok(fs_sync(f->fs));
}

/* Read-only and back: everything is committed, nothing is written nor collected, then both are possible
 * again. */
static void test_remount(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file"), gone = new_file(f, ROOT, "gone");
        struct fs_attr a, kept;

        put(f, file, 0, "data");
        assert_ok(fs_lookup(f->fs, ROOT, str("gone"), &a));
        assert_ok(fs_unlink(f->fs, ROOT, str("gone")));
        kept = attr(f, file);
        assert_ok(fs_remount(f->fs, true, FS_STRICTATIME));
        tick(f);
        assert_fails(fs_mkdir(f->fs, &user, ROOT, str("x"), 0, &a), EROFS);
        assert_fails(fs_write(f->fs, file, 0, str("x"), 0), EROFS);
        assert_data(f, file, 0, "data", 4);
        assert_times(attr(f, file).atime, kept.atime);
        fs_forget(f->fs, gone, 1);
        usleep(50000);
        assert_int_equal(count_keys(f->store, "g"), 1);
        assert_ok(fs_sync(f->fs));
        assert_ok(fs_remount(f->fs, false, FS_STRICTATIME));
        fixture_drain(f);
        assert_data(f, file, 0, "data", 4);
        assert_true(time_before(kept.atime, attr(f, file).atime));
        put(f, file, 0, "more");

        /* A file system that began read-only. */
        f->opts.rdonly = true;
        fixture_remount(f);
        assert_fails(fs_remount(f->fs, false, FS_RELATIME), EROFS);
        assert_fails(fs_write(f->fs, file, 0, str("x"), 0), EROFS);
        f->opts.remountable = true;
        fixture_remount(f);
        assert_fails(fs_write(f->fs, file, 0, str("x"), 0), EROFS);
        assert_ok(fs_remount(f->fs, false, FS_RELATIME));
        put(f, file, 0, "last");
        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
        fixture_drain(f);
}

/* An unlinked file works as before while it is referenced, and is gone afterwards. */
static void test_unlinked(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        struct fs_attr a;
        char buf[4];

        put(f, file, 0, "abc");
        assert_ok(fs_lookup(f->fs, ROOT, str("file"), &a));
        assert_ok(fs_lookup(f->fs, ROOT, str("file"), &a));
        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
        a = attr(f, file);
        assert_int_equal(a.nlink, 0);
        assert_data(f, file, 0, "abc", 3);
        put(f, file, 10000, "def");
        assert_ok(truncate_to(f, file, 10002));
        assert_ok(chmod_to(f, file, 0600));
        assert_ok(fs_setxattr(f->fs, file, str("user.a"), str("v"), 0));
        assert_int_equal(fs_getxattr(f->fs, file, str("user.a"), buf, 4), 1);
        assert_data(f, file, 10000, "de", 2);
        assert_fails(hardlink(f, file, ROOT, "back"), ENOENT);
        fixture_check(f, NULL);

        fs_forget(f->fs, file, 1);
        usleep(50000);
        assert_data(f, file, 0, "abc", 3); /* one reference is left */
        fs_forget(f->fs, file, 1);
        fixture_drain(f);
        assert_fails(fs_getattr(f->fs, file, &a), ENOENT);
        assert_fails(get(f, file, 0, buf, 1), ENOENT);
        assert_fails(fs_write(f->fs, file, 0, str("x"), 0), ENOENT);
}

static void test_tmpfile(void **state)
{
        struct fixture *f = *state;
        struct fs_attr a, named;
        struct maint_check_result result;

        /* Never linked: gone with its last reference. */
        assert_ok(fs_tmpfile(f->fs, &user, ROOT, 0640, &a));
        assert_int_equal(a.nlink, 0);
        assert_int_equal(a.mode, S_IFREG | 0640);
        assert_int_equal(a.uid, 1000);
        put(f, a.ino, 0, "abc");
        assert_string_equal(names(f, ROOT), "");
        fixture_check(f, NULL);
        fs_forget(f->fs, a.ino, 1);
        fixture_drain(f);
        assert_fails(fs_getattr(f->fs, a.ino, &a), ENOENT);

        /* Linked: stays like any other file; once unlinked it is gone. */
        assert_ok(fs_tmpfile(f->fs, &user, ROOT, 0640, &a));
        put(f, a.ino, 0, "abc");
        assert_ok(fs_link(f->fs, a.ino, ROOT, str("named"), &named));
        assert_int_equal(named.nlink, 1);
        assert_int_equal(named.ino, a.ino);
        fs_forget(f->fs, a.ino, 1);
        fixture_drain(f);
        fixture_check(f, &result);
        assert_int_equal(result.garbage, 0);
        fs_forget(f->fs, a.ino, 1);
        fixture_drain(f);
        assert_data(f, a.ino, 0, "abc", 3);
        assert_ok(fs_lookup(f->fs, ROOT, str("named"), &named));
        assert_ok(fs_unlink(f->fs, ROOT, str("named")));
        assert_fails(hardlink(f, a.ino, ROOT, "back"), ENOENT);

        /* Left by a mount that ended without unmounting. */
        assert_ok(fs_tmpfile(f->fs, &user, ROOT, 0640, &a));
        fixture_remount(f);
        fixture_drain(f);
        fixture_check(f, &result);
        assert_int_equal(result.garbage, 0);
        assert_int_equal(result.files, 0);
}

/* A truncation in several steps: the inode must stay under 'g' after the last one. */
static void test_unlinked_cut(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        size_t len = 4 << 20;
        char *data = malloc(len);
        struct fs_attr a;

        assert_non_null(data);
        memset(data, 'd', len);
        assert_int_equal(fs_write(f->fs, file, 0, slice_of(data, len), 0), (ssize_t)len);
        assert_ok(fs_lookup(f->fs, ROOT, str("file"), &a));
        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
        assert_ok(truncate_to(f, file, 10));
        assert_ok(truncate_to(f, file, len));
        fixture_check(f, NULL);
        assert_data(f, file, 0, data, 10);
        assert_zeros(f, file, 10, len - 10);
        fs_forget(f->fs, file, 1);
        fixture_drain(f);
        assert_int_equal(count_keys(f->store, "f"), 0);
        free(data);
}

static void test_close_collects(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        struct fs_attr a;

        put(f, file, 0, "abc");
        assert_ok(fs_lookup(f->fs, ROOT, str("file"), &a));
        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
        fixture_remount(f);
        assert_int_equal(count_keys(f->store, "g"), 0);
        assert_int_equal(count_keys(f->store, "f"), 0);
        assert_fails(fs_getattr(f->fs, file, &a), ENOENT);
}

/* Inode numbers are never used again, not even after a remount. */
static void test_numbers(void **state)
{
        struct fixture *f = *state;
        uint64_t last = ROOT;

        for (int i = 0; i < 50; i++) {
                uint64_t file = new_file(f, ROOT, "file");

                assert_true(file > last);
                last = file;
                assert_ok(fs_unlink(f->fs, ROOT, str("file")));
                if (i % 10 == 9)
                        fixture_remount(f);
        }
}

static void test_statfs(void **state)
{
        struct fixture *f = *state;
        struct maint_check_result before, after;
        struct fs_statfs start, full, end;
        char name[16], *data = calloc(1, 1 << 20);
        uint64_t dir;

        assert_non_null(data);
        memset(data, 'd', 1 << 20);
        fixture_check(f, &before);
        assert_ok(fs_statfs(f->fs, &start));
        assert_int_equal(start.block_size, 4096);
        assert_true(start.blocks_free <= start.blocks);
        assert_int_equal(start.inodes - start.inodes_free, 1);

        dir = new_dir(f, ROOT, "dir");
        for (int i = 0; i < 20; i++) {
                uint64_t file;

                snprintf(name, sizeof(name), "%d", i);
                file = new_file(f, dir, name);
                assert_int_equal(fs_write(f->fs, file, 0, slice_of(data, 1 << 20), 0), 1 << 20);
        }
        assert_ok(fs_sync(f->fs));
        assert_ok(fs_statfs(f->fs, &full));
        assert_int_equal(full.inodes - full.inodes_free, 22);
        assert_memory_equal(full.uuid, start.uuid, 16);

        for (int i = 0; i < 20; i++) {
                snprintf(name, sizeof(name), "%d", i);
                assert_ok(fs_unlink(f->fs, dir, str(name)));
        }
        assert_ok(fs_rmdir(f->fs, ROOT, str("dir")));
        fixture_drain(f);
        assert_ok(fs_statfs(f->fs, &end));
        assert_int_equal(end.inodes - end.inodes_free, 1);
        fixture_check(f, &after);
        assert_int_equal(after.inodes, before.inodes);
        assert_int_equal(after.blocks, 0);
        assert_int_equal(after.data_bytes, 0);
        free(data);
}

static void test_references(void **state)
{
        struct fixture *f = *state;
        struct fs_attr a;

        /* Each function that returns an inode adds one reference. */
        assert_ok(fs_mknod(f->fs, &user, ROOT, str("file"), S_IFREG | 0644, 0, &a));
        assert_ok(fs_link(f->fs, a.ino, ROOT, str("link"), &a));
        assert_ok(fs_lookup(f->fs, ROOT, str("file"), &a));
        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
        assert_ok(fs_unlink(f->fs, ROOT, str("link")));
        fs_forget(f->fs, a.ino, 2);
        usleep(50000);
        assert_int_equal(attr(f, a.ino).nlink, 0);
        fs_forget(f->fs, a.ino, 1);
        fixture_drain(f);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                FIXTURE_TEST(test_mkfs),
                FIXTURE_TEST(test_mkfs_bad_options),
                cmocka_unit_test(test_open_empty_store),
                FIXTURE_TEST(test_rdonly),
                FIXTURE_TEST(test_remount),
                FIXTURE_TEST(test_unlinked),
                FIXTURE_TEST(test_tmpfile),
                FIXTURE_TEST(test_unlinked_cut),
                FIXTURE_TEST(test_close_collects),
                FIXTURE_TEST(test_numbers),
                FIXTURE_TEST(test_statfs),
                FIXTURE_TEST(test_references),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}

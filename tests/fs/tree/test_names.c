/* SPDX-License-Identifier: MIT */
/* Names: lookup, create, link and unlink, and their effects on link counts and times. */
#include "fixture.h"

#include <sys/sysmacros.h>

static const struct fs_cred user = { .uid = 1000, .gid = 1000 };

static void test_root(void **state)
{
        struct fixture *f = *state;
        struct fs_attr a = attr(f, ROOT);
        uint64_t parent;

        assert_int_equal(a.mode, S_IFDIR | 0755);
        assert_int_equal(a.nlink, 2);
        assert_ok(fs_parent(f->fs, ROOT, &parent));
        assert_int_equal(parent, ROOT);
        assert_string_equal(names(f, ROOT), "");
        assert_fails(fs_rmdir(f->fs, ROOT, str("nothing")), ENOENT);
}

static void test_lookup(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file"), found;
        struct fs_attr a;

        assert_ok(look(f, ROOT, "file", &found));
        assert_int_equal(found, file);
        assert_fails(look(f, ROOT, "fil", NULL), ENOENT);
        assert_fails(look(f, ROOT, "file2", NULL), ENOENT);
        assert_fails(look(f, file, "x", NULL), ENOTDIR);
        assert_int_equal(fs_getattr(f->fs, 987654321, &a), -ENOENT);
}

static void test_name_limits(void **state)
{
        struct fixture *f = *state;
        char name[FMT_NAME_MAX + 2];
        struct fs_attr a;
        uint64_t file;

        memset(name, 'n', sizeof(name));
        assert_fails(fs_mknod(f->fs, &user, ROOT, slice_of(name, FMT_NAME_MAX + 1), S_IFREG | 0644, 0, &a),
                     ENAMETOOLONG);
        assert_fails(fs_mkdir(f->fs, &user, ROOT, slice_of(name, FMT_NAME_MAX + 1), 0755, &a), ENAMETOOLONG);
        assert_fails(fs_symlink(f->fs, &user, ROOT, slice_of(name, FMT_NAME_MAX + 1), str("x"), &a),
                     ENAMETOOLONG);
        assert_fails(fs_lookup(f->fs, ROOT, slice_of(name, FMT_NAME_MAX + 1), &a), ENAMETOOLONG);
        assert_fails(fs_unlink(f->fs, ROOT, slice_of(name, FMT_NAME_MAX + 1)), ENAMETOOLONG);
        assert_fails(fs_rmdir(f->fs, ROOT, slice_of(name, FMT_NAME_MAX + 1)), ENAMETOOLONG);

        name[FMT_NAME_MAX] = '\0';
        file = new_file(f, ROOT, name);
        assert_fails(fs_rename(f->fs, ROOT, slice_of(name, FMT_NAME_MAX), ROOT,
                               slice_of(name, FMT_NAME_MAX + 1), 0, NULL),
                     ENAMETOOLONG);
        assert_fails(fs_link(f->fs, file, ROOT, slice_of(name, FMT_NAME_MAX + 1), &a), ENAMETOOLONG);
        assert_ok(look(f, ROOT, name, NULL));
        assert_ok(fs_unlink(f->fs, ROOT, str(name)));
        /* Any byte but '/' and NUL. */
        new_file(f, ROOT, "\x01\xff \n\\\xfe");
        assert_ok(look(f, ROOT, "\x01\xff \n\\\xfe", NULL));
}

static void test_create(void **state)
{
        struct fixture *f = *state;
        struct fs_attr a, root;

        tick(f);
        assert_ok(fs_mknod(f->fs, &user, ROOT, str("file"), S_IFREG | 0640, 0, &a));
        assert_int_equal(a.mode, S_IFREG | 0640);
        assert_int_equal(a.nlink, 1);
        assert_int_equal(a.uid, 1000);
        assert_int_equal(a.gid, 1000);
        assert_int_equal(a.size, 0);
        assert_int_equal(a.blocks, 0);
        assert_times(a.atime, now(f));
        assert_times(a.mtime, now(f));
        assert_times(a.ctime, now(f));
        assert_times(a.btime, now(f));
        root = attr(f, ROOT);
        assert_times(root.mtime, now(f));
        assert_times(root.ctime, now(f));
        assert_int_equal(root.nlink, 2);
        fs_forget(f->fs, a.ino, 1);

        tick(f);
        assert_fails(fs_mknod(f->fs, &user, ROOT, str("file"), S_IFREG | 0644, 0, &a), EEXIST);
        assert_fails(fs_mkdir(f->fs, &user, ROOT, str("file"), 0755, &a), EEXIST);
        assert_fails(fs_symlink(f->fs, &user, ROOT, str("file"), str("x"), &a), EEXIST);
        assert_fails(fs_mknod(f->fs, &user, a.ino, str("x"), S_IFREG | 0644, 0, &a), ENOTDIR);
        assert_fails(fs_mknod(f->fs, &user, 987654321, str("x"), S_IFREG | 0644, 0, &a), ENOENT);
        assert_times(attr(f, ROOT).mtime, root.mtime); /* failures change nothing */
}

static void test_special_files(void **state)
{
        struct fixture *f = *state;
        uint64_t fifo = new_node(f, ROOT, "fifo", S_IFIFO | 0600, 0);
        uint64_t sock = new_node(f, ROOT, "sock", S_IFSOCK | 0777, 0);
        uint64_t chr = new_node(f, ROOT, "chr", S_IFCHR | 0666, makedev(1, 3));
        uint64_t blk = new_node(f, ROOT, "blk", S_IFBLK | 0660, makedev(8, 1));

        assert_int_equal(attr(f, fifo).mode, S_IFIFO | 0600);
        assert_int_equal(attr(f, sock).mode, S_IFSOCK | 0777);
        assert_int_equal(attr(f, chr).rdev, makedev(1, 3));
        assert_int_equal(attr(f, blk).rdev, makedev(8, 1));
        assert_true(fs_write(f->fs, fifo, 0, str("x"), 0) < 0);
        assert_true(truncate_to(f, chr, 5) < 0);
        assert_ok(fs_unlink(f->fs, ROOT, str("chr")));
}

static void test_mkdir(void **state)
{
        struct fixture *f = *state;
        uint64_t parent;
        struct fs_attr a;

        tick(f);
        assert_ok(fs_mkdir(f->fs, &user, ROOT, str("dir"), 01777, &a));
        assert_int_equal(a.mode, S_IFDIR | 01777);
        assert_int_equal(a.nlink, 2);
        assert_int_equal(attr(f, ROOT).nlink, 3);
        assert_times(attr(f, ROOT).mtime, now(f));
        assert_times(attr(f, ROOT).ctime, now(f));
        assert_ok(fs_parent(f->fs, a.ino, &parent));
        assert_int_equal(parent, ROOT);
        new_dir(f, a.ino, "below");
        new_file(f, a.ino, "file");
        assert_int_equal(attr(f, a.ino).nlink, 3);
        fs_forget(f->fs, a.ino, 1);
}

static void test_setgid_directory(void **state)
{
        struct fixture *f = *state;
        struct fs_setattr set = { .set = FS_SET_GID | FS_SET_MODE, .gid = 77, .mode = 02755 };
        uint64_t dir = new_dir(f, ROOT, "dir");
        struct fs_attr a;

        assert_ok(fs_setattr(f->fs, dir, &set, &a));
        assert_int_equal(a.mode, S_IFDIR | 02755);
        a = attr(f, new_file(f, dir, "file"));
        assert_int_equal(a.gid, 77);
        assert_int_equal(a.uid, 1000);
        assert_int_equal(a.mode, S_IFREG | 0644);
        a = attr(f, new_dir(f, dir, "sub"));
        assert_int_equal(a.gid, 77);
        assert_int_equal(a.mode, S_IFDIR | 02755);
        assert_int_equal(attr(f, new_symlink(f, dir, "symlink", "x")).gid, 77);
}

static void test_symlink(void **state)
{
        struct fixture *f = *state;
        char target[FMT_SYMLINK_MAX + 2], buf[FMT_SYMLINK_MAX + 1];
        struct fs_attr a;
        uint64_t ino;

        ino = new_symlink(f, ROOT, "symlink", "../some/where");
        a = attr(f, ino);
        assert_int_equal(a.mode, S_IFLNK | 0777);
        assert_int_equal(a.size, 13);
        assert_int_equal(a.nlink, 1);
        assert_result(fs_readlink(f->fs, ino, buf), 13, "fs_readlink", __FILE__, __LINE__);
        assert_memory_equal(buf, "../some/where", 13);
        assert_fails(fs_readlink(f->fs, ROOT, buf), EINVAL);
        assert_fails(fs_readlink(f->fs, new_file(f, ROOT, "file"), buf), EINVAL);

        memset(target, 't', sizeof(target));
        assert_fails(fs_symlink(f->fs, &user, ROOT, str("long"), slice_of(target, FMT_SYMLINK_MAX + 1), &a),
                     ENAMETOOLONG);
        target[FMT_SYMLINK_MAX] = '\0';
        ino = new_symlink(f, ROOT, "long", target);
        assert_int_equal(fs_readlink(f->fs, ino, buf), FMT_SYMLINK_MAX);
        assert_memory_equal(buf, target, FMT_SYMLINK_MAX);
        assert_ok(hardlink(f, ino, ROOT, "another"));
}

static void test_link(void **state)
{
        struct fixture *f = *state;
        uint64_t dir = new_dir(f, ROOT, "dir"), file = new_file(f, ROOT, "file"), found;
        struct timespec made = now(f);
        struct fs_attr a;

        put(f, file, 0, "shared");
        tick(f);
        assert_ok(hardlink(f, file, dir, "other"));
        a = attr(f, file);
        assert_int_equal(a.nlink, 2);
        assert_times(a.ctime, now(f));
        assert_times(a.mtime, made);
        assert_times(attr(f, dir).mtime, now(f));
        assert_times(attr(f, dir).ctime, now(f));
        assert_times(attr(f, ROOT).mtime, made);
        assert_ok(look(f, dir, "other", &found));
        assert_int_equal(found, file);

        assert_fails(hardlink(f, file, dir, "other"), EEXIST);
        assert_fails(hardlink(f, dir, ROOT, "dir2"), EPERM);
        assert_fails(hardlink(f, file, file, "x"), ENOTDIR);
        assert_fails(hardlink(f, 987654321, ROOT, "x"), ENOENT);

        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
        assert_data(f, file, 0, "shared", 6);
        assert_int_equal(attr(f, file).nlink, 1);
}

static void test_unlink(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file"), dir = new_dir(f, ROOT, "dir");
        struct fs_attr a;

        assert_ok(hardlink(f, file, dir, "second"));
        tick(f);
        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
        a = attr(f, file);
        assert_int_equal(a.nlink, 1);
        assert_times(a.ctime, now(f));
        assert_times(attr(f, ROOT).mtime, now(f));
        assert_times(attr(f, ROOT).ctime, now(f));
        assert_fails(look(f, ROOT, "file", NULL), ENOENT);

        assert_fails(fs_unlink(f->fs, ROOT, str("file")), ENOENT);
        assert_fails(fs_unlink(f->fs, ROOT, str("dir")), EISDIR);
        assert_fails(fs_unlink(f->fs, file, str("x")), ENOTDIR);
        assert_fails(fs_unlink(f->fs, 987654321, str("x")), ENOENT);
        assert_ok(fs_unlink(f->fs, dir, str("second")));
        new_file(f, ROOT, "file"); /* the name is free again */
}

static void test_rmdir(void **state)
{
        struct fixture *f = *state;
        uint64_t dir = new_dir(f, ROOT, "dir"), file = new_file(f, dir, "file");

        assert_fails(fs_rmdir(f->fs, ROOT, str("dir")), ENOTEMPTY);
        assert_fails(fs_rmdir(f->fs, dir, str("file")), ENOTDIR);
        assert_fails(fs_rmdir(f->fs, file, str("file")), ENOTDIR);
        assert_fails(fs_rmdir(f->fs, ROOT, str("none")), ENOENT);
        assert_ok(fs_unlink(f->fs, dir, str("file")));
        tick(f);
        assert_ok(fs_rmdir(f->fs, ROOT, str("dir")));
        assert_int_equal(attr(f, ROOT).nlink, 2);
        assert_times(attr(f, ROOT).mtime, now(f));
        assert_times(attr(f, ROOT).ctime, now(f));
        assert_fails(look(f, ROOT, "dir", NULL), ENOENT);
}

/* A removed directory that is still referenced takes no more names. */
static void test_removed_directory(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        struct fs_attr dir, a;

        assert_ok(fs_mkdir(f->fs, &user, ROOT, str("dir"), 0755, &dir));
        assert_ok(fs_rmdir(f->fs, ROOT, str("dir")));
        assert_int_equal(attr(f, dir.ino).nlink, 0);
        assert_string_equal(names(f, dir.ino), "");
        assert_fails(fs_mknod(f->fs, &user, dir.ino, str("x"), S_IFREG | 0644, 0, &a), ENOENT);
        assert_fails(fs_mkdir(f->fs, &user, dir.ino, str("x"), 0755, &a), ENOENT);
        assert_fails(fs_symlink(f->fs, &user, dir.ino, str("x"), str("y"), &a), ENOENT);
        assert_fails(hardlink(f, file, dir.ino, "x"), ENOENT);
        assert_fails(fs_rename(f->fs, ROOT, str("file"), dir.ino, str("x"), 0, NULL), ENOENT);
        assert_fails(look(f, dir.ino, "x", NULL), ENOENT);
        fs_forget(f->fs, dir.ino, 1);
        fixture_drain(f);
        assert_fails(fs_getattr(f->fs, dir.ino, &a), ENOENT);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                FIXTURE_TEST(test_root),
                FIXTURE_TEST(test_lookup),
                FIXTURE_TEST(test_name_limits),
                FIXTURE_TEST(test_create),
                FIXTURE_TEST(test_special_files),
                FIXTURE_TEST(test_mkdir),
                FIXTURE_TEST(test_setgid_directory),
                FIXTURE_TEST(test_symlink),
                FIXTURE_TEST(test_link),
                FIXTURE_TEST(test_unlink),
                FIXTURE_TEST(test_rmdir),
                FIXTURE_TEST(test_removed_directory),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Attributes: chmod, chown, utimens, the mode bits that a write drops, and the atime policies. */
#include "fixture.h"

static struct fs_attr set_attr(struct fixture *f, uint64_t ino, struct fs_setattr set)
{
        struct fs_attr a = { 0 };

        assert_ok(fs_setattr(f->fs, ino, &set, &a));
        assert_int_equal(a.ino, ino);
        return a;
}

static void test_chmod(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        struct timespec made = now(f);
        struct fs_attr a;

        tick(f);
        a = set_attr(f, file, (struct fs_setattr){ .set = FS_SET_MODE, .mode = 07711 });
        assert_int_equal(a.mode, S_IFREG | 07711);
        assert_times(a.ctime, now(f));
        assert_times(a.mtime, made);
        assert_times(a.atime, made);
        assert_times(a.btime, made);
        a = set_attr(f, ROOT, (struct fs_setattr){ .set = FS_SET_MODE, .mode = 01777 });
        assert_int_equal(attr(f, ROOT).mode, S_IFDIR | 01777);
        assert_times(attr(f, ROOT).ctime, now(f));
        assert_fails(chmod_to(f, 987654321, 0), ENOENT);
}

static void test_chown(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file"), dir = new_dir(f, ROOT, "dir");
        struct fs_attr a;

        tick(f);
        a = set_attr(f, file, (struct fs_setattr){ .set = FS_SET_UID, .uid = 5 });
        assert_int_equal(a.uid, 5);
        assert_int_equal(a.gid, 1000);
        assert_times(a.ctime, now(f));
        a = set_attr(f, file, (struct fs_setattr){ .set = FS_SET_GID, .gid = 6 });
        assert_int_equal(a.uid, 5);
        assert_int_equal(a.gid, 6);

        /* chown(2): setuid goes; setgid goes where the group may execute, and means locking elsewhere. */
        assert_ok(chmod_to(f, file, 06755));
        assert_int_equal(set_attr(f, file, (struct fs_setattr){ .set = FS_SET_UID, .uid = 7 }).mode,
                         S_IFREG | 0755);
        assert_ok(chmod_to(f, file, 06745));
        assert_int_equal(set_attr(f, file, (struct fs_setattr){ .set = FS_SET_UID, .uid = 8 }).mode & 04777,
                         0745);
        /* A directory keeps both. */
        assert_ok(chmod_to(f, dir, 06755));
        assert_int_equal(set_attr(f, dir, (struct fs_setattr){ .set = FS_SET_UID, .uid = 7 }).mode,
                         S_IFDIR | 06755);
}

static void test_utimens(void **state)
{
        struct fixture *f = *state;
        struct timespec past = { -1, 999999999 }, future = { INT64_C(1) << 40, 1 };
        uint64_t file = new_file(f, ROOT, "file"), dir = new_dir(f, ROOT, "dir");
        struct fs_attr a;

        tick(f);
        a = set_attr(f, file,
                     (struct fs_setattr){
                             .set = FS_SET_ATIME | FS_SET_MTIME, .atime = past, .mtime = future });
        assert_times(a.atime, past);
        assert_times(a.mtime, future);
        assert_times(a.ctime, now(f));
        tick(f);
        a = set_attr(f, file, (struct fs_setattr){ .set = FS_SET_MTIME_NOW });
        assert_times(a.mtime, now(f));
        assert_times(a.atime, past);
        a = set_attr(f, file, (struct fs_setattr){ .set = FS_SET_ATIME_NOW });
        assert_times(a.atime, now(f));
        a = set_attr(f, file, (struct fs_setattr){ .set = FS_SET_CTIME, .ctime = past });
        assert_times(a.ctime, past);
        assert_times(attr(f, file).ctime, past);

        /* A directory's times are also changed by changes of its names: the later change counts. */
        new_file(f, dir, "a");
        a = set_attr(f, dir, (struct fs_setattr){ .set = FS_SET_MTIME, .mtime = future });
        assert_times(attr(f, dir).mtime, future);
        tick(f);
        new_file(f, dir, "b");
        assert_times(attr(f, dir).mtime, now(f));
        set_attr(f, dir,
                 (struct fs_setattr){ .set = FS_SET_MTIME | FS_SET_ATIME, .mtime = past, .atime = past });
        assert_times(attr(f, dir).mtime, past);
        assert_times(attr(f, dir).atime, past);
        assert_times(attr(f, dir).ctime, now(f));
        fixture_remount(f);
        assert_times(attr(f, dir).mtime, past);
        tick(f);
        new_dir(f, dir, "c");
        assert_times(attr(f, dir).mtime, now(f));
        assert_times(attr(f, dir).ctime, now(f));
}

/* Changing a directory's mode must not lose its times, nor the number of its subdirectories. */
static void test_directory_record(void **state)
{
        struct fixture *f = *state;
        uint64_t dir = new_dir(f, ROOT, "dir");
        struct timespec changed;

        new_dir(f, dir, "a");
        tick(f);
        new_dir(f, dir, "b");
        changed = now(f);
        tick(f);
        assert_ok(chmod_to(f, dir, 0700));
        assert_times(attr(f, dir).mtime, changed);
        assert_times(attr(f, dir).ctime, now(f));
        assert_int_equal(attr(f, dir).nlink, 4);
        tick(f);
        assert_ok(fs_rmdir(f->fs, dir, str("a")));
        assert_times(attr(f, dir).mtime, now(f));
        assert_int_equal(attr(f, dir).nlink, 3);
}

static void test_size(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        struct timespec made = now(f);
        struct fs_attr a;

        put(f, file, 0, "twelve bytes");
        tick(f);
        a = set_attr(f, file, (struct fs_setattr){ .set = FS_SET_SIZE, .size = 6 });
        assert_int_equal(a.size, 6);
        assert_times(a.mtime, now(f));
        assert_times(a.ctime, now(f));
        assert_times(a.atime, made);
        tick(f);
        a = set_attr(f, file, (struct fs_setattr){ .set = FS_SET_SIZE, .size = 6 }); /* O_TRUNC on a mount */
        assert_times(a.mtime, now(f));
        assert_times(a.ctime, now(f));
        assert_fails(truncate_to(f, ROOT, 0), EISDIR);
        assert_fails(truncate_to(f, file, UINT64_C(1) << 63), EFBIG);
        a = set_attr(f, file,
                     (struct fs_setattr){ .set = FS_SET_SIZE | FS_SET_MODE | FS_SET_MTIME,
                                          .size = 3,
                                          .mode = 0600,
                                          .mtime = made });
        assert_int_equal(a.size, 3);
        assert_int_equal(a.mode, S_IFREG | 0600);
        assert_times(a.mtime, made);
        assert_data(f, file, 0, "twe", 3);
}

static void test_kill_priv(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        struct slice capability = str("security.capability");

        assert_ok(chmod_to(f, file, 06755));
        assert_ok(fs_setxattr(f->fs, file, capability, str("caps"), 0));
        put(f, file, 0, "x");
        assert_int_equal(attr(f, file).mode, S_IFREG | 06755);
        assert_int_equal(fs_write(f->fs, file, 0, str("y"), FS_WRITE_KILL_PRIV), 1);
        assert_int_equal(attr(f, file).mode, S_IFREG | 0755);
        assert_fails(fs_getxattr(f->fs, file, capability, NULL, 0), ENODATA);

        assert_ok(chmod_to(f, file, 06745)); /* setgid without group execution goes like the rest */
        assert_int_equal(fs_write(f->fs, file, 0, str("z"), FS_WRITE_KILL_PRIV), 1);
        assert_int_equal(attr(f, file).mode, S_IFREG | 0745);

        assert_ok(chmod_to(f, file, 04755));
        assert_ok(fs_setxattr(f->fs, file, capability, str("caps"), 0));
        set_attr(f, file, (struct fs_setattr){ .set = FS_SET_SIZE | FS_SET_KILL_PRIV, .size = 0 });
        assert_int_equal(attr(f, file).mode, S_IFREG | 0755);
        assert_fails(fs_getxattr(f->fs, file, capability, NULL, 0), ENODATA);
}

static void reopen(struct fixture *f, enum fs_atime atime)
{
        f->opts.atime = atime;
        fixture_remount(f);
}

static void test_atime(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        struct timespec t = now(f);
        char buf[4];

        put(f, file, 0, "data");
        tick(f);
        assert_int_equal(get(f, file, 0, buf, 4), 4);
        assert_times(attr(f, file).atime, t); /* noatime */

        reopen(f, FS_STRICTATIME);
        tick(f);
        assert_int_equal(get(f, file, 0, buf, 4), 4);
        assert_times(attr(f, file).atime, now(f));
        tick(f);
        assert_int_equal(get(f, file, 0, buf, 4), 4);
        assert_times(attr(f, file).atime, now(f));
        t = now(f);

        reopen(f, FS_RELATIME);
        tick(f);
        assert_int_equal(get(f, file, 0, buf, 4), 4);
        assert_times(attr(f, file).atime, t); /* later than mtime, younger than a day */
        put(f, file, 0, "more");
        tick(f);
        assert_int_equal(get(f, file, 0, buf, 4), 4);
        assert_times(attr(f, file).atime, now(f));
        atomic_fetch_add(&f->clock.seconds, 25 * 3600);
        assert_int_equal(get(f, file, 0, buf, 4), 4);
        assert_times(attr(f, file).atime, now(f));
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                FIXTURE_TEST(test_chmod),   FIXTURE_TEST(test_chown),
                FIXTURE_TEST(test_utimens), FIXTURE_TEST(test_directory_record),
                FIXTURE_TEST(test_size),    FIXTURE_TEST(test_kill_priv),
                FIXTURE_TEST(test_atime),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}

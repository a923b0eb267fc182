/* SPDX-License-Identifier: MIT */
/* stat, chmod, chown, truncate, statx, statvfs. */
#include "posix.h"

#include <sys/statvfs.h>
#include <sys/sysmacros.h>

static void chmod_bits(void)
{
        make("f", 0666, "");
        OK(chmod("f", 07777));
        EQUAL(mode_of("f"), 07777);
        OK(chmod("f", 0));
        EQUAL(mode_of("f"), 0);
        OK(mkdir("d", 0777));
        OK(chmod("d", 01755));
        EQUAL(mode_of("d"), 01755);
        OK(symlink("f", "s"));
        OK(chmod("s", 0640));
        EQUAL(mode_of("f"), 0640);
        FAILS(chmod("none", 0666), ENOENT);
        FAILS(chmod("f/x", 0666), ENOTDIR);
}

static void change_as_other(void *arg)
{
        FAILS(chmod("f", 0666), EPERM);
        FAILS(chown("f", USER_A, (gid_t)-1), EPERM);
        FAILS(chown("mine", 0, (gid_t)-1), EPERM);
        FAILS(chown("mine", (uid_t)-1, USER_B), EPERM);
        OK(chown("mine", (uid_t)-1, GROUP_C));
        OK(chown("mine", USER_A, GROUP_C));
        OK(chmod("mine", 0600));
        FAILS(truncate("f", 0), EACCES);
}

static void only_the_owner_changes(void)
{
        make("f", 0644, "x");
        make("mine", 0644, "x");
        OK(chown("mine", USER_A, USER_A));
        as_user(USER_A, change_as_other, NULL);
        EQUAL(stat_of("mine").st_gid, GROUP_C);
}

static void lchown_is_of_the_link(void)
{
        make("f", 0666, "");
        OK(symlink("f", "s"));
        OK(lchown("s", USER_A, USER_B));
        EQUAL(lstat_of("s").st_uid, USER_A);
        EQUAL(lstat_of("s").st_gid, USER_B);
        EQUAL(stat_of("f").st_uid, 0);
}

static void truncate_sizes(void)
{
        char buf[10];
        int fd;

        make("f", 0666, "abcdef");
        OK(truncate("f", 3));
        CHECK(strcmp(content("f"), "abc") == 0);
        OK(truncate("f", 10));
        fd = OK(open("f", O_RDWR));
        EQUAL(read(fd, buf, 10), 10);
        CHECK(memcmp(buf, "abc\0\0\0\0\0\0\0", 10) == 0);
        OK(ftruncate(fd, INT64_C(1) << 40));
        EQUAL(stat_of("f").st_size, INT64_C(1) << 40);
        OK(ftruncate(fd, 0));
        FAILS(truncate("f", -1), EINVAL);
        FAILS(truncate(".", 0), EISDIR);
        FAILS(truncate("none", 0), ENOENT);
        FAILS(ftruncate(fd, -1), EINVAL);
}

static void cut_bytes_do_not_come_back(void)
{
        char buf[9000], zeros[9000] = { 0 };
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));

        memset(buf, 'x', sizeof(buf));
        EQUAL(pwrite(fd, buf, sizeof(buf), 0), (ssize_t)sizeof(buf));
        OK(ftruncate(fd, 100));
        OK(ftruncate(fd, sizeof(buf)));
        EQUAL(pread(fd, buf, sizeof(buf), 0), (ssize_t)sizeof(buf));
        CHECK(memcmp(buf + 100, zeros, sizeof(buf) - 100) == 0);
        EQUAL(buf[99], 'x');
}

static void stat_fields(void)
{
        struct stat st, dir = stat_of(".");

        make("f", 0666, "abc");
        st = stat_of("f");
        EQUAL(st.st_dev, dir.st_dev);
        EQUAL(st.st_nlink, 1);
        EQUAL(st.st_size, 3);
        CHECK(st.st_ino != dir.st_ino);
        CHECK(st.st_blksize > 0);
        OK(truncate("f", 1 << 20));
        CHECK(stat_of("f").st_blocks * 512 < 1 << 20); /* a hole */
        FAILS(stat("", &st), ENOENT);
        FAILS(stat("f/x", &st), ENOTDIR);
}

static void birth_time(void)
{
        struct statx before, after;

        make("f", 0666, "");
        OK(statx(AT_FDCWD, "f", 0, STATX_BTIME | STATX_BASIC_STATS, &before));
        if (!(before.stx_mask & STATX_BTIME))
                posix_skip("no birth times here");
        usleep(20000);
        make("f", 0600, "new");
        OK(statx(AT_FDCWD, "f", 0, STATX_BTIME | STATX_BASIC_STATS, &after));
        EQUAL(before.stx_btime.tv_nsec, after.stx_btime.tv_nsec);
        CHECK(after.stx_mtime.tv_nsec != after.stx_btime.tv_nsec);
}

static void space(void)
{
        struct statvfs st;

        OK(statvfs(".", &st));
        EQUAL(st.f_namemax, 255);
        CHECK(st.f_blocks > 0);
        CHECK(st.f_bavail <= st.f_bfree);
        CHECK(st.f_bfree <= st.f_blocks);
        CHECK(st.f_files > 0);
}

static const struct posix_test tests[] = {
        { "chmod_bits", chmod_bits },
        { "only_the_owner_changes", only_the_owner_changes },
        { "lchown_is_of_the_link", lchown_is_of_the_link },
        { "truncate_sizes", truncate_sizes },
        { "cut_bytes_do_not_come_back", cut_bytes_do_not_come_back },
        { "stat_fields", stat_fields },
        { "birth_time", birth_time },
        { "space", space },
        { NULL, NULL },
};

const struct posix_group posix_attr = { "attr", tests };

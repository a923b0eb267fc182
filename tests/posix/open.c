/* SPDX-License-Identifier: MIT */
/* open(2), creat(2), O_TMPFILE. */
#include "posix.h"

#include <sys/mman.h>

static void flags(void)
{
        int fd;

        FAILS(open("f", O_RDONLY), ENOENT);
        fd = OK(open("f", O_RDWR | O_CREAT | O_EXCL, 0640));
        EQUAL(write(fd, "abc", 3), 3);
        EQUAL(mode_of("f"), 0640);
        FAILS(open("f", O_RDWR | O_CREAT | O_EXCL, 0666), EEXIST);
        OK(open("f", O_RDWR | O_CREAT, 0600));
        EQUAL(mode_of("f"), 0640);
        EQUAL(stat_of("f").st_size, 3);
        OK(open("f", O_WRONLY | O_TRUNC));
        EQUAL(stat_of("f").st_size, 0);
        OK(symlink("none", "s"));
        FAILS(open("s", O_WRONLY | O_CREAT | O_EXCL, 0666), EEXIST);
        OK(open("s", O_WRONLY | O_CREAT, 0666));
        CHECK(exists("none"));
}

static void directories(void)
{
        char buf[8];
        int fd;

        OK(mkdir("d", 0777));
        make("f", 0666, "");
        FAILS(open("d", O_WRONLY), EISDIR);
        FAILS(open("d", O_RDWR), EISDIR);
        FAILS(open("d", O_RDONLY | O_CREAT, 0666), EISDIR);
        FAILS(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
        FAILS(open("f/x", O_RDONLY), ENOTDIR);
        FAILS(open("f/", O_RDONLY), ENOTDIR);
        FAILS(open("none/", O_WRONLY | O_CREAT, 0666), EISDIR);
        fd = OK(open("d", O_RDONLY));
        FAILS(read(fd, buf, sizeof(buf)), EISDIR);
        OK(fsync(fd));
        OK(fdatasync(fd));
}

static void umask_applies(void)
{
        umask(027);
        OK(close(OK(open("f", O_WRONLY | O_CREAT, 0666))));
        OK(mkdir("d", 0777));
        OK(mkfifo("p", 0666));
        EQUAL(mode_of("f"), 0640);
        EQUAL(mode_of("d"), 0750);
        EQUAL(mode_of("p"), 0640);
}

static void access_modes(void)
{
        char c;
        int fd;

        make("f", 0666, "x");
        fd = OK(open("f", O_RDONLY));
        FAILS(write(fd, "y", 1), EBADF);
        FAILS(ftruncate(fd, 0), EINVAL);
        fd = OK(open("f", O_WRONLY));
        FAILS(read(fd, &c, 1), EBADF);
        fd = OK(open("f", O_PATH));
        FAILS(read(fd, &c, 1), EBADF);
}

static void open_as_user(void *arg)
{
        FAILS(open("w", O_RDONLY), EACCES);
        FAILS(open("r", O_WRONLY), EACCES);
        FAILS(open("r", O_RDONLY | O_TRUNC), EACCES);
        EQUAL(stat_of("r").st_size, 1);
        FAILS(open("none", O_RDWR), EACCES);
        OK(open("r", O_RDONLY));
        OK(open("w", O_WRONLY));
        FAILS(open("r", O_RDONLY | O_NOATIME), EPERM);
        FAILS(truncate("r", 0), EACCES);
}

static void permissions(void)
{
        make("r", 0444, "x");
        make("w", 0222, "x");
        make("none", 0, "x");
        as_user(USER_A, open_as_user, NULL);
}

/* The bits at open(2) count: a descriptor stays usable. */
static void mode_0_can_be_written_by_its_creator(void)
{
        int fd = OK(open("f", O_RDWR | O_CREAT, 0));

        EQUAL(write(fd, "abc", 3), 3);
        EQUAL(mode_of("f"), 0);
        OK(fchmod(fd, 0444));
        EQUAL(write(fd, "def", 3), 3);
        EQUAL(stat_of("f").st_size, 6);
}

static void create_below(void *arg)
{
        make("d/f", 0600, "");
        OK(mkdir("d/d", 0700));
        OK(symlink("x", "d/s"));
}

static void new_file_belongs_to_creator(void)
{
        OK(mkdir("d", 0777));
        as_user(USER_A, create_below, NULL);
        EQUAL(lstat_of("d/f").st_uid, USER_A);
        EQUAL(lstat_of("d/f").st_gid, USER_A);
        EQUAL(lstat_of("d/d").st_uid, USER_A);
        EQUAL(lstat_of("d/s").st_uid, USER_A);
}

static void tmpfile_gets_a_name(void)
{
        char path[64];
        struct stat st;
        int fd = OK(open(".", O_RDWR | O_TMPFILE, 0640));

        EQUAL(write(fd, "abc", 3), 3);
        OK(fstat(fd, &st));
        EQUAL(st.st_nlink, 0);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        OK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
        EQUAL(stat_of("named").st_nlink, 1);
        EQUAL(mode_of("named"), 0640);
        CHECK(strcmp(content("named"), "abc") == 0);
        fd = OK(open(".", O_RDWR | O_TMPFILE | O_EXCL, 0600));
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        FAILS(linkat(AT_FDCWD, path, AT_FDCWD, "other", AT_SYMLINK_FOLLOW), ENOENT);
}

static void truncation_sets_times(void)
{
        struct stat before, after;

        make("f", 0666, ""); /* also of what is empty already */
        before = stat_of("f");
        usleep(20000);
        OK(open("f", O_WRONLY | O_TRUNC));
        after = stat_of("f");
        CHECK(before.st_mtim.tv_nsec != after.st_mtim.tv_nsec);
        CHECK(before.st_ctim.tv_nsec != after.st_ctim.tv_nsec);
}

static const struct posix_test tests[] = {
        { "flags", flags },
        { "directories", directories },
        { "umask_applies", umask_applies },
        { "access_modes", access_modes },
        { "permissions", permissions },
        { "mode_0_can_be_written_by_its_creator", mode_0_can_be_written_by_its_creator },
        { "new_file_belongs_to_creator", new_file_belongs_to_creator },
        { "tmpfile_gets_a_name", tmpfile_gets_a_name },
        { "truncation_sets_times", truncation_sets_times },
        { NULL, NULL },
};

const struct posix_group posix_open = { "open", tests };

/* SPDX-License-Identifier: MIT */
/* Which call sets which of atime, mtime and ctime; utimensat(2). Access times: relatime, the default. */
#include "posix.h"

#include <dirent.h>
#include <sys/mman.h>
#include <sys/xattr.h>

enum { A = 1, M = 2, C = 4 };

static bool differs(struct timespec a, struct timespec b)
{
        return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
}

/* Which times of PATH changed since BEFORE. */
static int changed(const char *path, struct stat before)
{
        struct stat now = lstat_of(path);

        return (differs(now.st_atim, before.st_atim) ? A : 0) |
               (differs(now.st_mtim, before.st_mtim) ? M : 0) |
               (differs(now.st_ctim, before.st_ctim) ? C : 0);
}

/* Asserts that STATEMENT changes exactly the times WANT of PATH. */
#define CHANGES(path, want, statement)                \
        do {                                          \
                struct stat before_ = lstat_of(path); \
                usleep(20000);                        \
                statement;                            \
                EQUAL(changed(path, before_), want);  \
        } while (0)

static void data(void)
{
        char page[8192] = "x";
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));

        CHANGES("f", M | C, OK(write(fd, page, 10)));
        CHANGES("f", M | C, OK(pwrite(fd, page, 8192, 0)));
        CHANGES("f", 0, OK(write(fd, page, 0)));
        CHANGES("f", M | C, OK(ftruncate(fd, 100)));
        CHANGES("f", M | C, OK(ftruncate(fd, 100)));
        CHANGES("f", M | C, OK(truncate("f", 200)));
        CHANGES("f", M | C, EQUAL(posix_fallocate(fd, 0, 300), 0));
        CHANGES("f", M | C, EQUAL(posix_fallocate(fd, 0, 100), 0)); /* within the size, too */
        CHANGES("f", M | C, OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 10000)));
        CHANGES("f", M | C, OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10)));
        CHANGES("f", M | C, OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 0, 10)));
}

static void shared_map(void)
{
        int fd = OK(open("f", O_RDWR | O_CREAT, 0666));
        char *map;

        OK(ftruncate(fd, 4096));
        map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED)
                posix_skip("no writable shared maps here");
        EQUAL(*(volatile char *)map, 0); /* the read sets atime, here or at mmap(2) */
        CHANGES("f", M | C, {
                map[10] = 'x';
                OK(msync(map, 4096, MS_SYNC));
        });
}

static void metadata(void)
{
        make("f", 0666, "");
        CHANGES("f", C, OK(chmod("f", 0640)));
        CHANGES("f", C, OK(chmod("f", 0640)));
        CHANGES("f", C, OK(chown("f", USER_A, USER_A)));
        CHANGES("f", C, OK(link("f", "g")));
        CHANGES("f", C, OK(rename("g", "h")));
        CHANGES("f", C, OK(unlink("h")));
        CHANGES("f", C, OK(setxattr("f", "user.a", "v", 1, 0)));
        CHANGES("f", C, OK(removexattr("f", "user.a")));
        CHANGES("f", 0, OK(open("f", O_RDWR)));
}

static void names(void)
{
        OK(mkdir("d", 0777));
        CHANGES("d", M | C, make("d/f", 0666, ""));
        CHANGES("d", M | C, OK(mkdir("d/d", 0777)));
        CHANGES("d", M | C, OK(symlink("x", "d/s")));
        CHANGES("d", M | C, OK(link("d/f", "d/l")));
        CHANGES("d", M | C, OK(rename("d/l", "d/m")));
        CHANGES("d", M | C, OK(unlink("d/m")));
        CHANGES("d", M | C, OK(rmdir("d/d")));
        CHANGES("d", 0, make("d/f", 0666, "new")); /* it is there already */
        CHANGES("d", C, OK(chmod("d", 0755)));
}

static void utimens(void)
{
        static const struct timespec set[2] = { { 1000000000, 123456789 }, { 4000000000, 987654321 } };
        static const struct timespec old[2] = { { -1000, 5 }, { -1000, 999999999 } };
        const struct timespec omit_a[2] = { { 0, UTIME_OMIT }, { 7, 8 } };
        const struct timespec now_a[2] = { { 0, UTIME_NOW }, { 0, UTIME_OMIT } };
        const struct timespec none[2] = { { 0, UTIME_OMIT }, { 0, UTIME_OMIT } };
        const struct timespec bad[2] = { { 0, 1000000000 }, { 0, 0 } };
        struct stat st;

        make("f", 0666, "");
        CHANGES("f", A | M | C, OK(utimensat(AT_FDCWD, "f", set, 0)));
        st = stat_of("f");
        EQUAL(st.st_atim.tv_sec, 1000000000);
        EQUAL(st.st_atim.tv_nsec, 123456789);
        EQUAL(st.st_mtim.tv_sec, 4000000000);
        EQUAL(st.st_mtim.tv_nsec, 987654321);
        OK(utimensat(AT_FDCWD, "f", old, 0));
        EQUAL(stat_of("f").st_mtim.tv_sec, -1000);
        EQUAL(stat_of("f").st_mtim.tv_nsec, 999999999);
        CHANGES("f", M | C, OK(utimensat(AT_FDCWD, "f", omit_a, 0)));
        CHANGES("f", A | C, OK(utimensat(AT_FDCWD, "f", now_a, 0)));
        CHANGES("f", 0, OK(utimensat(AT_FDCWD, "f", none, 0)));
        FAILS(utimensat(AT_FDCWD, "f", bad, 0), EINVAL);
        OK(symlink("f", "s"));
        CHANGES("f", 0, OK(utimensat(AT_FDCWD, "s", set, AT_SYMLINK_NOFOLLOW)));
        EQUAL(lstat_of("s").st_mtim.tv_sec, 4000000000);
        OK(mkdir("d", 0777));
        OK(utimensat(AT_FDCWD, "d", set, 0));
        make("d/f", 0666, ""); /* a set time does not outlive the next change */
        CHECK(stat_of("d").st_mtim.tv_sec != 4000000000);
}

static void set_as_other(void *arg)
{
        const struct timespec set[2] = { { 1, 2 }, { 3, 4 } };

        FAILS(utimensat(AT_FDCWD, "writable", set, 0), EPERM);
        OK(utimensat(AT_FDCWD, "writable", NULL, 0)); /* now: allowed to users with write permission */
        FAILS(utimensat(AT_FDCWD, "readable", NULL, 0), EACCES);
}

static void utimens_permissions(void)
{
        make("writable", 0666, "");
        make("readable", 0644, "");
        as_user(USER_A, set_as_other, NULL);
}

static void read_one(const char *path, int flags)
{
        char c;
        int fd = OK(open(path, O_RDONLY | flags));

        OK(read(fd, &c, 1));
        close(fd);
}

static void list(const char *path)
{
        DIR *d = opendir(path);

        CHECK(d != NULL);
        while (readdir(d))
                ;
        closedir(d);
}

/* relatime: a read sets atime if it is not later than mtime and ctime. */
static void relatime(void)
{
        char buf[4];

        make("f", 0666, "x");
        CHANGES("f", A, read_one("f", 0));
        CHANGES("f", 0, read_one("f", 0));
        usleep(20000);
        make("f", 0666, "y");
        CHANGES("f", A, read_one("f", 0));
        OK(mkdir("d", 0777));
        CHANGES("d", A, list("d"));
        CHANGES("d", 0, list("d"));
        usleep(20000);
        make("d/f", 0666, "");
        CHANGES("d", A, list("d"));
        OK(symlink("x", "s"));
        CHANGES("s", A, OK(readlink("s", buf, sizeof(buf))));
        CHANGES("s", 0, OK(readlink("s", buf, sizeof(buf))));
}

static void o_noatime(void)
{
        DIR *d;
        int fd;

        make("f", 0666, "x");
        CHANGES("f", 0, read_one("f", O_NOATIME));
        OK(mkdir("d", 0777));
        CHANGES("d", 0, {
                fd = OK(open("d", O_RDONLY | O_DIRECTORY | O_NOATIME));
                d = fdopendir(fd);
                while (readdir(d))
                        ;
                closedir(d);
        });
        make("g", 0666, "x");
        CHANGES("g", 0, {
                fd = OK(open("g", O_RDONLY | O_NOATIME));
                char *map = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
                CHECK(map != MAP_FAILED);
                EQUAL(*(volatile char *)map, 'x');
                close(fd);
        });
}

static const struct posix_test tests[] = {
        { "data", data },         { "shared_map", shared_map },
        { "metadata", metadata }, { "names", names },
        { "utimens", utimens },   { "utimens_permissions", utimens_permissions },
        { "relatime", relatime }, { "o_noatime", o_noatime },
        { NULL, NULL },
};

const struct posix_group posix_time = { "time", tests };

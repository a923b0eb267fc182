/* SPDX-License-Identifier: MIT */
/* Requests that the kernel sends for each common operation on an exclusive mount. A round trip is what
 * costs time, and no other test would notice an additional one.
 */
#include "counts.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

static void write_all(int fd, size_t len)
{
        static char data[1 << 20];

        memset(data, 'x', len);
        assert_int_equal(write(fd, data, len), len);
}

/* After a change in a directory the next path walk through it sends GETATTR. This walk takes it. */
static void settle(struct mounted *m)
{
        struct stat st;

        assert_int_equal(stat(m->dir, &st), 0);
        reset_counts(m);
}

static int create(struct mounted *m, const char *name)
{
        int fd = open(at(m, name), O_CREAT | O_EXCL | O_RDWR, 0644);

        assert_true(fd >= 0);
        return fd;
}

/* Creates a file of LEN bytes that the kernel does not know. */
static void create_unseen(struct mounted *m, const char *name, size_t len)
{
        struct fs_cred cred = { .uid = geteuid(), .gid = getegid() };
        struct fs_attr attr;
        uint8_t *data = calloc(1, len + 1);

        memset(data, 'x', len);
        assert_int_equal(fs_mknod(m->fs, &cred, 1, slice_str(name), S_IFREG | 0644, 0, &attr), 0);
        assert_int_equal(fs_write(m->fs, attr.ino, 0, slice_of(data, len), 0), len);
        fs_forget(m->fs, attr.ino, 1);
        free(data);
}

static void read_dir(const char *path, unsigned want)
{
        unsigned n = 0;
        DIR *d = opendir(path);

        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        assert_int_equal(n, want + 2);
}

/* Requests that are refused once per mount and not sent again. */
static void test_refused_once(void **state)
{
        struct mounted *m = *state;
        int fd;

        close(create(m, "first"));
        /* The kernel sends RELEASE, in the background, until OPEN has been refused. */
        wait_for_count(m, FUSE_RELEASE, 1);
        read_dir(m->dir, 1);
        fd = open(at(m, "first"), O_RDONLY);
        close(fd);
        settle(m);

        fd = open(at(m, "first"), O_RDWR);
        assert_true(fd >= 0);
        EXPECT(m, "open");
        close(fd);
        EXPECT(m, "close");
        fd = open(m->dir, O_RDONLY | O_DIRECTORY);
        close(fd);
        EXPECT(m, "open and close a directory");
        assert_int_equal(access(at(m, "first"), R_OK | W_OK), 0);
        EXPECT(m, "access");
}

static void test_create_write_close(void **state)
{
        struct mounted *m = *state;
        struct stat st;
        int fd;

        fd = create(m, "new");
        EXPECT(m, "create", { FUSE_LOOKUP, 1 }, { FUSE_CREATE, 1 });
        write_all(fd, 4096);
        EXPECT(m, "first write", { FUSE_WRITE, 1 }, { FUSE_GETXATTR, 1 });
        write_all(fd, 4096);
        EXPECT(m, "second write", { FUSE_WRITE, 1 });
        close(fd);
        EXPECT(m, "close after writing");
        settle(m);
        assert_int_equal(stat(at(m, "new"), &st), 0);
        EXPECT(m, "stat after writing", { FUSE_GETATTR, 1 });
        assert_int_equal(stat(at(m, "new"), &st), 0);
        EXPECT(m, "warm stat");

        fd = open(at(m, "new"), O_WRONLY | O_APPEND);
        for (int i = 0; i < 3; i++)
                write_all(fd, 10);
        close(fd);
        EXPECT(m, "three appends", { FUSE_WRITE, 3 }, { FUSE_GETXATTR, 1 });

        fd = open(at(m, "new"), O_WRONLY | O_TRUNC);
        write_all(fd, 10);
        close(fd);
        EXPECT(m, "overwrite with O_TRUNC", { FUSE_SETATTR, 1 }, { FUSE_WRITE, 1 }, { FUSE_GETXATTR, 1 });

        fd = create(m, "large");
        settle(m);
        write_all(fd, 1 << 20);
        EXPECT(m, "write of 1 MiB", { FUSE_WRITE, 1 }, { FUSE_GETXATTR, 1 });
        close(fd);
}

static void test_lookup(void **state)
{
        struct mounted *m = *state;
        struct stat st;

        create_unseen(m, "cold", 100);
        settle(m);
        assert_int_equal(stat(at(m, "cold"), &st), 0);
        EXPECT(m, "cold stat", { FUSE_LOOKUP, 1 });
        assert_int_equal(stat(at(m, "missing"), &st), -1);
        EXPECT(m, "stat of a missing name", { FUSE_LOOKUP, 1 });
        assert_int_equal(stat(at(m, "missing"), &st), -1);
        EXPECT(m, "second stat of a missing name");
}

static void test_read(void **state)
{
        struct mounted *m = *state;
        char buf[8192];
        void *map;
        int fd;

        create_unseen(m, "read", 8192);
        settle(m);
        fd = open(at(m, "read"), O_RDONLY);
        EXPECT(m, "cold open", { FUSE_LOOKUP, 1 });
        assert_int_equal(pread(fd, buf, 4096, 0), 4096);
        EXPECT(m, "cold read", { FUSE_READ, 1 });
        assert_int_equal(pread(fd, buf, 4096, 0), 4096);
        EXPECT(m, "warm read");
        close(fd);
        fd = open(at(m, "read"), O_RDONLY);
        assert_int_equal(read(fd, buf, 4096), 4096);
        close(fd);
        EXPECT(m, "warm open, read, close");

        create_unseen(m, "mapped", 8192);
        fd = open(at(m, "mapped"), O_RDONLY);
        settle(m);
        map = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0);
        assert_true(map != MAP_FAILED);
        assert_int_equal(*(volatile char *)map, 'x');
        EXPECT(m, "first read of a mapping", { FUSE_READ, 1 });
        munmap(map, 8192);
        close(fd);
        EXPECT(m, "unmapping");
}

static void test_readdir(void **state)
{
        struct mounted *m = *state;
        const struct fs_cred cred = { 0 };
        struct fs_attr dir, attr;
        struct stat st;

        assert_int_equal(fs_mkdir(m->fs, &cred, 1, slice_str("list"), 0755, &dir), 0);
        for (unsigned i = 0; i < 5; i++) {
                char name[] = { (char)('a' + i), 0 };

                assert_int_equal(fs_mknod(m->fs, &cred, dir.ino, slice_str(name), S_IFREG, 0, &attr), 0);
        }
        settle(m);
        read_dir(at(m, "list"), 5);
        EXPECT(m, "cold listing", { FUSE_LOOKUP, 1 }, { FUSE_READDIRPLUS, 1 }, { FUSE_READDIR, 1 });
        read_dir(at(m, "list"), 5);
        EXPECT(m, "second listing", { FUSE_GETATTR, 1 }); /* for fstat in opendir, as reading changed atime */
        read_dir(at(m, "list"), 5);
        EXPECT(m, "third listing");
        assert_int_equal(stat(at(m, "list/c"), &st), 0);
        EXPECT(m, "stat of a listed file");
}

static void test_names(void **state)
{
        struct mounted *m = *state;

        close(create(m, "one"));
        close(create(m, "two"));
        settle(m);
        assert_int_equal(rename(at(m, "one"), at(m, "three")), 0);
        EXPECT(m, "rename", { FUSE_LOOKUP, 1 }, { FUSE_RENAME, 1 });
        assert_int_equal(rename(at(m, "three"), at(m, "two")), 0);
        EXPECT(m, "rename over a file", { FUSE_GETATTR, 1 }, { FUSE_LOOKUP, 1 }, { FUSE_RENAME, 1 });
        assert_int_equal(link(at(m, "two"), at(m, "four")), 0);
        EXPECT(m, "link", { FUSE_GETATTR, 1 }, { FUSE_LOOKUP, 1 }, { FUSE_LINK, 1 });
        assert_int_equal(unlink(at(m, "four")), 0);
        EXPECT(m, "unlink", { FUSE_GETATTR, 1 }, { FUSE_UNLINK, 1 });
        create_unseen(m, "five", 1);
        settle(m);
        assert_int_equal(unlink(at(m, "five")), 0);
        EXPECT(m, "cold unlink", { FUSE_LOOKUP, 1 }, { FUSE_UNLINK, 1 });

        assert_int_equal(mkdir(at(m, "dir"), 0755), 0);
        EXPECT(m, "mkdir", { FUSE_GETATTR, 1 }, { FUSE_LOOKUP, 1 }, { FUSE_MKDIR, 1 });
        assert_int_equal(rmdir(at(m, "dir")), 0);
        EXPECT(m, "rmdir", { FUSE_GETATTR, 1 }, { FUSE_RMDIR, 1 });
        assert_int_equal(mknod(at(m, "fifo"), S_IFIFO | 0644, 0), 0);
        EXPECT(m, "mknod", { FUSE_GETATTR, 1 }, { FUSE_LOOKUP, 1 }, { FUSE_MKNOD, 1 });
}

static void test_symlink(void **state)
{
        struct mounted *m = *state;
        char buf[64];

        close(create(m, "before"));
        settle(m);
        assert_int_equal(symlink("target", at(m, "link")), 0);
        EXPECT(m, "symlink", { FUSE_LOOKUP, 1 }, { FUSE_SYMLINK, 1 });
        assert_int_equal(readlink(at(m, "link"), buf, sizeof(buf)), 6);
        EXPECT(m, "readlink", { FUSE_GETATTR, 1 }, { FUSE_READLINK, 1 });
        assert_int_equal(readlink(at(m, "link"), buf, sizeof(buf)), 6);
        EXPECT(m, "warm readlink");
}

static void test_attributes(void **state)
{
        struct mounted *m = *state;
        const struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 2000 } };
        struct statfs fs;
        char buf[16];
        int fd = create(m, "attr");

        write_all(fd, 100);
        close(fd);
        settle(m);
        assert_int_equal(chmod(at(m, "attr"), 0600), 0);
        EXPECT(m, "chmod", { FUSE_SETATTR, 1 });
        assert_int_equal(utimensat(AT_FDCWD, at(m, "attr"), times, 0), 0);
        EXPECT(m, "utimens", { FUSE_SETATTR, 1 });
        assert_int_equal(truncate(at(m, "attr"), 50), 0);
        EXPECT(m, "truncate", { FUSE_SETATTR, 1 }, { FUSE_GETXATTR, 1 });
        assert_int_equal(statfs(m->dir, &fs), 0);
        EXPECT(m, "statfs", { FUSE_STATFS, 1 });
        assert_int_equal(setxattr(at(m, "attr"), "user.a", "b", 1, 0), 0);
        EXPECT(m, "setxattr", { FUSE_SETXATTR, 1 });
        assert_int_equal(getxattr(at(m, "attr"), "user.a", buf, sizeof(buf)), 1);
        EXPECT(m, "getxattr", { FUSE_GETXATTR, 1 });
        assert_int_equal(listxattr(at(m, "attr"), buf, sizeof(buf)), 7);
        EXPECT(m, "listxattr", { FUSE_LISTXATTR, 1 });
        assert_int_equal(removexattr(at(m, "attr"), "user.a"), 0);
        EXPECT(m, "removexattr", { FUSE_REMOVEXATTR, 1 });
}

static void test_file_operations(void **state)
{
        struct mounted *m = *state;
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        int fd = create(m, "file"), dir = open(m->dir, O_RDONLY | O_DIRECTORY);

        write_all(fd, 100);
        settle(m);
        assert_int_equal(fsync(fd), 0);
        EXPECT(m, "fsync", { FUSE_FSYNC, 1 });
        assert_int_equal(fdatasync(fd), 0);
        EXPECT(m, "fdatasync", { FUSE_FSYNC, 1 });
        assert_int_equal(fsync(dir), 0);
        EXPECT(m, "fsync of a directory", { FUSE_FSYNCDIR, 1 });
        assert_int_equal(fallocate(fd, 0, 0, 8192), 0);
        EXPECT(m, "fallocate", { FUSE_FALLOCATE, 1 });
        assert_int_equal(lseek(fd, 0, SEEK_DATA), 0);
        EXPECT(m, "lseek to data", { FUSE_LSEEK, 1 });
        assert_int_equal(lseek(fd, 10, SEEK_HOLE), 8192);
        EXPECT(m, "lseek to a hole", { FUSE_LSEEK, 1 });
        assert_int_equal(flock(fd, LOCK_EX), 0);
        assert_int_equal(flock(fd, LOCK_UN), 0);
        assert_int_equal(fcntl(fd, F_SETLKW, &lock), 0);
        EXPECT(m, "locks");
        close(dir);
        close(fd);
        EXPECT(m, "close with a lock");
}

static void test_noxattr(void **state)
{
        struct mounted *m = *state;
        char buf[16];
        int fd = create(m, "first");

        write_all(fd, 10); /* GETXATTR is refused here */
        close(fd);
        wait_for_count(m, FUSE_RELEASE, 1);
        fd = open(at(m, "first"), O_RDONLY); /* OPEN is refused here, which ends RELEASE */
        close(fd);
        fd = create(m, "second");
        settle(m);
        write_all(fd, 10);
        EXPECT(m, "first write with noxattr", { FUSE_WRITE, 1 });
        close(fd);
        EXPECT(m, "close with noxattr");
        assert_int_equal(getxattr(at(m, "second"), "user.a", buf, sizeof(buf)), -1);
        assert_int_equal(errno, EOPNOTSUPP);
        EXPECT(m, "getxattr with noxattr");
}

static int setup(void **state)
{
        *state = mounted_new(&(struct fuse_opts){ 0 });
        return 0;
}

static int setup_noxattr(void **state)
{
        *state = mounted_new(&(struct fuse_opts){ .noxattr = true });
        return 0;
}

static int teardown(void **state)
{
        mounted_free(*state);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_refused_once), /* first: the other tests rely on the refusals */
                cmocka_unit_test(test_create_write_close),
                cmocka_unit_test(test_lookup),
                cmocka_unit_test(test_read),
                cmocka_unit_test(test_readdir),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_symlink),
                cmocka_unit_test(test_attributes),
                cmocka_unit_test(test_file_operations),
                cmocka_unit_test_setup_teardown(test_noxattr, setup_noxattr, teardown),
        };

        require_fuse();
        return cmocka_run_group_tests_name("requests", tests, setup, teardown);
}

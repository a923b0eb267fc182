/* SPDX-License-Identifier: MIT */
/* A shared mount. The other mount is the test, which changes the file system without the kernel: its
 * changes must be visible in the next system call, at the latest in the next open. Also the requests that
 * common operations cost on such a mount. */
#include "counts.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static const struct fs_cred user = { .uid = 0, .gid = 0 };

/* ---- the other mount ------------------------------------------------------------------------------ */

static uint64_t other_find(struct mounted *m, const char *name)
{
        struct fs_attr a;

        assert_int_equal(fs_lookup(m->fs, 1, slice_str(name), &a), 0);
        fs_forget(m->fs, a.ino, 1);
        return a.ino;
}

static uint64_t other_create(struct mounted *m, const char *name)
{
        struct fs_attr a;

        assert_int_equal(fs_mknod(m->fs, &user, 1, slice_str(name), S_IFREG | 0666, 0, &a), 0);
        fs_forget(m->fs, a.ino, 1);
        return a.ino;
}

static void other_write(struct mounted *m, uint64_t ino, uint64_t at, const char *text)
{
        assert_int_equal(fs_write(m->fs, ino, at, slice_str(text), 0), (ssize_t)strlen(text));
}

/* ---- this mount ----------------------------------------------------------------------------------- */

static void assert_content(struct mounted *m, const char *name, const char *expected)
{
        char buf[4096];
        int fd = open(at(m, name), O_RDONLY);
        ssize_t n;

        assert_true(fd >= 0);
        n = read(fd, buf, sizeof(buf));
        assert_int_equal(n, strlen(expected));
        assert_memory_equal(buf, expected, (size_t)n);
        close(fd);
}

static void write_here(struct mounted *m, const char *name, int flags, const char *text)
{
        int fd = open(at(m, name), O_WRONLY | flags, 0666);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        assert_int_equal(close(fd), 0);
}

static void test_names(void **state)
{
        struct mounted *m = *state;
        struct stat st;
        char target[16];

        assert_int_equal(stat(at(m, "file"), &st), -1);
        assert_int_equal(errno, ENOENT);
        other_create(m, "file");
        assert_int_equal(stat(at(m, "file"), &st), 0);
        assert_int_equal(fs_unlink(m->fs, 1, slice_str("file")), 0);
        assert_int_equal(stat(at(m, "file"), &st), -1);

        assert_int_equal(symlink("one", at(m, "link")), 0);
        assert_int_equal(readlink(at(m, "link"), target, sizeof(target)), 3);
        assert_int_equal(fs_unlink(m->fs, 1, slice_str("link")), 0);
        assert_int_equal(symlink("other", at(m, "link")), 0);
        assert_int_equal(readlink(at(m, "link"), target, sizeof(target)), 5);
}

static unsigned count_names(struct mounted *m)
{
        DIR *d = opendir(m->dir);
        unsigned n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        closedir(d);
        return n - 2;
}

static void test_listing(void **state)
{
        struct mounted *m = *state;

        assert_int_equal(count_names(m), 0);
        other_create(m, "a");
        assert_int_equal(count_names(m), 1);
        other_create(m, "b");
        assert_int_equal(count_names(m), 2);
        assert_int_equal(fs_unlink(m->fs, 1, slice_str("a")), 0);
        assert_int_equal(count_names(m), 1);
}

static void test_attributes(void **state)
{
        struct mounted *m = *state;
        uint64_t ino = other_create(m, "file");
        struct fs_setattr set = { .set = FS_SET_MODE, .mode = 0640 };
        struct fs_attr a;
        struct stat st;
        int fd = open(at(m, "file"), O_RDONLY);

        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0666);
        assert_int_equal(fs_setattr(m->fs, ino, &set, &a), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        other_write(m, ino, 0, "text");
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 4);
        close(fd);
}

/* Close-to-open: an open file shows what was written before. */
static void test_close_to_open(void **state)
{
        struct mounted *m = *state;
        uint64_t ino = other_create(m, "file");

        other_write(m, ino, 0, "first");
        assert_content(m, "file", "first");
        other_write(m, ino, 0, "other");
        assert_content(m, "file", "other");
        write_here(m, "file", O_TRUNC, "mine!");
        other_write(m, ino, 4, "?");
        assert_content(m, "file", "mine?");
}

/* The last cached page has zeros behind the old end. */
static void test_grows_while_open(void **state)
{
        struct mounted *m = *state;
        uint64_t ino = other_create(m, "file");
        char buf[64];
        int fd;

        other_write(m, ino, 0, "first");
        fd = open(at(m, "file"), O_RDONLY);
        assert_int_equal(pread(fd, buf, sizeof(buf), 0), 5);
        other_write(m, ino, 5, " second");
        assert_int_equal(pread(fd, buf, sizeof(buf), 0), 12);
        assert_memory_equal(buf, "first second", 12);
        close(fd);
}

/* One handle appends, another one has the page cached. */
static void test_append_beside_reader(void **state)
{
        struct mounted *m = *state;
        char buf[64];
        int fd;

        write_here(m, "log", O_CREAT | O_APPEND, "first");
        fd = open(at(m, "log"), O_RDONLY);
        assert_int_equal(pread(fd, buf, sizeof(buf), 0), 5);
        write_here(m, "log", O_APPEND, " second");
        assert_int_equal(pread(fd, buf, sizeof(buf), 0), 12);
        assert_memory_equal(buf, "first second", 12);
        close(fd);
}

/* An append goes to the end of the file in the store, independently of the size that the kernel knows. */
static void test_append(void **state)
{
        struct mounted *m = *state;
        uint64_t ino;
        int fd = open(at(m, "log"), O_WRONLY | O_CREAT | O_APPEND, 0666);

        assert_true(fd >= 0);
        ino = other_find(m, "log");
        assert_int_equal(write(fd, "1", 1), 1);
        other_write(m, ino, 1, "22");
        assert_int_equal(write(fd, "3", 1), 1);
        other_write(m, ino, 4, "44");
        assert_int_equal(write(fd, "5", 1), 1);
        assert_int_equal(close(fd), 0);
        assert_content(m, "log", "1223445");
}

static void test_mmap(void **state)
{
        struct mounted *m = *state;
        char *map;
        int fd;

        other_write(m, other_create(m, "file"), 0, "1234");
        fd = open(at(m, "file"), O_RDWR);
        assert_true(fd >= 0);
        map = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED) {
                assert_int_equal(errno, ENODEV); /* before Linux 6.6 */
                close(fd);
                return;
        }
        map[1] = 'x';
        /* munmap would hold the mmap lock of this process, which the server needs, while it writes pages
         * back. */
        assert_int_equal(msync(map, 4, MS_SYNC), 0);
        assert_int_equal(munmap(map, 4), 0);
        assert_int_equal(close(fd), 0);
        assert_content(m, "file", "1x34");
}

/* The other mount creates the file between the LOOKUP and the CREATE of this one. */
static void create_first(uint32_t opcode, void *arg)
{
        struct mounted *m = arg;

        if (opcode != FUSE_CREATE)
                return;
        m->hook = NULL;
        other_write(m, other_create(m, "raced"), 0, "theirs");
}

static void test_create_race(void **state)
{
        struct mounted *m = *state;
        int fd;

        m->hook = create_first;
        write_here(m, "raced", O_CREAT, "OURS");
        assert_content(m, "raced", "OURSrs");

        assert_int_equal(unlink(at(m, "raced")), 0);
        m->hook = create_first;
        fd = open(at(m, "raced"), O_CREAT | O_EXCL | O_WRONLY, 0666);
        assert_int_equal(fd, -1);
        assert_int_equal(errno, EEXIST);
        m->hook = NULL;
}

/* ---- requests ------------------------------------------------------------------------------------- */

/* With a lifetime of zero GETATTR is sent for each directory of the path, to check its permissions, and
 * for the inode that a LOOKUP has just returned. */
static void test_requests(void **state)
{
        struct mounted *m = *state;
        struct stat st;
        char buf[4096] = "";
        int fd;

        write_here(m, "first", O_CREAT, "x"); /* takes the requests that are sent once per mount */
        reset_counts(m);
        fd = open(at(m, "new"), O_CREAT | O_EXCL | O_RDWR, 0666);
        EXPECT(m, "create", { FUSE_GETATTR, 3 }, { FUSE_LOOKUP, 1 }, { FUSE_CREATE, 1 });
        assert_int_equal(write(fd, buf, sizeof(buf)), sizeof(buf));
        EXPECT(m, "first write", { FUSE_WRITE, 1 }, { FUSE_GETXATTR, 1 });
        assert_int_equal(close(fd), 0);
        EXPECT(m, "close", { FUSE_FLUSH, 1 });
        assert_int_equal(stat(at(m, "new"), &st), 0);
        reset_counts(m);
        assert_int_equal(stat(at(m, "new"), &st), 0);
        EXPECT(m, "stat", { FUSE_GETATTR, 2 }, { FUSE_LOOKUP, 1 });
        fd = open(at(m, "new"), O_RDONLY);
        EXPECT(m, "open", { FUSE_GETATTR, 2 }, { FUSE_LOOKUP, 1 }, { FUSE_OPEN, 1 });
        assert_int_equal(read(fd, buf, sizeof(buf)), sizeof(buf));
        reset_counts(m);
        assert_int_equal(pread(fd, buf, 100, 0), 100);
        EXPECT(m, "read of what is cached");
        close(fd);
        reset_counts(m);
        assert_int_equal(unlink(at(m, "new")), 0);
        EXPECT(m, "unlink", { FUSE_GETATTR, 2 }, { FUSE_LOOKUP, 1 }, { FUSE_UNLINK, 1 });
}

static int setup(void **state)
{
        const struct fuse_opts opts = { .shared = true };

        *state = mounted_new(&opts);
        return 0;
}

static int teardown(void **state)
{
        mounted_free(*state);
        return 0;
}

#define SHARED_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SHARED_TEST(test_names),
                SHARED_TEST(test_listing),
                SHARED_TEST(test_attributes),
                SHARED_TEST(test_close_to_open),
                SHARED_TEST(test_grows_while_open),
                SHARED_TEST(test_append_beside_reader),
                SHARED_TEST(test_append),
                SHARED_TEST(test_mmap),
                SHARED_TEST(test_create_race),
                SHARED_TEST(test_requests),
        };

        require_fuse();
        return cmocka_run_group_tests(tests, NULL, NULL);
}

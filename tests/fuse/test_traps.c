/* SPDX-License-Identifier: MIT */
/* POSIX behaviour that is easily lost when the kernel caches everything and sends no OPEN. Each test runs
 * without and with the kernel's writeback cache.
 */
#include "fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

static int open_new(struct mounted *m, const char *name)
{
        int fd = open(at(m, name), O_CREAT | O_EXCL | O_RDWR, 0644);

        assert_true(fd >= 0);
        return fd;
}

static void put_file(struct mounted *m, const char *name, const char *content)
{
        int fd = open_new(m, name);

        assert_int_equal(write(fd, content, strlen(content)), strlen(content));
        assert_int_equal(close(fd), 0);
}

static void assert_content(struct mounted *m, const char *name, const char *content)
{
        char buf[256];
        int fd = open(at(m, name), O_RDONLY);
        ssize_t n;

        assert_true(fd >= 0);
        n = read(fd, buf, sizeof(buf) - 1);
        assert_true(n >= 0);
        buf[n] = '\0';
        assert_string_equal(buf, content);
        close(fd);
}

/* Runs FN in another process, as user UID, and returns what it returns (0 to 255). */
static int in_child(uid_t uid, int (*fn)(struct mounted *m), struct mounted *m)
{
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                if (uid != geteuid() && (setgid(uid) < 0 || setuid(uid) < 0))
                        _exit(255);
                _exit(fn(m));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

/* ---- contents ----------------------------------------------------------------------------------- */

static void test_o_trunc(void **state)
{
        struct mounted *m = *state;
        char buf[32] = { 0 };
        struct stat st;
        int fd;

        put_file(m, "trunc", "old bytes, longer than the new");
        fd = open(at(m, "trunc"), O_RDWR | O_TRUNC);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 0);
        assert_int_equal(write(fd, "new", 3), 3);
        assert_int_equal(ftruncate(fd, 20), 0);
        assert_int_equal(pread(fd, buf, sizeof(buf), 0), 20);
        assert_memory_equal(buf, "new\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
        close(fd);
        fd = open(at(m, "trunc"), O_CREAT | O_WRONLY | O_TRUNC, 0644);
        close(fd);
        assert_content(m, "trunc", "");
}

static void test_truncate_sets_times(void **state)
{
        const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
        struct mounted *m = *state;
        struct stat st;

        put_file(m, "times", "12345");
        assert_int_equal(utimensat(AT_FDCWD, at(m, "times"), old, 0), 0);
        assert_int_equal(stat(at(m, "times"), &st), 0);
        assert_int_equal(st.st_mtime, 1000);
        /* open(2) with O_TRUNC sets mtime also if the size does not change; truncate(2) need not. */
        assert_int_equal(close(open(at(m, "times"), O_WRONLY | O_TRUNC)), 0);
        assert_int_equal(stat(at(m, "times"), &st), 0);
        assert_true(st.st_mtime > 1000);
        assert_int_equal(st.st_atime, 1000);
}

static void test_unlinked_open(void **state)
{
        struct mounted *m = *state;
        char buf[64] = { 0 };
        struct stat st;
        int fd;

        put_file(m, "gone", "still here");
        fd = open(at(m, "gone"), O_RDWR);
        assert_int_equal(unlink(at(m, "gone")), 0);
        assert_int_equal(open(at(m, "gone"), O_RDONLY), -1);
        assert_int_equal(errno, ENOENT);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_nlink, 0);
        assert_int_equal(pwrite(fd, ", and more", 10, 10), 10);
        assert_int_equal(fsync(fd), 0);
        assert_int_equal(pread(fd, buf, sizeof(buf), 0), 20);
        assert_string_equal(buf, "still here, and more");
        /* Another file can have the name. */
        put_file(m, "gone", "another");
        assert_int_equal(pread(fd, buf, 5, 0), 5);
        assert_memory_equal(buf, "still", 5);
        close(fd);
        assert_content(m, "gone", "another");
}

/* A file without a name, and one that gets a name later. */
static void test_tmpfile(void **state)
{
        struct mounted *m = *state;
        char path[64], buf[8] = { 0 };
        struct stat st;
        int fd = open(m->dir, O_TMPFILE | O_RDWR, 0640);

        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_nlink, 0);
        assert_int_equal(write(fd, "whole", 5), 5);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        assert_int_equal(linkat(AT_FDCWD, path, AT_FDCWD, at(m, "whole"), AT_SYMLINK_FOLLOW), 0);
        close(fd);
        assert_content(m, "whole", "whole");
        assert_int_equal(stat(at(m, "whole"), &st), 0);
        assert_int_equal(st.st_nlink, 1);

        fd = open(m->dir, O_TMPFILE | O_RDWR | O_EXCL, 0640);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "never", 5, 0), 5);
        assert_int_equal(pread(fd, buf, 5, 0), 5);
        assert_string_equal(buf, "never");
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        assert_int_equal(linkat(AT_FDCWD, path, AT_FDCWD, at(m, "never"), AT_SYMLINK_FOLLOW), -1);
        close(fd);
}

static void test_birth_time(void **state)
{
        const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
        struct mounted *m = *state;
        struct statx x;

        put_file(m, "born", "x");
        assert_int_equal(utimensat(AT_FDCWD, at(m, "born"), old, 0), 0);
        assert_int_equal(statx(AT_FDCWD, at(m, "born"), 0, STATX_BASIC_STATS | STATX_BTIME, &x), 0);
        assert_int_equal(x.stx_mtime.tv_sec, 1000);
        if (!(x.stx_mask & STATX_BTIME))
                return; /* Linux before 6.6 does not request it */
        assert_true(x.stx_btime.tv_sec > 1000);
        assert_int_equal(x.stx_size, 1);
}

static void test_rename_over_open(void **state)
{
        struct mounted *m = *state;
        char buf[8] = { 0 };
        int fd;

        put_file(m, "target", "old");
        put_file(m, "source", "new");
        fd = open(at(m, "target"), O_RDONLY);
        assert_int_equal(rename(at(m, "source"), at(m, "target")), 0);
        assert_int_equal(read(fd, buf, sizeof(buf)), 3);
        assert_string_equal(buf, "old");
        close(fd);
        assert_content(m, "target", "new");
        assert_int_equal(access(at(m, "source"), F_OK), -1);
}

static void test_mmap(void **state)
{
        struct mounted *m = *state;
        int fd = open_new(m, "mapped");
        char *map, buf[16] = { 0 };

        assert_int_equal(ftruncate(fd, 8192), 0);
        map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(map != MAP_FAILED);
        memcpy(map + 4090, "across pages", 12);
        assert_int_equal(pread(fd, buf, 12, 4090), 12);
        assert_string_equal(buf, "across pages");
        assert_int_equal(msync(map, 8192, MS_SYNC), 0);
        munmap(map, 8192);
        close(fd);
        /* O_DIRECT reads from the server. */
        fd = open(at(m, "mapped"), O_RDONLY | O_DIRECT);
        assert_true(fd >= 0);
        map = aligned_alloc(4096, 8192);
        assert_int_equal(pread(fd, map, 8192, 0), 8192);
        assert_memory_equal(map + 4090, "across pages", 12);
        free(map);
        close(fd);
}

static void test_large_writes(void **state)
{
        struct mounted *m = *state;
        int fd = open_new(m, "large");
        size_t len = 3u << 20;
        uint32_t *data = aligned_alloc(4096, len), *back = aligned_alloc(4096, len);

        for (size_t i = 0; i < len / 4; i++)
                data[i] = (uint32_t)(i * 2654435761u);
        assert_int_equal(pwrite(fd, data, len, 4096), len);
        /* And a write that begins and ends within blocks. */
        assert_int_equal(pwrite(fd, "piece", 5, 70001), 5);
        memcpy((char *)data + 70001 - 4096, "piece", 5);
        assert_int_equal(fsync(fd), 0);
        close(fd);
        fd = open(at(m, "large"), O_RDONLY | O_DIRECT);
        assert_int_equal(pread(fd, back, len, 4096), len);
        assert_memory_equal(data, back, len);
        assert_int_equal(pread(fd, back, 4096, 0), 4096);
        for (size_t i = 0; i < 1024; i++)
                assert_int_equal(back[i], 0);
        free(data);
        free(back);
        close(fd);
}

static void test_holes(void **state)
{
        struct mounted *m = *state;
        int fd = open_new(m, "holes"), out = open_new(m, "copy");
        char buf[8] = { 0 };
        struct stat st;

        assert_int_equal(pwrite(fd, "begin", 5, 0), 5);
        assert_int_equal(pwrite(fd, "end", 3, 10 << 20), 3);
        assert_int_equal(fsync(fd), 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_true(st.st_blocks * 512 < 1 << 20);
        assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5), 0);
        assert_int_equal(pread(fd, buf, 5, 0), 5);
        assert_memory_equal(buf, "\0\0\0\0\0", 5);
        assert_int_equal(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 1 << 20), -1);
        assert_int_equal(errno, EOPNOTSUPP);
        assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
        assert_int_equal(copy_file_range(fd, &(off_t){ 10 << 20 }, out, &(off_t){ 0 }, 100, 0), 3);
        assert_int_equal(pread(out, buf, 8, 0), 3);
        assert_memory_equal(buf, "end", 3);
        close(out);
        close(fd);
}

/* The server does not know pages that are dirty in the kernel: its answer would make cp skip them. */
static void test_seek_over_dirty_pages(void **state)
{
        struct mounted *m = *state;
        int fd = open_new(m, "dirty");
        char *map;

        assert_int_equal(ftruncate(fd, 1 << 20), 0);
        map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(map != MAP_FAILED);
        map[300000] = 'x';
        assert_in_range(lseek(fd, 0, SEEK_DATA), 0, 300000);
        assert_in_range(lseek(fd, 300000, SEEK_HOLE), 300001, 1 << 20);
        /* munmap would hold the mmap lock of this process, which the server needs, while it writes pages
         * back. */
        assert_int_equal(msync(map, 1 << 20, MS_SYNC), 0);
        munmap(map, 1 << 20);
        close(fd);
}

static int append_records(struct mounted *m)
{
        int fd = open(at(m, "log"), O_WRONLY | O_APPEND);
        int result = 0;

        for (int i = 0; i < 500; i++)
                if (write(fd, "a record", 8) != 8)
                        result = 1;
        close(fd);
        return result;
}

static void test_append_by_two(void **state)
{
        struct mounted *m = *state;
        struct stat st;
        pid_t pid;
        int status;

        close(open_new(m, "log"));
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                _exit(append_records(m));
        assert_int_equal(append_records(m), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(stat(at(m, "log"), &st), 0);
        assert_int_equal(st.st_size, 2 * 500 * 8);
}

/* ---- names and attributes ------------------------------------------------------------------------ */

static void test_negative_entries(void **state)
{
        struct mounted *m = *state;
        struct stat st;

        assert_int_equal(stat(at(m, "negative"), &st), -1);
        put_file(m, "negative", "1");
        assert_int_equal(stat(at(m, "negative"), &st), 0);
        assert_int_equal(unlink(at(m, "negative")), 0);
        assert_int_equal(stat(at(m, "negative"), &st), -1);
        put_file(m, "positive", "2");
        assert_int_equal(rename(at(m, "positive"), at(m, "negative")), 0);
        assert_content(m, "negative", "2");
        assert_int_equal(stat(at(m, "positive"), &st), -1);
        assert_int_equal(link(at(m, "negative"), at(m, "positive")), 0);
        assert_content(m, "positive", "2");
        assert_int_equal(stat(at(m, "negative"), &st), 0);
        assert_int_equal(st.st_nlink, 2);
        assert_int_equal(unlink(at(m, "negative")), 0);
        assert_int_equal(stat(at(m, "positive"), &st), 0);
        assert_int_equal(st.st_nlink, 1);
}

static void test_name_limits(void **state)
{
        struct mounted *m = *state;
        char name[300], target[4097], buf[4097];
        struct statfs fs;

        memset(name, 'n', sizeof(name));
        name[255] = '\0';
        assert_int_equal(mkdir(at(m, name), 0755), 0);
        assert_int_equal(rmdir(at(m, name)), 0);
        name[255] = 'n';
        name[256] = '\0';
        assert_int_equal(mkdir(at(m, name), 0755), -1);
        assert_int_equal(errno, ENAMETOOLONG);
        assert_int_equal(statfs(m->dir, &fs), 0);
        assert_int_equal(fs.f_namelen, 255);

        memset(target, 't', sizeof(target));
        target[4095] = '\0';
        assert_int_equal(symlink(target, at(m, "long")), 0);
        assert_int_equal(readlink(at(m, "long"), buf, sizeof(buf)), 4095);
        assert_memory_equal(buf, target, 4095);
}

static void test_types(void **state)
{
        struct mounted *m = *state;
        struct stat st;

        assert_int_equal(mknod(at(m, "fifo"), S_IFIFO | 0640, 0), 0);
        assert_int_equal(stat(at(m, "fifo"), &st), 0);
        assert_int_equal(st.st_mode, S_IFIFO | 0640);
        if (geteuid() != 0)
                return;
        assert_int_equal(mknod(at(m, "device"), S_IFCHR | 0600, makedev(259, 70000)), 0);
        assert_int_equal(stat(at(m, "device"), &st), 0);
        assert_int_equal(st.st_mode, S_IFCHR | 0600);
        assert_int_equal(st.st_rdev, makedev(259, 70000));
}

static void test_xattrs(void **state)
{
        /* Version 2; u::rw-, g::r--, o::r-- */
        static const char acl[] = {
                2, 0, 0,  0,  1,  0,  6,  0, -1, -1, -1, -1, 4,  0,
                4, 0, -1, -1, -1, -1, 32, 0, 4,  0,  -1, -1, -1, -1,
        };
        struct mounted *m = *state;
        char buf[70000];

        put_file(m, "xattr", "");
        assert_int_equal(setxattr(at(m, "xattr"), "user.small", "value", 5, XATTR_CREATE), 0);
        assert_int_equal(setxattr(at(m, "xattr"), "user.small", "value", 5, XATTR_CREATE), -1);
        assert_int_equal(errno, EEXIST);
        assert_int_equal(getxattr(at(m, "xattr"), "user.small", NULL, 0), 5);
        assert_int_equal(getxattr(at(m, "xattr"), "user.small", buf, 3), -1);
        assert_int_equal(errno, ERANGE);
        memset(buf, 'v', 65536);
        assert_int_equal(setxattr(at(m, "xattr"), "user.large", buf, 65536, 0), 0);
        memset(buf, 0, sizeof(buf));
        assert_int_equal(getxattr(at(m, "xattr"), "user.large", buf, sizeof(buf)), 65536);
        assert_int_equal(buf[65535], 'v');
        assert_int_equal(listxattr(at(m, "xattr"), buf, sizeof(buf)), 22);
        assert_int_equal(removexattr(at(m, "xattr"), "user.small"), 0);
        assert_int_equal(getxattr(at(m, "xattr"), "user.small", buf, sizeof(buf)), -1);
        assert_int_equal(errno, ENODATA);
        /* ACLs are not implemented, so they cannot be set. */
        assert_int_equal(setxattr(at(m, "xattr"), "system.posix_acl_access", acl, sizeof(acl), 0), -1);
        assert_int_equal(errno, EOPNOTSUPP);
}

static int write_as_other(struct mounted *m)
{
        int fd = open(at(m, "suid"), O_WRONLY);
        ssize_t n = write(fd, "x", 1);

        close(fd);
        return n == 1 ? 0 : 1;
}

static int truncate_as_other(struct mounted *m)
{
        return truncate(at(m, "suid"), 0) == 0 ? 0 : 1;
}

static int allocate_as_other(struct mounted *m)
{
        int fd = open(at(m, "suid"), O_WRONLY);
        int r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1);

        close(fd);
        return r == 0 ? 0 : 1;
}

static int create_as_other(struct mounted *m)
{
        return open(at(m, "private/file"), O_CREAT | O_WRONLY, 0644) < 0 && errno == EACCES ? 0 : 1;
}

static mode_t mode_of(struct mounted *m, const char *name)
{
        struct stat st;

        assert_int_equal(stat(at(m, name), &st), 0);
        return st.st_mode & 07777;
}

static void test_privileged_bits(void **state)
{
        struct mounted *m = *state;

        if (geteuid() != 0)
                skip();
        put_file(m, "suid", "program");
        assert_int_equal(chmod(at(m, "suid"), 06777), 0);
        assert_int_equal(mode_of(m, "suid"), 06777);
        assert_int_equal(in_child(NOBODY, write_as_other, m), 0);
        assert_int_equal(mode_of(m, "suid"), 0777);

        assert_int_equal(chmod(at(m, "suid"), 06777), 0);
        assert_int_equal(in_child(NOBODY, truncate_as_other, m), 0);
        assert_int_equal(mode_of(m, "suid"), 0777);

        assert_int_equal(chmod(at(m, "suid"), 06777), 0);
        assert_int_equal(in_child(NOBODY, allocate_as_other, m), 0);
        assert_int_equal(mode_of(m, "suid"), 0777);

        assert_int_equal(chmod(at(m, "suid"), 06777), 0);
        assert_int_equal(chown(at(m, "suid"), NOBODY, NOBODY), 0);
        assert_int_equal(mode_of(m, "suid"), 0777);

        /* Root may keep them. */
        assert_int_equal(chmod(at(m, "suid"), 06777), 0);
        assert_int_equal(write_as_other(m), 0);
        assert_int_equal(mode_of(m, "suid"), 06777);
}

static void test_permissions(void **state)
{
        struct mounted *m = *state;
        struct stat st;

        if (geteuid() != 0)
                skip();
        assert_int_equal(mkdir(at(m, "private"), 0755), 0);
        assert_int_equal(in_child(NOBODY, create_as_other, m), 0);
        assert_int_equal(mkdir(at(m, "group"), 0755), 0);
        assert_int_equal(chown(at(m, "group"), 0, 1234), 0);
        assert_int_equal(chmod(at(m, "group"), 02775), 0);
        put_file(m, "group/file", "");
        assert_int_equal(stat(at(m, "group/file"), &st), 0);
        assert_int_equal(st.st_gid, 1234);
        assert_int_equal(mkdir(at(m, "group/dir"), 0755), 0);
        assert_int_equal(stat(at(m, "group/dir"), &st), 0);
        assert_int_equal(st.st_gid, 1234);
        assert_true(st.st_mode & S_ISGID);
}

/* ---- locks -------------------------------------------------------------------------------------- */

/* Returns a bit for each kind of lock that is granted: 1 flock, 2 fcntl. */
static int try_locks(struct mounted *m)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };
        int fd = open(at(m, "locked"), O_RDWR);

        return (flock(fd, LOCK_EX | LOCK_NB) == 0 ? 1 : 0) | (fcntl(fd, F_SETLK, &lock) == 0 ? 2 : 0);
}

static void test_locks(void **state)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };
        struct mounted *m = *state;
        int fd = open_new(m, "locked");

        assert_int_equal(in_child(geteuid(), try_locks, m), 3);
        assert_int_equal(flock(fd, LOCK_EX), 0);
        assert_int_equal(in_child(geteuid(), try_locks, m), 2);
        assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
        assert_int_equal(in_child(geteuid(), try_locks, m), 0);
        assert_int_equal(flock(fd, LOCK_UN), 0);
        assert_int_equal(in_child(geteuid(), try_locks, m), 1);
        close(fd);
        assert_int_equal(in_child(geteuid(), try_locks, m), 3);
}

/* ---- directories -------------------------------------------------------------------------------- */

/* Creates COUNT files without the kernel. PAD: bytes of each name, at least 8. */
static void make_files(struct mounted *m, const char *dir, unsigned count, int pad)
{
        const struct fs_cred cred = { .uid = geteuid(), .gid = getegid() };
        struct fs_attr d, attr;
        char name[256];

        assert_int_equal(fs_mkdir(m->fs, &cred, 1, slice_str(dir), 0755, &d), 0);
        for (unsigned i = 0; i < count; i++) {
                snprintf(name, sizeof(name), "%0*u", pad, i);
                assert_int_equal(fs_mknod(m->fs, &cred, d.ino, slice_str(name), S_IFREG | 0644, 0, &attr), 0);
                fs_forget(m->fs, attr.ino, 1);
        }
        fs_forget(m->fs, d.ino, 1);
}

static void test_unlink_while_listing(void **state)
{
        struct mounted *m = *state;
        const unsigned count = 3000;
        uint8_t *seen = calloc(1, count);
        struct dirent *e;
        DIR *d;

        make_files(m, "busy", count, 8);
        d = opendir(at(m, "busy"));
        while ((e = readdir(d)) != NULL) {
                unsigned i;
                char path[64];

                if (e->d_name[0] == '.')
                        continue;
                i = (unsigned)atoi(e->d_name);
                assert_in_range(i, 0, count - 1);
                assert_int_equal(seen[i], 0);
                seen[i] = 1;
                snprintf(path, sizeof(path), "busy/%08u", i);
                assert_int_equal(unlink(at(m, path)), 0);
        }
        closedir(d);
        for (unsigned i = 0; i < count; i++)
                assert_int_equal(seen[i], 1);
        assert_int_equal(rmdir(at(m, "busy")), 0);
        free(seen);
}

static void test_seekdir(void **state)
{
        enum { COUNT = 1000 };
        struct mounted *m = *state;
        long pos[COUNT + 2];
        char names[COUNT + 2][16];
        struct dirent *e;
        DIR *d;

        make_files(m, "seek", COUNT, 8);
        d = opendir(at(m, "seek"));
        for (unsigned i = 0; i < COUNT + 2; i++) {
                pos[i] = telldir(d);
                e = readdir(d);
                assert_non_null(e);
                snprintf(names[i], sizeof(names[i]), "%.15s", e->d_name);
        }
        assert_null(readdir(d));
        for (unsigned i = COUNT + 2; i-- > 0;) {
                seekdir(d, pos[i]);
                e = readdir(d);
                assert_non_null(e);
                assert_string_equal(e->d_name, names[i]);
        }
        rewinddir(d);
        e = readdir(d);
        assert_string_equal(e->d_name, ".");
        closedir(d);
}

struct linux_dirent64 {
        uint64_t ino, off;
        uint16_t reclen;
        uint8_t type;
        char name[];
};

/* Reads a few entries; the last one's name goes to LAST. Returns their number or -errno. */
static int read_some(int fd, char *last)
{
        _Alignas(8) char buf[1024];
        long n = syscall(SYS_getdents64, fd, buf, sizeof(buf));
        int count = 0;

        if (n < 0)
                return -errno;
        for (long i = 0; i < n; count++) {
                const struct linux_dirent64 *e = (const void *)(buf + i);

                strcpy(last, e->name);
                i += e->reclen;
        }
        return count;
}

/* A position that was dropped from the table is found by a search of the directory. If its name was removed,
 * too, the listing begins again, without the dots. */
static void test_evicted_position(void **state)
{
        struct mounted *m = *state;
        char last[256], path[300];
        int fd, n, total = 0;
        DIR *other;

        make_files(m, "slow", 500, 8);
        make_files(m, "crowd", 18000, 250); /* more than the table holds */
        fd = open(at(m, "slow"), O_RDONLY | O_DIRECTORY);
        total += n = read_some(fd, last);
        assert_true(n > 0);
        other = opendir(at(m, "crowd"));
        for (unsigned i = 0; i < 18002; i++)
                assert_non_null(readdir(other));
        while ((n = read_some(fd, last)) > 0)
                total += n;
        assert_int_equal(n, 0);
        assert_int_equal(total, 502);

        close(fd);
        closedir(other);
        /* The change drops what the kernel has cached of the directory. */
        put_file(m, "slow/zz", "");
        fd = open(at(m, "slow"), O_RDONLY | O_DIRECTORY);
        assert_true(read_some(fd, last) > 0);
        snprintf(path, sizeof(path), "slow/%s", last);
        assert_int_equal(unlink(at(m, path)), 0);
        assert_true(read_some(fd, last) > 0); /* removed, but in the table */
        snprintf(path, sizeof(path), "slow/%s", last);
        assert_int_equal(unlink(at(m, path)), 0);
        put_file(m, "crowd/zz", "");
        other = opendir(at(m, "crowd"));
        for (unsigned i = 0; i < 18003; i++)
                assert_non_null(readdir(other));
        closedir(other);
        for (total = 0; (n = read_some(fd, last)) > 0;)
                total += n;
        assert_int_equal(n, 0);
        assert_int_equal(total, 500 + 1 - 2);
        close(fd);
}

static void test_rewinddir_sees_changes(void **state)
{
        struct mounted *m = *state;
        unsigned n = 0;
        DIR *d;

        assert_int_equal(mkdir(at(m, "fresh"), 0755), 0);
        d = opendir(at(m, "fresh"));
        while (readdir(d))
                n++;
        assert_int_equal(n, 2);
        put_file(m, "fresh/a", "");
        rewinddir(d);
        while (readdir(d))
                n++;
        assert_int_equal(n, 5);
        closedir(d);
}

/* ---- running ------------------------------------------------------------------------------------ */

static int setup(void **state)
{
        *state = mounted_new(&(struct fuse_opts){ 0 });
        return 0;
}

static int setup_writeback(void **state)
{
        *state = mounted_new(&(struct fuse_opts){ .writeback_cache = true });
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
                cmocka_unit_test(test_o_trunc),
                cmocka_unit_test(test_truncate_sets_times),
                cmocka_unit_test(test_unlinked_open),
                cmocka_unit_test(test_tmpfile),
                cmocka_unit_test(test_birth_time),
                cmocka_unit_test(test_rename_over_open),
                cmocka_unit_test(test_mmap),
                cmocka_unit_test(test_large_writes),
                cmocka_unit_test(test_holes),
                cmocka_unit_test(test_seek_over_dirty_pages),
                cmocka_unit_test(test_append_by_two),
                cmocka_unit_test(test_negative_entries),
                cmocka_unit_test(test_name_limits),
                cmocka_unit_test(test_types),
                cmocka_unit_test(test_xattrs),
                cmocka_unit_test(test_privileged_bits),
                cmocka_unit_test(test_permissions),
                cmocka_unit_test(test_locks),
                cmocka_unit_test(test_unlink_while_listing),
                cmocka_unit_test(test_seekdir),
                cmocka_unit_test(test_evicted_position),
                cmocka_unit_test(test_rewinddir_sees_changes),
        };

        require_fuse();
        umask(022);
        return cmocka_run_group_tests_name("traps", tests, setup, teardown) +
               cmocka_run_group_tests_name("traps with writeback_cache", tests, setup_writeback, teardown);
}

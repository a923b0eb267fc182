/* SPDX-License-Identifier: MIT */
/* SEEK_DATA and SEEK_HOLE: the results are right, also for data that is only in the kernel's cache. */
#include "fixture.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB (1 << 20)

static int open_new(const struct mounted *m, const char *name)
{
        int fd = open(at(m, name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        return fd;
}

static void fill(int fd, off_t offset, size_t len)
{
        char *data = malloc(len);

        assert_non_null(data);
        memset(data, 'd', len);
        assert_int_equal(pwrite(fd, data, len, offset), (ssize_t)len);
        free(data);
}

static off_t block_of(const struct mounted *m, off_t offset)
{
        return offset - offset % fs_block_size(m->fs);
}

/* Whether the kernel makes LSEEK possible (server.c). */
static bool can_seek(struct mounted *m)
{
        int fd = open_new(m, "empty");
        bool can;

        assert_int_equal(ftruncate(fd, MIB), 0);
        can = lseek(fd, 0, SEEK_HOLE) == 0;
        assert_true(can || lseek(fd, 0, SEEK_HOLE) == MIB);
        close(fd);
        return can;
}

static void test_holes(void **state)
{
        struct mounted *m = *state;
        int fd;

        if (!can_seek(m))
                skip();
        fd = open_new(m, "holes");
        assert_int_equal(ftruncate(fd, 10 * MIB), 0);
        fill(fd, 5 * MIB, MIB);
        assert_int_equal(lseek(fd, 0, SEEK_HOLE), 0);
        assert_int_equal(lseek(fd, 0, SEEK_DATA), block_of(m, 5 * MIB));
        assert_int_equal(lseek(fd, 5 * MIB + 7, SEEK_DATA), 5 * MIB + 7);
        assert_int_equal(lseek(fd, 5 * MIB, SEEK_HOLE), block_of(m, 6 * MIB - 1) + fs_block_size(m->fs));
        assert_int_equal(lseek(fd, 7 * MIB, SEEK_HOLE), 7 * MIB);
        assert_int_equal(lseek(fd, 7 * MIB, SEEK_DATA), -1);
        assert_int_equal(errno, ENXIO);
        assert_int_equal(lseek(fd, 10 * MIB, SEEK_HOLE), -1);
        assert_int_equal(errno, ENXIO);
        fill(fd, 10 * MIB - 1, 1);
        assert_int_equal(lseek(fd, 10 * MIB - 1, SEEK_HOLE), 10 * MIB);
        assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 10 * MIB), 0);
        assert_int_equal(lseek(fd, 0, SEEK_DATA), -1);
        assert_int_equal(lseek(fd, 0, SEEK_CUR), 10 * MIB);
        close(fd);
}

/* A file without holes stays in the page cache. */
static void test_dense_file_stays_cached(void **state)
{
        struct mounted *m = *state;
        int fd = open_new(m, "dense");
        char buf[4096];
        unsigned reads;

        fill(fd, 0, MIB);
        assert_int_equal(fsync(fd), 0);
        for (off_t at = 0; at < MIB; at += sizeof(buf))
                assert_int_equal(pread(fd, buf, sizeof(buf), at), sizeof(buf));
        reads = m->counts[FUSE_READ];
        assert_int_equal(lseek(fd, 0, SEEK_DATA), 0);
        assert_int_equal(lseek(fd, 0, SEEK_HOLE), MIB);
        for (off_t at = 0; at < MIB; at += sizeof(buf))
                assert_int_equal(pread(fd, buf, sizeof(buf), at), sizeof(buf));
        assert_int_equal(m->counts[FUSE_READ], reads);
        close(fd);
}

static void test_written_beyond_the_end(void **state)
{
        struct mounted *m = *state;
        int fd = open_new(m, "grown");

        fill(fd, 3 * MIB, 10);
        assert_in_range(lseek(fd, 0, SEEK_DATA), 0, 3 * MIB);
        assert_int_equal(lseek(fd, 3 * MIB + 5, SEEK_DATA), 3 * MIB + 5);
        assert_int_equal(lseek(fd, 3 * MIB, SEEK_HOLE), 3 * MIB + 10);
        fill(fd, 3 * MIB + 10, 10);
        assert_int_equal(lseek(fd, 3 * MIB, SEEK_HOLE), 3 * MIB + 20);
        assert_int_equal(lseek(fd, 3 * MIB + 20, SEEK_DATA), -1);
        close(fd);
}

/* ---- through memory maps, by processes that do not share the server's memory --------------------------- */

static void expect(bool condition, int code)
{
        if (!condition)
                _exit(code);
}

/* Changes pages of an empty file through a map, and looks for them. */
static void seek_mapped(const char *path)
{
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        char *map;

        expect(fd >= 0 && ftruncate(fd, 4 * MIB) == 0, 1);
        map = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        expect(map != MAP_FAILED, 2);
        for (off_t at = 700000; at < 4 * MIB; at += MIB) {
                off_t hole;

                map[at] = 'x';
                expect(lseek(fd, at - 300000, SEEK_DATA) <= at, 3);
                expect(lseek(fd, at, SEEK_DATA) == at, 4);
                hole = lseek(fd, at, SEEK_HOLE);
                expect(hole > at, 5);
                map[hole - 1] = 'y';
                expect(lseek(fd, hole - 1, SEEK_DATA) == hole - 1, 6);
                expect(lseek(fd, hole - 1, SEEK_HOLE) >= hole, 7);
        }
        expect(lseek(fd, 0, SEEK_DATA) <= 700000, 8);
        _exit(0);
}

/* Starts a process that waits until START is closed and then calls seek_mapped, on CPU 0. It has no
 * descriptor of the server's, whose end it would outlive otherwise. */
static pid_t start_process(const struct mounted *m, const int start[2], int number)
{
        char path[300];
        cpu_set_t first;
        pid_t pid;

        snprintf(path, sizeof(path), "%s/mapped-%d", m->dir, number);
        CPU_ZERO(&first);
        CPU_SET(0, &first);
        pid = fork();
        assert_true(pid >= 0);
        if (pid > 0)
                return pid;
        expect(dup2(start[0], 0) == 0 && close_range(3, ~0u, 0) == 0, 9);
        sched_setaffinity(0, sizeof(first), &first);
        expect(read(0, &(char){ 0 }, 1) == 0, 10);
        seek_mapped(path);
        return -1;
}

/* N processes at once, two of them on each file. */
static void seek_in_processes(const struct mounted *m, int n)
{
        pid_t pids[40];
        int start[2], status, failed = 0;

        assert_true(n <= 40);
        assert_int_equal(pipe(start), 0);
        for (int i = 0; i < n; i++)
                pids[i] = start_process(m, start, i / 2);
        close(start[0]);
        close(start[1]);
        for (int i = 0; i < n; i++) {
                assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                failed = status != 0 ? status : failed;
        }
        assert_int_equal(failed, 0);
}

static void test_mapped(void **state)
{
        seek_in_processes(*state, 1);
}

/* Their CPU has fewer entries in a ring: the pages must be written back nevertheless. */
static void test_mapped_by_many(void **state)
{
        seek_in_processes(*state, 40);
}

/* ---- running ------------------------------------------------------------------------------------------- */

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

static int setup_shared(void **state)
{
        *state = mounted_new(&(struct fuse_opts){ .shared = true });
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
                cmocka_unit_test(test_holes),
                cmocka_unit_test(test_dense_file_stays_cached),
                cmocka_unit_test(test_written_beyond_the_end),
                cmocka_unit_test(test_mapped),
                cmocka_unit_test(test_mapped_by_many),
        };
        const char *transport = getenv("ASHLAR_TRANSPORT");
        int failed;

        require_fuse();
        umask(022);
        failed = cmocka_run_group_tests_name("seek", tests, setup, teardown) +
                 cmocka_run_group_tests_name("seek with writeback_cache", tests, setup_writeback, teardown);
        if (transport && strcmp(transport, "uring") == 0)
                return failed;
        return failed + cmocka_run_group_tests_name("seek on a shared mount", tests, setup_shared, teardown);
}

/* SPDX-License-Identifier: MIT */
/* copy_file_range(2): by the mount, without a READ or WRITE, and the same as by read and write. */
#include "fixture.h"

#include "base/rng.h"
#include "fuse/transport/kernel_abi.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

static uint8_t *random_bytes(size_t len)
{
        uint8_t *data = malloc(len);
        struct rng rng;

        assert_non_null(data);
        rng_seed(&rng, len);
        rng_fill(&rng, data, len);
        return data;
}

static void copy_all(int from, off_t from_at, int to, off_t to_at, size_t len)
{
        while (len > 0) {
                ssize_t n = copy_file_range(from, &from_at, to, &to_at, len, 0);

                assert_true(n > 0);
                len -= (size_t)n;
        }
}

static void assert_bytes(int fd, off_t offset, const uint8_t *data, size_t len)
{
        uint8_t *buf = malloc(len);

        assert_non_null(buf);
        assert_int_equal(pread(fd, buf, len, offset), (ssize_t)len);
        assert_memory_equal(buf, data, len);
        free(buf);
}

static unsigned copies(const struct mounted *m)
{
        return m->counts[FUSE_COPY_FILE_RANGE] + m->counts[ABI_OPCODE_COPY_FILE_RANGE_64];
}

static void test_whole_file(void **state)
{
        enum { LEN = 40 * MIB + 12345 };
        struct mounted *m = *state;
        int from = open_new(m, "from"), to = open_new(m, "to");
        uint8_t *data = random_bytes(LEN);
        unsigned reads, writes, before = copies(m);
        struct stat st;

        assert_int_equal(pwrite(from, data, LEN, 0), LEN);
        assert_int_equal(fsync(from), 0);
        reads = m->counts[FUSE_READ];
        writes = m->counts[FUSE_WRITE];
        copy_all(from, 0, to, 0, LEN);
        assert_int_equal(m->counts[FUSE_READ], reads);
        assert_int_equal(m->counts[FUSE_WRITE], writes);
        assert_in_range(copies(m) - before, 2, 4);
        assert_int_equal(fstat(to, &st), 0);
        assert_int_equal(st.st_size, LEN);
        assert_bytes(to, 0, data, LEN);
        assert_int_equal(copy_file_range(from, &(off_t){ LEN }, to, &(off_t){ 0 }, 10, 0), 0);
        free(data);
        close(from);
        close(to);
}

/* Pages of the destination that the kernel has cached are dropped, and its dirty ones are not lost. */
static void test_over_cached_pages(void **state)
{
        struct mounted *m = *state;
        int from = open_new(m, "from"), to = open_new(m, "to");
        uint8_t *data = random_bytes(MIB), *old = calloc(1, MIB);

        memset(old, 'o', MIB);
        assert_int_equal(pwrite(from, data, MIB, 0), MIB);
        assert_int_equal(pwrite(to, old, MIB, 0), MIB);
        assert_bytes(to, 0, old, MIB);
        copy_all(from, 1000, to, 5001, 300000);
        memcpy(old + 5001, data + 1000, 300000);
        assert_bytes(to, 0, old, MIB);
        copy_all(to, 100, to, 600000, 200000); /* within one file */
        memmove(old + 600000, old + 100, 200000);
        assert_bytes(to, 0, old, MIB);
        assert_int_equal(copy_file_range(to, &(off_t){ 0 }, to, &(off_t){ 50 }, 100, 0), -1);
        assert_int_equal(errno, EINVAL);
        free(old);
        free(data);
        close(from);
        close(to);
}

static void test_mapped_source(void **state)
{
        struct mounted *m = *state;
        int from = open_new(m, "from"), to = open_new(m, "to");
        char *map, buf[2] = "";

        assert_int_equal(ftruncate(from, MIB), 0);
        map = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_SHARED, from, 0);
        assert_true(map != MAP_FAILED);
        map[300000] = 'x';
        copy_all(from, 0, to, 0, MIB);
        assert_int_equal(pread(to, buf, 1, 300000), 1);
        assert_int_equal(buf[0], 'x');
        assert_int_equal(msync(map, MIB, MS_SYNC), 0);
        munmap(map, MIB);
        close(from);
        close(to);
}

static void test_holes_and_times(void **state)
{
        struct mounted *m = *state;
        int from = open_new(m, "from"), to = open_new(m, "to");
        uint8_t *data = random_bytes(MIB);
        struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };
        struct stat st;

        assert_int_equal(pwrite(from, data, MIB, 50 * MIB), MIB);
        assert_int_equal(ftruncate(from, 1000 * MIB), 0);
        assert_int_equal(pwrite(to, data, MIB, 500 * MIB), MIB);
        assert_int_equal(futimens(from, times), 0);
        assert_int_equal(futimens(to, times), 0);
        copy_all(from, 0, to, 0, 1000 * MIB);
        assert_bytes(to, 50 * MIB, data, MIB);
        assert_int_equal(fstat(to, &st), 0);
        assert_int_equal(st.st_size, 1000 * MIB);
        assert_in_range(st.st_blocks, MIB / 512, 2 * MIB / 512);
        assert_true(st.st_mtime > 1000 && st.st_ctime > 1000);
        assert_int_equal(fstat(from, &st), 0);
        assert_true(st.st_atime > 1000);
        assert_int_equal(st.st_mtime, 1000);
        free(data);
        close(from);
        close(to);
}

static void test_refusals(void **state)
{
        struct mounted *m = *state;
        int from = open_new(m, "from"),
            to = open(at(m, "to"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);

        assert_int_equal(write(from, "abc", 3), 3);
        assert_int_equal(copy_file_range(from, &(off_t){ 0 }, to, NULL, 3, 0), -1);
        assert_int_equal(errno, EBADF);
        close(from);
        close(to);
}

/* By a user, copying ends set-user-ID. */
static void test_privileges(void **state)
{
        struct mounted *m = *state;
        int from = open_new(m, "from"), to = open_new(m, "to"), status;
        struct stat st;
        pid_t pid;

        if (geteuid() != 0)
                skip();
        assert_int_equal(write(from, "abc", 3), 3);
        assert_int_equal(fchmod(to, 06777), 0);
        assert_int_equal(fstat(to, &st), 0);
        pid = fork();
        if (pid == 0)
                _exit(setuid(65501) != 0 || copy_file_range(from, &(off_t){ 0 }, to, NULL, 3, 0) != 3);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        assert_int_equal(fstat(to, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0777);
        close(from);
        close(to);
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
                cmocka_unit_test(test_whole_file),    cmocka_unit_test(test_over_cached_pages),
                cmocka_unit_test(test_mapped_source), cmocka_unit_test(test_holes_and_times),
                cmocka_unit_test(test_refusals),      cmocka_unit_test(test_privileges),
        };
        const char *transport = getenv("ASHLAR_TRANSPORT");
        int failed;

        require_fuse();
        umask(022);
        failed = cmocka_run_group_tests_name("copy", tests, setup, teardown) +
                 cmocka_run_group_tests_name("copy with writeback_cache", tests, setup_writeback, teardown);
        if (transport && strcmp(transport, "uring") == 0)
                return failed;
        return failed + cmocka_run_group_tests_name("copy on a shared mount", tests, setup_shared, teardown);
}

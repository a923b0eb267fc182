/* SPDX-License-Identifier: MIT */
/* CPU affinity of ring threads: pinned to the CPU of the caller, except while they serve a stream of
 * reads. Tested with single threads, which may leave the idle class, and with pairs of threads, which may
 * not. */
#include "fixture.h"
#include "fuse/transport/sched.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

/* Several requests for each entry of a CPU, so that some are not their thread's first. */
#define MIB    64
#define ROUNDS 4
#define NAMES  2000

static atomic_uint n_unpinned, n_pinned;
static unsigned n_allowed; /* CPUs on which this process may run */

/* Called by the thread that serves the request. */
static void check_affinity(uint32_t opcode, void *m)
{
        cpu_set_t set;

        if (opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT)
                return; /* served by the classic transport */
        if (sched_getaffinity(0, sizeof(set), &set) < 0)
                abort(); /* assertions work in the test's thread only */
        atomic_fetch_add(CPU_COUNT(&set) == 1 ? &n_pinned : &n_unpinned, 1);
}

static void reset_counts(void)
{
        atomic_store(&n_unpinned, 0);
        atomic_store(&n_pinned, 0);
}

static void expect_unpinned(void)
{
        assert_true(n_allowed == 1 || atomic_load(&n_unpinned) > 0);
        reset_counts();
}

static void expect_pinned(void)
{
        assert_int_equal(atomic_load(&n_unpinned), 0);
        assert_true(atomic_load(&n_pinned) > 0);
        reset_counts();
}

static void lookup_names(const struct mounted *m, int round)
{
        struct stat st;
        char name[32];

        for (int i = 0; i < NAMES; i++) {
                snprintf(name, sizeof(name), "missing%d.%d", round, i);
                assert_int_equal(stat(at(m, name), &st), -1);
        }
}

static void write_stream(int fd)
{
        static char data[1 << 20];

        for (int i = 0; i < MIB; i++)
                assert_int_equal(pwrite(fd, data, sizeof(data), (off_t)i << 20), sizeof(data));
}

static void read_stream(int fd)
{
        static char data[1 << 20];

        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        for (int i = 0; i < MIB; i++)
                assert_int_equal(pread(fd, data, sizeof(data), (off_t)i << 20), sizeof(data));
}

static void read_pieces(int fd)
{
        char data[4096];

        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
        for (int i = 0; i < MIB; i++)
                assert_int_equal(pread(fd, data, sizeof(data), (off_t)i << 20), sizeof(data));
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL), 0);
}

static void check_threads(void)
{
        struct mounted *m = mounted_new(&(struct fuse_opts){ .debug = false });
        int fd = open(at(m, "file"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        reset_counts();
        m->hook = check_affinity;
        for (int round = 0; round < ROUNDS; round++) {
                write_stream(fd);
                expect_pinned();
                lookup_names(m, round);
                expect_pinned();
                read_stream(fd);
                expect_unpinned();
                read_pieces(fd);
                expect_pinned();
        }
        assert_int_equal(close(fd), 0);
        mounted_free(m);
}

static void test_single(void **state)
{
        if (!fuse_sched_may_return())
                skip();
        check_threads();
}

/* After this no thread may leave the idle class. */
static void drop_priorities(void)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2];

        assert_int_equal(setrlimit(RLIMIT_NICE, &(struct rlimit){ 0, 0 }), 0);
        assert_int_equal(syscall(SYS_capget, &header, data), 0);
        data[0].effective &= ~(1u << CAP_SYS_NICE);
        assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

static void test_pairs(void **state)
{
        drop_priorities();
        assert_false(fuse_sched_may_return());
        check_threads();
}

/* Runs the tests on one CPU, so that one queue gets all requests. Not in the first thread: its affinity is
 * that of unpinned threads. */
static void *run_all(void *arg)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_single),
                cmocka_unit_test(test_pairs),
        };
        cpu_set_t set;
        unsigned cpu = 0;

        sched_getaffinity(0, sizeof(set), &set);
        n_allowed = (unsigned)CPU_COUNT(&set);
        while (!CPU_ISSET(cpu, &set))
                cpu++;
        fuse_sched_pin(cpu);
        *(int *)arg = cmocka_run_group_tests_name("bulk", tests, NULL, NULL);
        return NULL;
}

int main(void)
{
        pthread_t thread;
        int result = 1;

        require_fuse();
        if (pthread_create(&thread, NULL, run_all, &result) == 0)
                pthread_join(thread, NULL);
        return result;
}

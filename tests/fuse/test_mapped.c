/* SPDX-License-Identifier: MIT */
/* Copying from a mapped file of which some pages cannot be read. */
#include "fuse/transport/mapped.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define PAGES 4u

struct truncated_map {
        size_t page;
        unsigned char *map; /* PAGES pages, of which only the first can be read */
};

static int setup(void **state)
{
        static struct truncated_map t;
        int fd = memfd_create("truncated", MFD_CLOEXEC);

        t.page = (size_t)sysconf(_SC_PAGESIZE);
        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t)(PAGES * t.page)), 0);
        t.map = mmap(NULL, PAGES * t.page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        assert_true(t.map != MAP_FAILED);
        memset(t.map, 'x', t.page);
        assert_int_equal(ftruncate(fd, (off_t)t.page), 0);
        close(fd);
        *state = &t;
        return 0;
}

static int teardown(void **state)
{
        struct truncated_map *t = *state;

        return munmap(t->map, PAGES * t->page);
}

static void copy_all(const struct truncated_map *t)
{
        unsigned char to[64];

        memset(to, 0, sizeof(to));
        assert_int_equal(fuse_mapped_copy(to, t->map + t->page - sizeof(to), sizeof(to)), 0);
        for (size_t i = 0; i < sizeof(to); i++)
                assert_int_equal(to[i], 'x');
        assert_int_equal(fuse_mapped_copy(to, t->map + t->page, 1), -EIO);
        assert_int_equal(fuse_mapped_copy(to, t->map + t->page - 32, sizeof(to)), -EIO);
        assert_int_equal(fuse_mapped_copy(to, t->map + PAGES * t->page - 32, 32), -EIO);
        assert_int_equal(fuse_mapped_copy(to, t->map + PAGES * t->page, 0), 0);
}

static void *copy_often(void *arg)
{
        for (int i = 0; i < 200; i++)
                copy_all(arg);
        return NULL;
}

static void test_copies(void **state)
{
        pthread_t threads[4];

        fuse_mapped_init(); /* in each test: cmocka replaces the handler */
        copy_often(*state);
        for (int i = 0; i < 4; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, copy_often, *state), 0);
        for (int i = 0; i < 4; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* A bus error outside a copy ends the process, also after failed copies. */
static void test_elsewhere(void **state)
{
        const struct truncated_map *t = *state;
        int status;
        pid_t pid;

        fuse_mapped_init();
        copy_all(t);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                setrlimit(RLIMIT_CORE, &(struct rlimit){ 0 });
                _exit(*(volatile unsigned char *)(t->map + t->page));
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGBUS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_copies, setup, teardown),
                cmocka_unit_test_setup_teardown(test_elsewhere, setup, teardown),
        };

        return cmocka_run_group_tests_name("mapped", tests, NULL, NULL);
}

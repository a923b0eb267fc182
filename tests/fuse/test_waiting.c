/* SPDX-License-Identifier: MIT */
/* A store that is unavailable: requests wait for it, and end with EINTR on a signal and with EIO at their
 * timeout; when it is available again, they succeed. The store is a stand-in for a FoundationDB cluster
 * (tests/kv/fdb). */
#include "fixture.h"

#include "../kv/fdb/standin/standin.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/ashlar-waiting-XXXXXX", file[64], url[128];
static standin_set_bool_fn set_away;

static void on_signal(int sig)
{
}

static int setup_all(void **state)
{
        struct sigaction action = { .sa_handler = on_signal };
        FILE *f;

        assert_non_null(mkdtemp(dir));
        snprintf(file, sizeof(file), "%s/cluster", dir);
        snprintf(url, sizeof(url), "fdb:%s?prefix=waiting", file);
        f = fopen(file, "w");
        assert_non_null(f);
        fputs("standin:standin@127.0.0.1:1\n", f);
        fclose(f);
        sigaction(SIGUSR1, &action, NULL);
        return 0;
}

static int teardown_all(void **state)
{
        unlink(file);
        return rmdir(dir);
}

static struct mounted *mount_it(bool shared, unsigned timeout_ms)
{
        const struct fuse_opts opts = { .shared = shared, .remote_store = true, .timeout_ms = timeout_ms };
        struct mounted *m = mounted_new_over(url, &opts);
        void *library = dlopen(getenv("ASHLAR_FDB_LIB"), RTLD_NOW | RTLD_LOCAL);

        assert_non_null(library);
        *(void **)&set_away = dlsym(library, "standin_set_away");
        assert_non_null(set_away);
        dlclose(library);
        return m;
}

/* ---- interrupted ---------------------------------------------------------------------------------- */

struct caller {
        const char *path;
        atomic_bool done;
        int result, err;
};

static void *call_stat(void *arg)
{
        struct caller *c = arg;
        struct stat st;

        c->result = stat(c->path, &st);
        c->err = errno;
        c->done = true;
        return NULL;
}

static void test_interrupted(void **state)
{
        struct mounted *m = mount_it(true, 0);
        struct caller c = { .path = at(m, "none") };
        pthread_t thread;
        struct stat st;

        set_away(true);
        assert_int_equal(pthread_create(&thread, NULL, call_stat, &c), 0);
        while (!c.done) {
                usleep(10000);
                pthread_kill(thread, SIGUSR1);
        }
        pthread_join(thread, NULL);
        assert_int_equal(c.result, -1);
        assert_int_equal(c.err, EINTR);
        set_away(false);
        assert_int_equal(stat(at(m, "none"), &st), -1);
        assert_int_equal(errno, ENOENT);
        mounted_free(m);
}

/* ---- timeout -------------------------------------------------------------------------------------- */

static void test_timeout(void **state)
{
        struct mounted *m = mount_it(true, 200);
        struct stat st;
        int fd;

        set_away(true);
        assert_int_equal(stat(at(m, "none"), &st), -1);
        assert_int_equal(errno, EIO);
        set_away(false);
        while (stat(at(m, "none"), &st) < 0 && errno == EIO)
                usleep(10000);
        assert_int_equal(errno, ENOENT);
        do
                fd = open(at(m, "file"), O_CREAT | O_WRONLY, 0666);
        while (fd < 0 && errno == EIO);
        assert_true(fd >= 0);
        close(fd);
        mounted_free(m);
}

/* ---- waiting -------------------------------------------------------------------------------------- */

static void test_goes_on(void **state)
{
        struct mounted *m = mount_it(true, 0);
        struct caller c = { .path = at(m, "none") };
        pthread_t thread;

        set_away(true);
        assert_int_equal(pthread_create(&thread, NULL, call_stat, &c), 0);
        usleep(100000);
        assert_false(c.done);
        set_away(false);
        pthread_join(thread, NULL);
        assert_int_equal(c.result, -1);
        assert_int_equal(c.err, ENOENT);
        mounted_free(m);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_interrupted),
                cmocka_unit_test(test_timeout),
                cmocka_unit_test(test_goes_on),
        };

        require_fuse();
        return cmocka_run_group_tests(tests, setup_all, teardown_all);
}

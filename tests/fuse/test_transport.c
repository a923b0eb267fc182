/* SPDX-License-Identifier: MIT */
/* Transports: replies that are sent later and by other threads, and requests that are served while others
 * of the same CPU wait. The file system is one directory: a LOOKUP of "wait..." gets its reply from the
 * test, any other name does not exist. */
#include "base/lock.h"
#include "fuse/mountpoint/mountpoint.h"
#include "fuse/proto/ops.h"
#include "fuse/server.h"
#include "fuse/transport/mapped.h"

#include "fuse/transport/kernel_abi.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

/* Fewer than a CPU has entries (rings) and than there can be threads (classic). */
#define WAITERS 3u

/* More than a CPU has entries. */
#define MANY 40u

struct test_mount {
        struct fuse_conn conn;
        struct fuse_server *server;
        pthread_t thread;
        char dir[64];
        struct lock lock; /* protects waiting and n_waiting */
        struct fuse_req waiting[MANY];
        unsigned n_waiting;
        sem_t started, arrived;
        void *unreadable; /* a page that cannot be read */
};

static struct fs_attr root_attr(void)
{
        return (struct fs_attr){ .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 0755, .nlink = 2, .blksize = 4096 };
}

static void op_getattr(const struct fuse_req *r, uint64_t ino)
{
        struct fs_attr a = root_attr();

        fuse_reply_attr(r, &a);
}

static void op_lookup(const struct fuse_req *r, uint64_t dir, struct slice name)
{
        struct test_mount *h = (struct test_mount *)r->conn;

        if (!slice_starts_with(name, slice_str("wait"))) {
                fuse_reply_err(r, -ENOENT);
                return;
        }
        lock_acquire(&h->lock);
        assert_true(h->n_waiting < MANY);
        h->waiting[h->n_waiting++] = *r;
        lock_release(&h->lock);
        sem_post(&h->arrived);
}

static void op_statfs(const struct fuse_req *r)
{
        fuse_reply_statfs(r, &(struct fs_statfs){ .block_size = 4096 });
}

/* Replies with data, and for "user.unreadable" with a page that cannot be read too. */
static void op_getxattr(const struct fuse_req *r, uint64_t ino, struct slice name, size_t cap)
{
        struct test_mount *h = (struct test_mount *)r->conn;
        struct iovec iov[] = { { .iov_base = "data", .iov_len = 4 },
                               { .iov_base = h->unreadable, .iov_len = 4 } };

        fuse_reply_iov(r, iov, slice_starts_with(name, slice_str("user.unreadable")) ? 2 : 1);
}

static const struct fuse_ops ops = {
        .lookup = op_lookup, .getattr = op_getattr, .statfs = op_statfs, .getxattr = op_getxattr
};

static void *serve(void *arg)
{
        struct test_mount *h = arg;

        return (void *)(intptr_t)fuse_serve(h->server);
}

/* With rings, all entries are registered by now. */
static int on_started(void *arg)
{
        struct test_mount *h = arg;

        return sem_post(&h->started);
}

static void wait_for(sem_t *sem)
{
        while (sem_wait(sem) < 0)
                assert_int_equal(errno, EINTR);
}

static void *map_empty_file(void)
{
        int fd = memfd_create("unreadable", MFD_CLOEXEC);
        void *map = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);

        assert_true(map != MAP_FAILED);
        close(fd);
        return map;
}

static int setup(void **state)
{
        const struct fuse_mount_opts mount_opts = { .source = "held", .flags = MS_NODEV | MS_NOSUID };
        const char *wanted = getenv("ASHLAR_TRANSPORT");
        struct test_mount *h = calloc(1, sizeof(*h));
        struct err_text text;
        int fd;

        assert_non_null(h);
        h->unreadable = map_empty_file();
        h->conn.ops = &ops;
        h->conn.policy = fuse_policy_exclusive(&h->conn.opts);
        h->conn.policy.negative_valid_ms = 0;
        if (wanted)
                h->conn.opts.transport =
                        strcmp(wanted, "uring") == 0 ? FUSE_TRANSPORT_URING : FUSE_TRANSPORT_CLASSIC;
        h->conn.opts.on_started = on_started;
        h->conn.opts.on_started_arg = h;
        lock_init(&h->lock);
        sem_init(&h->started, 0, 0);
        sem_init(&h->arrived, 0, 0);
        snprintf(h->dir, sizeof(h->dir), "/tmp/ashlar-fuse-test-XXXXXX");
        assert_non_null(mkdtemp(h->dir));
        if (fuse_mount(h->dir, &mount_opts, &fd, &text) < 0 ||
            fuse_server_new_with(&h->conn, fd, &h->server, &text) < 0)
                fail_msg("%s", text.text);
        assert_int_equal(pthread_create(&h->thread, NULL, serve, h), 0);
        wait_for(&h->started);
        *state = h;
        return 0;
}

static void test_mount_free(struct test_mount *h)
{
        munmap(h->unreadable, 1);
        sem_destroy(&h->arrived);
        sem_destroy(&h->started);
        lock_destroy(&h->lock);
        assert_int_equal(rmdir(h->dir), 0);
        free(h);
}

static int teardown(void **state)
{
        struct test_mount *h = *state;
        void *result;

        fuse_unmount(h->dir, true, NULL);
        pthread_join(h->thread, &result);
        assert_null(result);
        fuse_server_free(h->server);
        test_mount_free(h);
        return 0;
}

struct caller {
        struct test_mount *mount;
        pthread_t thread;
        unsigned number;
        int error;
};

static int lookup_errno(const struct test_mount *h, const char *name)
{
        char path[128];
        struct stat st;

        snprintf(path, sizeof(path), "%s/%s", h->dir, name);
        return stat(path, &st) == 0 ? 0 : errno;
}

/* Callers stay on one CPU, so that one queue gets all requests. */
static void stay_on_one_cpu(void)
{
        cpu_set_t set;
        int cpu = sched_getcpu();

        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        sched_setaffinity(0, sizeof(set), &set);
}

static void *call(void *arg)
{
        struct caller *c = arg;
        char name[32];

        snprintf(name, sizeof(name), "wait%u", c->number);
        c->error = lookup_errno(c->mount, name);
        return NULL;
}

static void start_caller(struct test_mount *h, struct caller *c, unsigned number)
{
        *c = (struct caller){ .mount = h, .number = number };
        assert_int_equal(pthread_create(&c->thread, NULL, call, c), 0);
}

static void start_callers(struct test_mount *h, struct caller callers[static WAITERS])
{
        for (unsigned i = 0; i < WAITERS; i++) {
                start_caller(h, &callers[i], i);
                wait_for(&h->arrived);
        }
}

/* Requests wait while others of the same CPU are served; then this thread replies to them in another
 * order. */
static void test_replies_later(void **state)
{
        struct test_mount *h = *state;
        struct caller callers[WAITERS];

        stay_on_one_cpu();
        start_callers(h, callers);
        for (unsigned i = 0; i < 100; i++)
                assert_int_equal(lookup_errno(h, "missing"), ENOENT);
        for (unsigned i = WAITERS; i-- > 0;)
                fuse_reply_err(&h->waiting[i], -(int)(EPERM + (i % 2) * (EIO - EPERM)));
        for (unsigned i = 0; i < WAITERS; i++)
                pthread_join(callers[i].thread, NULL);
        for (unsigned i = 0; i < WAITERS; i++)
                assert_int_equal(callers[i].error, i % 2 ? EIO : EPERM);
        assert_int_equal(lookup_errno(h, "missing"), ENOENT);
}

/* Takes the oldest waiting request. */
static void take_first(struct test_mount *h, struct fuse_req *ret)
{
        lock_acquire(&h->lock);
        assert_int_not_equal(h->n_waiting, 0);
        *ret = h->waiting[0];
        memmove(h->waiting, h->waiting + 1, --h->n_waiting * sizeof(h->waiting[0]));
        lock_release(&h->lock);
}

/* More requests of one CPU wait than it has entries: each reply lets the kernel pass on another one. */
static void test_more_than_entries(void **state)
{
        struct test_mount *h = *state;
        struct caller callers[MANY];

        stay_on_one_cpu();
        for (unsigned i = 0; i < MANY; i++)
                start_caller(h, &callers[i], i);
        for (unsigned i = 0; i < MANY; i++) {
                struct fuse_req r;

                wait_for(&h->arrived);
                take_first(h, &r);
                fuse_reply_err(&r, -EIO);
        }
        for (unsigned i = 0; i < MANY; i++) {
                pthread_join(callers[i].thread, NULL);
                assert_int_equal(callers[i].error, EIO);
        }
        assert_int_equal(lookup_errno(h, "missing"), ENOENT);
}

static pid_t start_process(struct test_mount *h, unsigned number)
{
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                char name[32];

                snprintf(name, sizeof(name), "wait%u", number);
                lookup_errno(h, name);
                _exit(0);
        }
        return pid;
}

/* Callers are killed while their requests wait for a reply or for an entry. The latter requests are
 * dropped, the former still need a reply, and other requests are served. */
static void test_killed(void **state)
{
        struct test_mount *h = *state;
        pid_t pids[MANY];
        unsigned n_dead = 0;

        stay_on_one_cpu();
        for (unsigned i = 0; i < MANY; i++)
                pids[i] = start_process(h, i);
        wait_for(&h->arrived);
        sem_post(&h->arrived);
        for (unsigned i = 0; i < MANY; i++)
                assert_int_equal(kill(pids[i], SIGKILL), 0);
        while (n_dead < MANY) {
                struct fuse_req r;

                if (sem_trywait(&h->arrived) == 0) {
                        take_first(h, &r);
                        fuse_reply_err(&r, -EIO);
                }
                for (unsigned i = 0; i < MANY; i++)
                        if (pids[i] != 0 && waitpid(pids[i], NULL, WNOHANG) == pids[i]) {
                                pids[i] = 0;
                                n_dead++;
                        }
                sched_yield();
        }
        for (unsigned i = 0; i < 100; i++)
                assert_int_equal(lookup_errno(h, "missing"), ENOENT);
}

/* Reply data that cannot be read fails this request only. */
static void test_unreadable(void **state)
{
        struct test_mount *h = *state;
        char value[16];

        fuse_mapped_init(); /* again: cmocka has replaced the handler */
        for (int i = 0; i < 10; i++) {
                assert_int_equal(getxattr(h->dir, "user.whole", value, sizeof(value)), 4);
                assert_memory_equal(value, "data", 4);
                assert_int_equal(getxattr(h->dir, "user.unreadable", value, sizeof(value)), -1);
                assert_int_equal(errno, EIO);
        }
}

/* The server stops while requests wait: it ends once they have their replies. */
static void test_stop(void **state)
{
        struct test_mount *h = *state;
        struct caller callers[WAITERS];

        start_callers(h, callers);
        fuse_stop(h->server);
        for (unsigned i = 0; i < WAITERS; i++)
                fuse_reply_err(&h->waiting[i], -EIO);
        pthread_join(h->thread, NULL);
        fuse_server_free(h->server);
        for (unsigned i = 0; i < WAITERS; i++) {
                pthread_join(callers[i].thread, NULL);
                assert_int_not_equal(callers[i].error, 0);
        }
        fuse_unmount(h->dir, true, NULL);
        test_mount_free(h);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_replies_later, setup, teardown),
                cmocka_unit_test_setup_teardown(test_more_than_entries, setup, teardown),
                cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
                cmocka_unit_test_setup(test_stop, setup),
        };
        int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

        if (fd < 0) {
                fprintf(stderr, "SKIPPED: FUSE cannot be used here: /dev/fuse: %s\n", strerror(errno));
                return 77;
        }
        close(fd);
        return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}

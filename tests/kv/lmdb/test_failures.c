/* SPDX-License-Identifier: MIT */
/* Failing writes and syncs below LMDB: the errors, the contents afterwards, and that the store works again.
 * This program's pwrite and fdatasync replace those of the C library. */
#undef _FILE_OFFSET_BITS /* LMDB calls them by their plain names */

#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum failing { NOTHING, HEADER, PAGES, SYNC };

static _Atomic int failing, failing_errno;

static bool fails(int fd, enum failing kind)
{
        if (atomic_load(&failing) != (int)kind)
                return false;
        if ((kind == HEADER) != ((fcntl(fd, F_GETFL) & O_DSYNC) != 0))
                return false;
        errno = atomic_load(&failing_errno);
        return true;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
        if (fails(fd, HEADER) || fails(fd, PAGES))
                return -1;
        return syscall(SYS_pwrite64, fd, data, len, offset);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
        if (fails(fd, PAGES))
                return -1;
        return syscall(SYS_writev, fd, iov, n);
}

int fdatasync(int fd)
{
        if (fails(fd, SYNC))
                return -1;
        return (int)syscall(SYS_fdatasync, fd);
}

static void fail_next(enum failing kind, int err)
{
        atomic_store(&failing_errno, err);
        atomic_store(&failing, (int)kind);
}

static void check_failure(struct kv_store *s, enum failing kind, int err)
{
        put(s, "before", "1");
        put(s, "key", "old");
        fail_next(kind, err);
        assert_int_equal(try_put(s, 0, slice_str("key"), slice_str("new")), -err);
        fail_next(NOTHING, 0);
        expect(s, "key", "old");
        expect(s, "before", "1");
        put(s, "key", "newer");
        expect(s, "key", "newer");
}

static void test_failing_writes(void **state)
{
        struct fixture *f = *state;
        struct kv_store *s = store_open(f, KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE);

        for (int i = 0; i < 3; i++) {
                check_failure(s, HEADER, EIO);
                check_failure(s, PAGES, EIO);
                check_failure(s, SYNC, EIO);
                check_failure(s, HEADER, ENOSPC);
                check_failure(s, PAGES, ENOSPC);
        }
        assert_int_equal(kv_close(s), 0);
        s = store_open(f, KV_OPEN_EXCLUSIVE);
        expect(s, "key", "newer");
        assert_int_equal(kv_close(s), 0);
}

/* A reader that is open when the header cannot be written keeps its snapshot; later transactions wait for
 * it. */
struct reader {
        struct kv_store *s;
        struct kv_txn *t;
        _Atomic bool ended;
};

static void *end_later(void *arg)
{
        struct reader *r = arg;

        usleep(100000);
        atomic_store(&r->ended, true);
        kv_end(r->t);
        return NULL;
}

static void test_drains_readers(void **state)
{
        struct kv_store *s = store_open(*state, KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE);
        struct reader r = { .s = s };
        struct slice value;
        pthread_t thread;

        put(s, "key", "old");
        assert_int_equal(kv_begin(s, KV_READ, &r.t), 0);
        fail_next(HEADER, EIO);
        assert_int_equal(try_put(s, 0, slice_str("key"), slice_str("new")), -EIO);
        fail_next(NOTHING, 0);
        assert_int_equal(kv_get(r.t, slice_str("key"), 0, &value), 0);
        assert_true(slice_eq(value, slice_str("old")));
        assert_int_equal(pthread_create(&thread, NULL, end_later, &r), 0);
        put(s, "key", "newer");
        assert_true(atomic_load(&r.ended));
        pthread_join(thread, NULL);
        expect(s, "key", "newer");
        assert_int_equal(kv_close(s), 0);
}

/* A store that cannot be opened again fails each time, and works when it can. */
static void test_stuck_reader(void **state)
{
        struct kv_store *s = store_open(*state, KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE);
        struct kv_txn *t, *u;

        put(s, "key", "old");
        assert_int_equal(kv_begin(s, KV_READ, &t), 0);
        fail_next(HEADER, EIO);
        assert_int_equal(try_put(s, 0, slice_str("key"), slice_str("new")), -EIO);
        fail_next(NOTHING, 0);
        assert_int_equal(kv_begin(s, KV_READ, &u), -EIO); /* after some seconds, because T stays open */
        kv_end(t);
        expect(s, "key", "old");
        put(s, "key", "newer");
        assert_int_equal(kv_close(s), 0);
}

/* Threads that read while commits fail see only what was committed. */
static void *read_on(void *arg)
{
        struct reader *r = arg;
        struct slice value;
        struct kv_txn *t;

        while (!atomic_load(&r->ended)) {
                assert_int_equal(kv_begin(r->s, KV_READ, &t), 0);
                assert_int_equal(kv_get(t, slice_str("key"), 0, &value), 0);
                assert_true(!slice_eq(value, slice_str("new")));
                kv_end(t);
        }
        return NULL;
}

static void test_threads(void **state)
{
        struct kv_store *s = store_open(*state, KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE);
        struct reader r = { .s = s };
        pthread_t threads[3];

        put(s, "key", "old");
        for (int i = 0; i < 3; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
        for (int i = 0; i < 30; i++) {
                fail_next(i % 2 ? HEADER : PAGES, EIO);
                assert_int_equal(try_put(s, 0, slice_str("key"), slice_str("new")), -EIO);
                fail_next(NOTHING, 0);
                put(s, "key", "old");
        }
        atomic_store(&r.ended, true);
        for (int i = 0; i < 3; i++)
                pthread_join(threads[i], NULL);
        assert_int_equal(kv_close(s), 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_failing_writes),
                TEST(test_drains_readers),
                TEST(test_stuck_reader),
                TEST(test_threads),
        };

        return cmocka_run_group_tests_name("lmdb failures", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Handles of a shared mount: close(2) of one that never wrote neither flushes nor reports errors of others.
 * The operations are called as the codec does, without a kernel. */
#include "base/clock.h"
#include "format/format.h"
#include "fuse/ops/handles.h"
#include "fuse/ops/ops.h"
#include "kv/testing/testing.h"
#include "maint/maint.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROOT 1u

/* A mount whose last reply is kept. */
struct mount {
        struct fuse_channel channel; /* first: fuse_channel.send gets its address */
        int error;
        uint64_t fh; /* of an OPEN */
        struct kv_store *store, *fault;
        struct fs *fs;
        struct fuse_fs_conn *conn;
        uint64_t ino;
};

static void keep_reply(struct fuse_channel *c, uint64_t unique, int error, const struct iovec *iov, int n)
{
        struct mount *m = (struct mount *)c;

        m->error = error;
        if (n == 1 && iov[0].iov_len == sizeof(struct fuse_open_out))
                m->fh = ((const struct fuse_open_out *)iov[0].iov_base)->fh;
}

static struct fuse_req request(struct mount *m, uint64_t fh, uint32_t file_flags)
{
        return (struct fuse_req){ .conn = &m->conn->conn,
                                  .channel = &m->channel,
                                  .unique = 2,
                                  .fh = fh,
                                  .file_flags = file_flags };
}

static int setup(void **state)
{
        static const struct kv_open_opts open_opts = { .flags = KV_OPEN_CREATE };
        static const struct fs_writeback_opts lazy = { .age_ms = 1000000 };
        static const struct fs_cred cred;
        const struct fuse_opts fuse_opts = { .shared = true };
        struct mount *m = calloc(1, sizeof(*m));
        struct fs_attr attr;
        struct err_text text;

        assert_non_null(m);
        m->channel.send = keep_reply;
        assert_int_equal(kv_testing_open("mem:", &open_opts, &m->store, &text), 0);
        assert_int_equal(maint_mkfs(m->store, &(struct maint_mkfs_opts){ .force = true }, &clock_system,
                                    &text),
                         0);
        assert_int_equal(kv_fault_open(m->store, &(struct kv_fault_opts){ .keep_below = true }, &m->fault),
                         0);
        assert_int_equal(fs_open(m->fault, &(struct fs_open_opts){ .writeback = &lazy }, &m->fs, &text), 0);
        assert_int_equal(fs_mknod(m->fs, &cred, ROOT, slice_str("file"), S_IFREG | 0666, 0, &attr), 0);
        m->ino = attr.ino;
        assert_int_equal(fuse_fs_conn_new(m->fs, &fuse_opts, &m->conn, &text), 0);
        *state = m;
        return 0;
}

static int teardown(void **state)
{
        struct mount *m = *state;

        fuse_fs_conn_free(m->conn);
        fs_close(m->fs);
        assert_int_equal(kv_close(m->fault), 0);
        assert_int_equal(kv_close(m->store), 0);
        free(m);
        return 0;
}

/* ---- system calls, as the kernel passes them on ----------------------------------------------------- */

static uint64_t open_file(struct mount *m, uint32_t flags)
{
        struct fuse_req r = request(m, 0, flags);

        fuse_op_open(&r, m->ino, false);
        assert_int_equal(m->error, 0);
        return m->fh;
}

static void write_file(struct mount *m, uint64_t fh, bool cached)
{
        struct fuse_req r = request(m, fh, O_WRONLY);

        fuse_op_write_shared(&r, m->ino, 0, slice_str("data"), cached, false);
        assert_int_equal(m->error, 0);
}

/* The error of FLUSH, positive. */
static int flush_file(struct mount *m, uint64_t fh)
{
        struct fuse_req r = request(m, fh, 0);

        fuse_op_flush(&r, m->ino);
        return m->error;
}

static void release_file(struct mount *m, uint64_t fh)
{
        struct fuse_req r = request(m, fh, 0);

        fuse_op_release(&r, m->ino, false);
        assert_int_equal(m->error, 0);
}

static void assert_dirty(struct mount *m, bool dirty)
{
        const struct kv_fault_opts away = { .io_error_ppm = 1000000 }, none = { 0 };

        /* Flushes of dirty data fail; without dirty data nothing is committed. */
        kv_fault_set(m->fault, &away);
        assert_int_equal(fs_flush(m->fs, m->ino), dirty ? -EIO : 0);
        kv_fault_set(m->fault, &none);
}

/* ---- tests ------------------------------------------------------------------------------------------ */

static void test_only_writer_flushes(void **state)
{
        struct mount *m = *state;
        uint64_t reader = open_file(m, O_RDONLY), idle = open_file(m, O_RDWR),
                 writer = open_file(m, O_WRONLY);

        write_file(m, writer, false);
        assert_int_equal(flush_file(m, reader), 0);
        assert_int_equal(flush_file(m, idle), 0);
        assert_dirty(m, true);
        assert_int_equal(flush_file(m, writer), 0);
        assert_dirty(m, false);
        release_file(m, reader);
        release_file(m, idle);
        release_file(m, writer);
}

/* The error that passes is the writer's alone. */
static void test_only_writer_fails(void **state)
{
        const struct kv_fault_opts no_space = { .no_space_ppm = 1000000 }, none = { 0 };
        struct mount *m = *state;
        uint64_t reader = open_file(m, O_RDONLY), idle = open_file(m, O_RDWR),
                 writer = open_file(m, O_WRONLY);

        write_file(m, writer, false);
        kv_fault_set(m->fault, &no_space);
        assert_int_equal(flush_file(m, writer), ENOSPC);
        assert_int_equal(flush_file(m, reader), 0);
        assert_int_equal(flush_file(m, idle), 0);
        assert_int_equal(flush_file(m, writer), ENOSPC);
        kv_fault_set(m->fault, &none);
        assert_int_equal(flush_file(m, writer), 0);
}

static int clear_body(struct kv_txn *t, void *arg)
{
        struct fmt_key k;

        fmt_key_inode(&k, *(uint64_t *)arg);
        return kv_clear(t, fmt_slice(&k));
}

/* A loss is reported once: to the writer, although others close before it. */
static void test_writer_gets_loss(void **state)
{
        struct mount *m = *state;
        uint64_t reader = open_file(m, O_RDONLY), idle = open_file(m, O_RDWR),
                 writer = open_file(m, O_WRONLY);

        write_file(m, writer, false);
        assert_int_equal(kv_run(m->store, KV_WRITE, clear_body, &m->ino), 0);
        assert_int_equal(fs_sync(m->fs), 0); /* loses the data and reports nothing of an inode that is gone */
        assert_int_equal(flush_file(m, reader), 0);
        assert_int_equal(flush_file(m, idle), 0);
        assert_int_equal(flush_file(m, writer), ESTALE);
        assert_int_equal(flush_file(m, writer), 0);
}

/* Pages that were changed through a mapping come with any handle: each that could have mapped them flushes.
 */
static void test_mapped(void **state)
{
        struct mount *m = *state;
        uint64_t mapped = open_file(m, O_RDWR), other = open_file(m, O_RDWR), reader = open_file(m, O_RDONLY);

        write_file(m, other, true);
        assert_int_equal(flush_file(m, reader), 0);
        assert_dirty(m, true);
        assert_int_equal(flush_file(m, mapped), 0);
        assert_dirty(m, false);
}

/* A handle that the mount does not know, or has no memory for, flushes. */
static void test_unknown(void **state)
{
        struct mount *m = *state;
        uint64_t writer = open_file(m, O_WRONLY);

        write_file(m, writer, false);
        release_file(m, writer);
        release_file(m, writer);
        assert_int_equal(flush_file(m, UINT64_MAX), 0);
        assert_dirty(m, false);
        write_file(m, HANDLE_UNKNOWN << 1, false);
        assert_int_equal(flush_file(m, HANDLE_UNKNOWN << 1), 0);
        assert_dirty(m, false);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_only_writer_flushes, setup, teardown),
                cmocka_unit_test_setup_teardown(test_only_writer_fails, setup, teardown),
                cmocka_unit_test_setup_teardown(test_writer_gets_loss, setup, teardown),
                cmocka_unit_test_setup_teardown(test_mapped, setup, teardown),
                cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

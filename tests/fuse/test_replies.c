/* SPDX-License-Identifier: MIT */
/* The bytes of replies and notifications that no mount uses yet: LSEEK, GETLK, and dropping pages and
 * names. */
#include "fuse/proto/notify.h"
#include "fuse/proto/request.h"
#include "fuse/transport/kernel_abi.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct channel {
        struct fuse_channel base;
        unsigned n;
        int error;
        size_t len;
        uint8_t data[256] __attribute__((aligned(8)));
};

static void send_reply(struct fuse_channel *c, uint64_t unique, int error, const struct iovec *iov, int n)
{
        struct channel *channel = (struct channel *)c;

        assert_int_equal(unique, 42);
        channel->n++;
        channel->error = error;
        for (int i = 0; i < n; i++) {
                memcpy(channel->data + channel->len, iov[i].iov_base, iov[i].iov_len);
                channel->len += iov[i].iov_len;
        }
}

static void test_offset(void **state)
{
        struct fuse_conn conn = { .fuse_fd = -1 };
        struct channel c = { .base.send = send_reply };
        const struct fuse_req r = { .conn = &conn, .channel = &c.base, .unique = 42 };
        const struct fuse_lseek_out *out = (const void *)c.data;

        fuse_reply_offset(&r, UINT64_C(1) << 40);
        assert_int_equal(c.n, 1);
        assert_int_equal(c.error, 0);
        assert_int_equal(c.len, sizeof(*out));
        assert_int_equal(out->offset, UINT64_C(1) << 40);
}

static void test_lock(void **state)
{
        struct fuse_conn conn = { .fuse_fd = -1 };
        struct channel c = { .base.send = send_reply };
        const struct fuse_req r = { .conn = &conn, .channel = &c.base, .unique = 42 };
        const struct fuse_lock lock = { .owner = 7, .start = 10, .end = 19, .type = F_WRLCK, .pid = 99 };
        const struct fuse_lk_out *out = (const void *)c.data;

        fuse_reply_lock(&r, &lock);
        assert_int_equal(c.n, 1);
        assert_int_equal(c.len, sizeof(*out));
        assert_int_equal(out->lk.start, 10);
        assert_int_equal(out->lk.end, 19);
        assert_int_equal(out->lk.type, F_WRLCK);
        assert_int_equal(out->lk.pid, 99);
}

/* A notification as the kernel would read it. */
struct notification {
        struct fuse_out_header header;
        uint8_t body[64];
};

static struct notification read_notification(int fd, int code)
{
        struct notification n = { .header.len = 0 };
        ssize_t len = read(fd, &n, sizeof(n));

        assert_true(len >= (ssize_t)sizeof(n.header));
        assert_int_equal(n.header.len, len);
        assert_int_equal(n.header.unique, 0);
        assert_int_equal(n.header.error, code);
        return n;
}

static void test_notifications(void **state)
{
        struct fuse_notify_inval_inode_out inode;
        struct fuse_notify_inval_entry_out entry;
        struct fuse_conn conn = { .fuse_fd = -1 };
        struct notification n;
        int fds[2];

        assert_int_equal(pipe(fds), 0);
        conn.fuse_fd = fds[1];
        assert_int_equal(fuse_notify_attr(&conn, 5), 0);
        n = read_notification(fds[0], FUSE_NOTIFY_INVAL_INODE);
        memcpy(&inode, n.body, sizeof(inode));
        assert_int_equal(inode.ino, 5);
        assert_true(inode.off < 0);

        assert_int_equal(fuse_notify_pages(&conn, 5, 4096, 8192), 0);
        n = read_notification(fds[0], FUSE_NOTIFY_INVAL_INODE);
        memcpy(&inode, n.body, sizeof(inode));
        assert_int_equal(n.header.len, sizeof(n.header) + sizeof(inode));
        assert_int_equal(inode.ino, 5);
        assert_int_equal(inode.off, 4096);
        assert_int_equal(inode.len, 8192);

        assert_int_equal(fuse_notify_entry(&conn, 7, slice_str("name")), 0);
        n = read_notification(fds[0], FUSE_NOTIFY_INVAL_ENTRY);
        memcpy(&entry, n.body, sizeof(entry));
        assert_int_equal(n.header.len, sizeof(n.header) + sizeof(entry) + sizeof("name"));
        assert_int_equal(entry.parent, 7);
        assert_int_equal(entry.namelen, 4);
        assert_string_equal((const char *)n.body + sizeof(entry), "name");
        close(fds[0]);
        close(fds[1]);
        assert_int_equal(fuse_notify_attr(&conn, 5), -EBADF);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_offset),
                cmocka_unit_test(test_lock),
                cmocka_unit_test(test_notifications),
        };

        return cmocka_run_group_tests_name("replies", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "fuse/proto/notify.h"

#include "fuse/transport/kernel_abi.h"

#include <errno.h>
#include <sys/uio.h>

/* A notification has the form of a reply with request number 0, and its code in place of the error. */
static int notify(const struct fuse_conn *conn, enum fuse_notify_code code, struct iovec *iov, int n)
{
        struct fuse_out_header header = { .len = sizeof(header), .error = (int32_t)code };

        iov[0] = (struct iovec){ .iov_base = &header, .iov_len = sizeof(header) };
        for (int i = 1; i < n; i++)
                header.len += (uint32_t)iov[i].iov_len;
        return writev(conn->fuse_fd, iov, n) < 0 ? -errno : 0;
}

static int notify_inode(const struct fuse_conn *conn, uint64_t ino, int64_t offset, int64_t len)
{
        struct fuse_notify_inval_inode_out out = { .ino = ino, .off = offset, .len = len };
        struct iovec iov[2] = { [1] = { .iov_base = &out, .iov_len = sizeof(out) } };

        return notify(conn, FUSE_NOTIFY_INVAL_INODE, iov, 2);
}

int fuse_notify_attr(const struct fuse_conn *conn, uint64_t ino)
{
        return notify_inode(conn, ino, -1, 0);
}

int fuse_notify_pages(const struct fuse_conn *conn, uint64_t ino, uint64_t offset, uint64_t len)
{
        return notify_inode(conn, ino, (int64_t)offset, (int64_t)len);
}

int fuse_notify_listing(const struct fuse_conn *conn, uint64_t dir)
{
        return notify_inode(conn, dir, 0, 0);
}

int fuse_notify_entry(const struct fuse_conn *conn, uint64_t dir, struct slice name)
{
        struct fuse_notify_inval_entry_out out = { .parent = dir, .namelen = (uint32_t)name.len };
        char zero = '\0';
        struct iovec iov[4] = {
                [1] = { .iov_base = &out, .iov_len = sizeof(out) },
                [2] = { .iov_base = (void *)name.data, .iov_len = name.len },
                [3] = { .iov_base = &zero, .iov_len = 1 },
        };

        return notify(conn, FUSE_NOTIFY_INVAL_ENTRY, iov, 4);
}

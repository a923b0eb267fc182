/* SPDX-License-Identifier: MIT */
/* Operations on the contents of files. */
#include "fuse/ops/ops.h"
#include "fuse/proto/notify.h"

/* One copy, from the store's memory into the kernel's pages. */
static int reply_read(const struct iovec *iov, int n, size_t len, void *arg)
{
        fuse_reply_iov(arg, iov, n);
        return 0;
}

void fuse_op_read(const struct fuse_req *r, uint64_t ino, uint64_t offset, size_t len)
{
        struct fuse_req copy = *r;
        int result = fs_read(r->conn->fs, ino, offset, len, reply_read, &copy);

        if (result < 0)
                fuse_reply_err(r, result);
}

void fuse_op_write(const struct fuse_req *r, uint64_t ino, uint64_t offset, struct slice data, bool cached,
                   bool kill_priv)
{
        unsigned flags = 0;
        ssize_t n;

        if (kill_priv)
                flags |= FS_WRITE_KILL_PRIV;
        /* With the writeback cache the kernel sends the times of its own after the data. */
        if (cached && r->conn->opts.writeback_cache)
                flags |= FS_WRITE_KEEP_TIMES;
        n = fs_write(r->conn->fs, ino, offset, data, flags);
        if (n < 0)
                fuse_reply_err(r, (int)n);
        else
                fuse_reply_written(r, (size_t)n);
}

/* Set-user-id and its like end with a change by another than root. For fallocate the kernel leaves that to us
 * without a word, and goes by the mode that it knows until told that it changed. */
static int kill_priv(const struct fuse_req *r, uint64_t ino)
{
        struct fs_setattr set = { .set = FS_SET_KILL_PRIV };
        struct fs_attr attr;
        int result = fs_setattr(r->conn->fs, ino, &set, &attr);

        if (result >= 0)
                fuse_notify_attr(r->conn, ino);
        return result;
}

void fuse_op_fallocate(const struct fuse_req *r, uint64_t ino, int mode, uint64_t offset, uint64_t len)
{
        int result = r->cred.uid == 0 ? 0 : kill_priv(r, ino);

        if (result >= 0)
                result = fs_fallocate(r->conn->fs, ino, mode, offset, len);
        fuse_reply_result(r, result);
}

void fuse_op_sync(const struct fuse_req *r, uint64_t ino)
{
        fuse_reply_result(r, ino != 0 ? fs_fsync(r->conn->fs, ino) : fs_sync(r->conn->fs));
}

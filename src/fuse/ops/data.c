/* SPDX-License-Identifier: MIT */
/* Operations on the contents of files. */
#include "fuse/ops/ops.h"
#include "fuse/proto/notify.h"

#include <fcntl.h>

/* The only copy is the one from the store's memory to the kernel. */
static int reply_read(const struct iovec *iov, int n, size_t len, void *arg)
{
        fuse_reply_iov(arg, iov, n);
        return 0;
}

void fuse_op_read(const struct fuse_req *r, uint64_t ino, uint64_t offset, size_t len)
{
        struct fuse_req copy = *r;
        int result = fs_read(fuse_fs_of(r), ino, offset, len, r->file_flags & O_NOATIME ? FS_READ_NOATIME : 0,
                             reply_read, &copy);

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
        /* With the writeback cache the kernel owns the times and sends them by SETATTR. */
        if (cached && r->conn->opts.writeback_cache)
                flags |= FS_WRITE_KEEP_TIMES;
        n = fs_write(fuse_fs_of(r), ino, offset, data, flags);
        if (n < 0)
                fuse_reply_err(r, (int)n);
        else
                fuse_reply_written(r, (size_t)n);
}

/* A change by another user than root clears the set-user-id and set-group-id bits. For fallocate and
 * copy_file_range the kernel leaves that to the server without a flag, and keeps the old mode cached until it
 * is notified. */
static int kill_priv(const struct fuse_req *r, uint64_t ino)
{
        struct fs_setattr set = { .set = FS_SET_KILL_PRIV };
        struct fs_attr attr;
        int result = fs_setattr(fuse_fs_of(r), ino, &set, &attr);

        if (result < 0)
                return result;
        fuse_notify_attr(r->conn, ino);
        return 0;
}

void fuse_op_fallocate(const struct fuse_req *r, uint64_t ino, int mode, uint64_t offset, uint64_t len)
{
        int result = r->cred.uid == 0 ? 0 : kill_priv(r, ino);

        if (result >= 0)
                result = fs_fallocate(fuse_fs_of(r), ino, mode, offset, len);
        fuse_reply_result(r, result);
}

/* The kernel has written back its pages of both files, and drops those of the destination after the reply. It
 * does not know that reading may change the access time of the source. */
void fuse_op_copy(const struct fuse_req *r, const struct fuse_copy *copy)
{
        int64_t n = r->cred.uid == 0 ? 0 : kill_priv(r, copy->to_ino);

        if (n >= 0)
                n = fs_copy(fuse_fs_of(r), copy->from_ino, copy->from, copy->to_ino, copy->to, copy->len);
        if (n < 0) {
                fuse_reply_err(r, (int)n);
                return;
        }
        fuse_notify_attr(r->conn, copy->from_ino);
        fuse_reply_copied(r, copy, (uint64_t)n);
}

void fuse_op_sync(const struct fuse_req *r, uint64_t ino)
{
        fuse_reply_result(r, ino != 0 ? fs_fsync(fuse_fs_of(r), ino) : fs_sync(fuse_fs_of(r)));
}

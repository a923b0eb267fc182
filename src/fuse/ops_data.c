/* Operations on the contents of files. */
#include "fuse/notify.h"
#include "fuse/ops.h"

/* One copy, from the store's memory into the kernel's pages. */
static int reply_read(const struct iovec *iov, int n, size_t len, void *arg)
{
        af_reply_iov(arg, iov, n);
        return 0;
}

void af_op_read(const struct af_req *r, uint64_t ino, uint64_t offset, size_t len)
{
        struct af_req copy = *r;
        int result = fs_read(r->core->fs, ino, offset, len, reply_read, &copy);

        if (result < 0)
                af_reply_err(r, result);
}

void af_op_write(const struct af_req *r, uint64_t ino, uint64_t offset, struct slice data, bool cached,
                 bool kill_priv)
{
        unsigned flags = 0;
        ssize_t n;

        if (kill_priv)
                flags |= FS_WRITE_KILL_PRIV;
        /* With the writeback cache the kernel sends the times of its own after the data. */
        if (cached && r->core->opts.writeback_cache)
                flags |= FS_WRITE_KEEP_TIMES;
        n = fs_write(r->core->fs, ino, offset, data, flags);
        if (n < 0)
                af_reply_err(r, (int)n);
        else
                af_reply_written(r, (size_t)n);
}

/* Set-user-id and its like end with a change by another than root. For fallocate the kernel leaves that to us
 * without a word, and goes by the mode that it knows until told that it changed. */
static int kill_priv(const struct af_req *r, uint64_t ino)
{
        struct fs_setattr set = { .set = FS_SET_KILL_PRIV };
        struct fs_attr attr;
        int result = fs_setattr(r->core->fs, ino, &set, &attr);

        if (result >= 0)
                af_notify_attr(r->core, ino);
        return result;
}

void af_op_fallocate(const struct af_req *r, uint64_t ino, int mode, uint64_t offset, uint64_t len)
{
        int result = r->cred.uid == 0 ? 0 : kill_priv(r, ino);

        if (result >= 0)
                result = fs_fallocate(r->core->fs, ino, mode, offset, len);
        af_reply_result(r, result);
}

void af_op_sync(const struct af_req *r, uint64_t ino)
{
        af_reply_result(r, ino != 0 ? fs_fsync(r->core->fs, ino) : fs_sync(r->core->fs));
}

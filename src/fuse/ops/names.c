/* SPDX-License-Identifier: MIT */
/* Operations on names. A reply with an entry passes a reference to the kernel, which FORGET returns. */
#include "format/format.h"
#include "fuse/ops/ops.h"
#include "fuse/proto/notify.h"

static void reply_new_entry(const struct fuse_req *r, int result, const struct fs_attr *attr)
{
        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_entry(r, attr);
}

void fuse_op_lookup(const struct fuse_req *r, uint64_t dir, struct slice name)
{
        struct fs_attr attr;
        int result = fs_lookup(fuse_fs_of(r), dir, name, &attr);

        if (result == -ENOENT)
                fuse_reply_no_entry(r);
        else
                reply_new_entry(r, result, &attr);
}

void fuse_op_forget(struct fuse_conn *conn, uint64_t ino, uint64_t n)
{
        fs_forget(((struct fuse_fs_conn *)conn)->fs, ino, n);
}

void fuse_op_mknod(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode, uint64_t rdev)
{
        struct fs_attr attr;
        int result = fs_mknod(fuse_fs_of(r), &r->cred, dir, name, mode, rdev, &attr);

        reply_new_entry(r, result, &attr);
}

void fuse_op_create(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode)
{
        struct fs_attr attr;
        int result = fs_mknod(fuse_fs_of(r), &r->cred, dir, name, S_IFREG | (mode & 07777), 0, &attr);

        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_created(r, &attr, 0);
}

void fuse_op_tmpfile(const struct fuse_req *r, uint64_t dir, uint32_t mode)
{
        struct fs_attr attr;
        int result = fs_tmpfile(fuse_fs_of(r), &r->cred, dir, mode, &attr);

        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_created(r, &attr, 0);
}

void fuse_op_mkdir(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode)
{
        struct fs_attr attr;
        int result = fs_mkdir(fuse_fs_of(r), &r->cred, dir, name, mode & 07777, &attr);

        reply_new_entry(r, result, &attr);
}

void fuse_op_symlink(const struct fuse_req *r, uint64_t dir, struct slice name, struct slice target)
{
        struct fs_attr attr;
        int result = fs_symlink(fuse_fs_of(r), &r->cred, dir, name, target, &attr);

        reply_new_entry(r, result, &attr);
}

void fuse_op_link(const struct fuse_req *r, uint64_t ino, uint64_t dir, struct slice name)
{
        struct fs_attr attr;
        int result = fs_link(fuse_fs_of(r), ino, dir, name, &attr);

        reply_new_entry(r, result, &attr);
}

void fuse_op_unlink(const struct fuse_req *r, uint64_t dir, struct slice name)
{
        fuse_reply_result(r, fs_unlink(fuse_fs_of(r), dir, name));
}

void fuse_op_rmdir(const struct fuse_req *r, uint64_t dir, struct slice name)
{
        fuse_reply_result(r, fs_rmdir(fuse_fs_of(r), dir, name));
}

void fuse_op_rename(const struct fuse_req *r, uint64_t dir, struct slice name, uint64_t new_dir,
                    struct slice new_name, unsigned flags)
{
        struct fs_moved moved = { .count = 0 };
        int result = fs_rename(fuse_fs_of(r), dir, name, new_dir, new_name, flags, &moved);

        /* A cached listing of a moved directory has the former number of its "..". */
        for (unsigned i = 0; i < moved.count; i++)
                (void)fuse_notify_listing(r->conn, moved.dirs[i]);
        fuse_reply_result(r, result);
}

void fuse_op_readlink(const struct fuse_req *r, uint64_t ino)
{
        char target[FMT_SYMLINK_MAX + 1];
        int len = fs_readlink(fuse_fs_of(r), ino, target);

        if (len < 0)
                fuse_reply_err(r, len);
        else
                fuse_reply_data(r, target, (size_t)len);
}

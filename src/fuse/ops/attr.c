/* SPDX-License-Identifier: MIT */
/* Operations on attributes and extended attributes. */
#include "base/cleanup.h"
#include "fuse/ops/ops.h"

#include <linux/limits.h>

void fuse_op_getattr(const struct fuse_req *r, uint64_t ino)
{
        struct fs_attr attr;
        int result = fs_getattr(fuse_fs_of(r), ino, &attr);

        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_attr(r, &attr);
}

void fuse_op_statx(const struct fuse_req *r, uint64_t ino)
{
        struct fs_attr attr;
        int result = fs_getattr(fuse_fs_of(r), ino, &attr);

        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_statx(r, &attr);
}

/* The options uid= and gid= hide the stored owner, so it cannot be changed. */
static bool owner_is_forced(const struct fuse_opts *o, const struct fs_setattr *set)
{
        return ((set->set & FS_SET_UID) && o->force_uid && set->uid != o->uid) ||
               ((set->set & FS_SET_GID) && o->force_gid && set->gid != o->gid);
}

void fuse_op_setattr(const struct fuse_req *r, uint64_t ino, const struct fs_setattr *set)
{
        struct fs_setattr s = *set;
        struct fs_attr attr;
        int result;

        if (owner_is_forced(&r->conn->opts, set)) {
                fuse_reply_err(r, -EPERM);
                return;
        }
        if (r->conn->opts.force_uid)
                s.set &= ~(unsigned)FS_SET_UID;
        if (r->conn->opts.force_gid)
                s.set &= ~(unsigned)FS_SET_GID;
        result = fs_setattr(fuse_fs_of(r), ino, &s, &attr);
        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_attr(r, &attr);
}

void fuse_op_statfs(const struct fuse_req *r)
{
        struct fs_statfs st;
        int result = fs_statfs(fuse_fs_of(r), &st);

        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_statfs(r, &st);
}

/* The kernel relies on what names such as system.posix_acl_access mean. They are not implemented, so they
 * cannot be stored. */
static bool is_reserved(struct slice name)
{
        return slice_starts_with(name, slice_str("system."));
}

void fuse_op_setxattr(const struct fuse_req *r, uint64_t ino, struct slice name, struct slice value,
                      int flags)
{
        if (is_reserved(name))
                fuse_reply_err(r, -EOPNOTSUPP);
        else
                fuse_reply_result(r, fs_setxattr(fuse_fs_of(r), ino, name, value, flags));
}

static void reply_xattr(const struct fuse_req *r, int len, const char *buf, size_t cap)
{
        if (len < 0)
                fuse_reply_err(r, len);
        else if (cap == 0)
                fuse_reply_xattr_size(r, (size_t)len);
        else
                fuse_reply_data(r, buf, (size_t)len);
}

void fuse_op_getxattr(const struct fuse_req *r, uint64_t ino, struct slice name, size_t cap)
{
        _cleanup_free_ char *buf = NULL;

        if (is_reserved(name)) {
                fuse_reply_err(r, -EOPNOTSUPP);
                return;
        }
        cap = cap < XATTR_SIZE_MAX ? cap : XATTR_SIZE_MAX;
        buf = malloc(cap > 0 ? cap : 1);
        if (!buf)
                fuse_reply_err(r, -ENOMEM);
        else
                reply_xattr(r, fs_getxattr(fuse_fs_of(r), ino, name, buf, cap), buf, cap);
}

void fuse_op_listxattr(const struct fuse_req *r, uint64_t ino, size_t cap)
{
        _cleanup_free_ char *buf = NULL;

        cap = cap < XATTR_LIST_MAX ? cap : XATTR_LIST_MAX;
        buf = malloc(cap > 0 ? cap : 1);
        if (!buf)
                fuse_reply_err(r, -ENOMEM);
        else
                reply_xattr(r, fs_listxattr(fuse_fs_of(r), ino, buf, cap), buf, cap);
}

void fuse_op_removexattr(const struct fuse_req *r, uint64_t ino, struct slice name)
{
        if (is_reserved(name))
                fuse_reply_err(r, -EOPNOTSUPP);
        else
                fuse_reply_result(r, fs_removexattr(fuse_fs_of(r), ino, name));
}

/* Operations on attributes, extended ones included. */
#include "base/cleanup.h"
#include "fuse/ops.h"

#include <linux/limits.h>

void af_op_getattr(const struct af_req *r, uint64_t ino)
{
        struct fs_attr attr;
        int result = fs_getattr(r->core->fs, ino, &attr);

        if (result < 0)
                af_reply_err(r, result);
        else
                af_reply_attr(r, &attr);
}

void af_op_statx(const struct af_req *r, uint64_t ino)
{
        struct fs_attr attr;
        int result = fs_getattr(r->core->fs, ino, &attr);

        if (result < 0)
                af_reply_err(r, result);
        else
                af_reply_statx(r, &attr);
}

/* With an owner forced by an option the stored one cannot be changed: nobody would see it. */
static bool owner_is_forced(const struct af_opts *o, const struct fs_setattr *set)
{
        return ((set->set & FS_SET_UID) && o->force_uid && set->uid != o->uid) ||
               ((set->set & FS_SET_GID) && o->force_gid && set->gid != o->gid);
}

void af_op_setattr(const struct af_req *r, uint64_t ino, const struct fs_setattr *set)
{
        struct fs_setattr s = *set;
        struct fs_attr attr;
        int result;

        if (owner_is_forced(&r->core->opts, set)) {
                af_reply_err(r, -EPERM);
                return;
        }
        if (r->core->opts.force_uid)
                s.set &= ~(unsigned)FS_SET_UID;
        if (r->core->opts.force_gid)
                s.set &= ~(unsigned)FS_SET_GID;
        result = fs_setattr(r->core->fs, ino, &s, &attr);
        if (result < 0)
                af_reply_err(r, result);
        else
                af_reply_attr(r, &attr);
}

void af_op_statfs(const struct af_req *r)
{
        struct fs_statfs st;
        int result = fs_statfs(r->core->fs, &st);

        if (result < 0)
                af_reply_err(r, result);
        else
                af_reply_statfs(r, &st);
}

/* Names that mean something to a kernel which then relies on it, as system.posix_acl_access does: storing
 * them without acting on them would only pretend. */
static bool is_reserved(struct slice name)
{
        return slice_starts_with(name, slice_str("system."));
}

void af_op_setxattr(const struct af_req *r, uint64_t ino, struct slice name, struct slice value, int flags)
{
        if (is_reserved(name))
                af_reply_err(r, -EOPNOTSUPP);
        else
                af_reply_result(r, fs_setxattr(r->core->fs, ino, name, value, flags));
}

static void reply_xattr(const struct af_req *r, int len, const char *buf, size_t cap)
{
        if (len < 0)
                af_reply_err(r, len);
        else if (cap == 0)
                af_reply_xattr_size(r, (size_t)len);
        else
                af_reply_data(r, buf, (size_t)len);
}

void af_op_getxattr(const struct af_req *r, uint64_t ino, struct slice name, size_t cap)
{
        _cleanup_free_ char *buf = NULL;

        if (is_reserved(name)) {
                af_reply_err(r, -EOPNOTSUPP);
                return;
        }
        cap = cap < XATTR_SIZE_MAX ? cap : XATTR_SIZE_MAX;
        buf = malloc(cap > 0 ? cap : 1);
        if (!buf)
                af_reply_err(r, -ENOMEM);
        else
                reply_xattr(r, fs_getxattr(r->core->fs, ino, name, buf, cap), buf, cap);
}

void af_op_listxattr(const struct af_req *r, uint64_t ino, size_t cap)
{
        _cleanup_free_ char *buf = NULL;

        cap = cap < XATTR_LIST_MAX ? cap : XATTR_LIST_MAX;
        buf = malloc(cap > 0 ? cap : 1);
        if (!buf)
                af_reply_err(r, -ENOMEM);
        else
                reply_xattr(r, fs_listxattr(r->core->fs, ino, buf, cap), buf, cap);
}

void af_op_removexattr(const struct af_req *r, uint64_t ino, struct slice name)
{
        if (is_reserved(name))
                af_reply_err(r, -EOPNOTSUPP);
        else
                af_reply_result(r, fs_removexattr(r->core->fs, ino, name));
}

/* SPDX-License-Identifier: MIT */
/* Operations on attributes; those on extended ones are in xattr.c. */
#include "fuse/ops/ops.h"

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
        /* The kernel's request for chown(-1, -1), which removes privileges like any other chown. */
        if (s.set == 0)
                s.set = FS_SET_CHOWN;
        /* The kernel asks for it with each chown, but root keeps set-group-ID without execution for the
         * group. */
        if ((s.set & (FS_SET_UID | FS_SET_GID | FS_SET_CHOWN)))
                s.set = r->cred.uid != 0 ? s.set | FS_SET_KILL_PRIV : s.set & ~(unsigned)FS_SET_KILL_PRIV;
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

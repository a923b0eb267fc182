/* SPDX-License-Identifier: MIT */
/* Requests on attributes, extended attributes and STATFS. */
#include "fuse/proto/decode.h"

bool fuse_decode_getattr(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_getattr_in *arg = fuse_take(in, sizeof(*arg));

        if (!arg)
                return false;
        if (arg->getattr_flags & FUSE_GETATTR_FH)
                r->fh = arg->fh;
        ops->getattr(r, node);
        return true;
}

bool fuse_decode_statx(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct abi_statx_in *arg = fuse_take(in, sizeof(*arg));

        if (!arg)
                return false;
        if (arg->getattr_flags & FUSE_GETATTR_FH)
                r->fh = arg->fh;
        ops->statx(r, node);
        return true;
}

static unsigned set_flags(uint32_t valid)
{
        static const struct {
                uint32_t kernel;
                unsigned fs;
        } map[] = {
                { FATTR_MODE, FS_SET_MODE },   { FATTR_UID, FS_SET_UID },
                { FATTR_GID, FS_SET_GID },     { FATTR_SIZE, FS_SET_SIZE },
                { FATTR_CTIME, FS_SET_CTIME }, { FATTR_KILL_SUIDGID, FS_SET_KILL_PRIV },
        };
        unsigned set = 0;

        for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
                if (valid & map[i].kernel)
                        set |= map[i].fs;
        /* With "now" the request contains a time too, which does not count. */
        if (valid & FATTR_ATIME_NOW)
                set |= FS_SET_ATIME_NOW;
        else if (valid & FATTR_ATIME)
                set |= FS_SET_ATIME;
        if (valid & FATTR_MTIME_NOW)
                set |= FS_SET_MTIME_NOW;
        else if (valid & FATTR_MTIME)
                set |= FS_SET_MTIME;
        return set;
}

static struct timespec time_of(uint64_t seconds, uint32_t nanoseconds)
{
        return (struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = nanoseconds };
}

bool fuse_decode_setattr(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_setattr_in *arg = fuse_take(in, sizeof(*arg));
        struct fs_setattr set;

        if (!arg)
                return false;
        if (arg->valid & FATTR_FH)
                r->fh = arg->fh;
        if (arg->valid & FATTR_LOCKOWNER)
                r->lock_owner = arg->lock_owner;
        set = (struct fs_setattr){
                .set = set_flags(arg->valid),
                .mode = arg->mode & 07777,
                .uid = arg->uid,
                .gid = arg->gid,
                .size = arg->size,
                .atime = time_of(arg->atime, arg->atimensec),
                .mtime = time_of(arg->mtime, arg->mtimensec),
                .ctime = time_of(arg->ctime, arg->ctimensec),
        };
        ops->setattr(r, node, &set);
        return true;
}

bool fuse_decode_statfs(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        ops->statfs(r);
        return true;
}

/* The short form of the request, which the kernel sends without the feature SETXATTR_EXT. */
bool fuse_decode_setxattr(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node,
                          struct fuse_input *in)
{
        const struct fuse_setxattr_in *arg = fuse_take(in, FUSE_COMPAT_SETXATTR_IN_SIZE);
        struct slice name;
        const void *value;

        if (!arg || !fuse_take_string(in, &name) || !(value = fuse_take(in, arg->size)))
                return false;
        ops->setxattr(r, node, name, slice_of(value, arg->size), (int)arg->flags);
        return true;
}

bool fuse_decode_getxattr(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node,
                          struct fuse_input *in)
{
        const struct fuse_getxattr_in *arg = fuse_take(in, sizeof(*arg));
        struct slice name;

        if (!arg || !fuse_take_string(in, &name))
                return false;
        ops->getxattr(r, node, name, arg->size);
        return true;
}

bool fuse_decode_listxattr(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node,
                           struct fuse_input *in)
{
        const struct fuse_getxattr_in *arg = fuse_take(in, sizeof(*arg));

        if (!arg)
                return false;
        ops->listxattr(r, node, arg->size);
        return true;
}

bool fuse_decode_removexattr(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node,
                             struct fuse_input *in)
{
        struct slice name;

        if (!fuse_take_string(in, &name))
                return false;
        ops->removexattr(r, node, name);
        return true;
}

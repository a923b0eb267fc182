/* SPDX-License-Identifier: MIT */
/* Requests on names: LOOKUP, the requests that make, move and remove entries, and READLINK. */
#include "fuse/proto/decode.h"

bool fuse_decode_lookup(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        struct slice name;

        if (!fuse_take_string(in, &name))
                return false;
        ops->lookup(r, node, name);
        return true;
}

bool fuse_decode_mknod(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_mknod_in *arg = fuse_take(in, sizeof(*arg));
        struct slice name;

        if (!arg || !fuse_take_string(in, &name))
                return false;
        ops->mknod(r, node, name, arg->mode, arg->rdev);
        return true;
}

bool fuse_decode_create(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_create_in *arg = fuse_take(in, sizeof(*arg));
        struct slice name;

        if (!arg || !fuse_take_string(in, &name))
                return false;
        r->file_flags = arg->flags;
        ops->create(r, node, name, arg->mode);
        return true;
}

/* The name in the request is one that the kernel made up. */
bool fuse_decode_tmpfile(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_create_in *arg = fuse_take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->file_flags = arg->flags;
        ops->tmpfile(r, node, arg->mode);
        return true;
}

bool fuse_decode_mkdir(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_mkdir_in *arg = fuse_take(in, sizeof(*arg));
        struct slice name;

        if (!arg || !fuse_take_string(in, &name))
                return false;
        ops->mkdir(r, node, name, arg->mode);
        return true;
}

bool fuse_decode_symlink(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        struct slice name, target;

        if (!fuse_take_string(in, &name) || !fuse_take_string(in, &target))
                return false;
        ops->symlink(r, node, name, target);
        return true;
}

bool fuse_decode_link(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_link_in *arg = fuse_take(in, sizeof(*arg));
        struct slice name;

        if (!arg || !fuse_take_string(in, &name))
                return false;
        ops->link(r, arg->oldnodeid, node, name);
        return true;
}

bool fuse_decode_unlink(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        struct slice name;

        if (!fuse_take_string(in, &name))
                return false;
        ops->unlink(r, node, name);
        return true;
}

bool fuse_decode_rmdir(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        struct slice name;

        if (!fuse_take_string(in, &name))
                return false;
        ops->rmdir(r, node, name);
        return true;
}

static bool rename_to(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in,
                      uint64_t new_dir, unsigned flags)
{
        struct slice name, new_name;

        if (!fuse_take_string(in, &name) || !fuse_take_string(in, &new_name))
                return false;
        ops->rename(r, node, name, new_dir, new_name, flags);
        return true;
}

bool fuse_decode_rename(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_rename_in *arg = fuse_take(in, sizeof(*arg));

        return arg && rename_to(ops, r, node, in, arg->newdir, 0);
}

bool fuse_decode_rename2(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_rename2_in *arg = fuse_take(in, sizeof(*arg));

        return arg && rename_to(ops, r, node, in, arg->newdir, arg->flags);
}

bool fuse_decode_readlink(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node,
                          struct fuse_input *in)
{
        ops->readlink(r, node);
        return true;
}

/* SPDX-License-Identifier: MIT */
/* Requests on file locks. */
#include "fuse/proto/decode.h"

static bool take_lock(struct fuse_input *in, struct fuse_req *r, struct fuse_lock *ret)
{
        const struct fuse_lk_in *arg = fuse_take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->fh = arg->fh;
        r->lock_owner = arg->owner;
        *ret = (struct fuse_lock){
                .owner = arg->owner,
                .start = arg->lk.start,
                .end = arg->lk.end,
                .type = arg->lk.type,
                .pid = arg->lk.pid,
                .flock = arg->lk_flags & FUSE_LK_FLOCK,
        };
        return true;
}

bool fuse_decode_getlk(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        struct fuse_lock lock;

        if (!take_lock(in, r, &lock))
                return false;
        ops->getlk(r, node, &lock);
        return true;
}

bool fuse_decode_setlk(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        struct fuse_lock lock;

        if (!take_lock(in, r, &lock))
                return false;
        ops->setlk(r, node, &lock, false);
        return true;
}

bool fuse_decode_setlkw(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        struct fuse_lock lock;

        if (!take_lock(in, r, &lock))
                return false;
        ops->setlk(r, node, &lock, true);
        return true;
}

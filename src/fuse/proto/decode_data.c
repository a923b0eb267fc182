/* SPDX-License-Identifier: MIT */
/* Requests on files, their data, and open directories. */
#include "fuse/proto/decode.h"

bool fuse_decode_open(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_open_in *arg = fuse_take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->file_flags = arg->flags;
        ops->open(r, node, arg->open_flags & FUSE_OPEN_KILL_SUIDGID);
        return true;
}

static const struct fuse_release_in *take_release(struct fuse_input *in, struct fuse_req *r)
{
        const struct fuse_release_in *arg = fuse_take(in, sizeof(*arg));

        if (!arg)
                return NULL;
        r->fh = arg->fh;
        r->file_flags = arg->flags;
        r->lock_owner = arg->lock_owner;
        return arg;
}

bool fuse_decode_release(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_release_in *arg = take_release(in, r);

        if (!arg)
                return false;
        ops->release(r, node, arg->release_flags & FUSE_RELEASE_FLOCK_UNLOCK);
        return true;
}

bool fuse_decode_flush(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_flush_in *arg = fuse_take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->fh = arg->fh;
        r->lock_owner = arg->lock_owner;
        ops->flush(r, node);
        return true;
}

static const struct fuse_read_in *take_read(struct fuse_input *in, struct fuse_req *r)
{
        const struct fuse_read_in *arg = fuse_take(in, sizeof(*arg));

        if (!arg)
                return NULL;
        r->fh = arg->fh;
        r->file_flags = arg->flags;
        r->lock_owner = arg->lock_owner;
        return arg;
}

bool fuse_decode_read(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_read_in *arg = take_read(in, r);

        if (!arg || arg->size > FUSE_IO_BYTES)
                return false;
        ops->read(r, node, arg->offset, arg->size);
        return true;
}

bool fuse_decode_write(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_write_in *arg = fuse_take(in, sizeof(*arg));
        const void *data = arg ? fuse_take(in, arg->size) : NULL;

        if (!data)
                return false;
        r->fh = arg->fh;
        r->file_flags = arg->flags;
        if (arg->write_flags & FUSE_WRITE_LOCKOWNER)
                r->lock_owner = arg->lock_owner;
        ops->write(r, node, arg->offset, slice_of(data, arg->size), arg->write_flags & FUSE_WRITE_CACHE,
                   arg->write_flags & FUSE_WRITE_KILL_SUIDGID);
        return true;
}

bool fuse_decode_fallocate(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node,
                           struct fuse_input *in)
{
        const struct fuse_fallocate_in *arg = fuse_take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->fh = arg->fh;
        ops->fallocate(r, node, (int)arg->mode, arg->offset, arg->length);
        return true;
}

bool fuse_decode_lseek(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_lseek_in *arg = fuse_take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->fh = arg->fh;
        ops->lseek(r, node, arg->offset, (int)arg->whence);
        return true;
}

static bool decode_copy(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in,
                        bool is_64)
{
        const struct fuse_copy_file_range_in *arg = fuse_take(in, sizeof(*arg));
        struct fuse_copy copy;

        if (!arg)
                return false;
        r->fh = arg->fh_out;
        copy = (struct fuse_copy){
                .from_ino = node,
                .from = arg->off_in,
                .to_ino = arg->nodeid_out,
                .to = arg->off_out,
                .len = is_64 || arg->len < UINT32_MAX ? arg->len : UINT32_MAX,
                .is_64 = is_64,
        };
        ops->copy(r, &copy);
        return true;
}

bool fuse_decode_copy(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        return decode_copy(ops, r, node, in, false);
}

bool fuse_decode_copy_64(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        return decode_copy(ops, r, node, in, true);
}

bool fuse_decode_fsync(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_fsync_in *arg = fuse_take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->fh = arg->fh;
        ops->sync(r, node);
        return true;
}

bool fuse_decode_syncfs(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        ops->sync(r, 0);
        return true;
}

bool fuse_decode_opendir(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_open_in *arg = fuse_take(in, sizeof(*arg));

        if (!arg)
                return false;
        r->file_flags = arg->flags;
        ops->opendir(r, node);
        return true;
}

bool fuse_decode_releasedir(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node,
                            struct fuse_input *in)
{
        if (!take_release(in, r))
                return false;
        ops->releasedir(r, node);
        return true;
}

bool fuse_decode_readdir(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node, struct fuse_input *in)
{
        const struct fuse_read_in *arg = take_read(in, r);

        if (!arg)
                return false;
        ops->readdir(r, node, arg->offset, arg->size, false);
        return true;
}

bool fuse_decode_readdirplus(const struct fuse_ops *ops, struct fuse_req *r, uint64_t node,
                             struct fuse_input *in)
{
        const struct fuse_read_in *arg = take_read(in, r);

        if (!arg)
                return false;
        ops->readdir(r, node, arg->offset, arg->size, true);
        return true;
}

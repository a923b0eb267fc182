/* SPDX-License-Identifier: MIT */
#include "fuse/ops/ops.h"

#include "fuse/proto/waits.h"

static void fuse_op_interrupt(struct fuse_conn *conn, uint64_t unique)
{
        if (conn->waiting)
                fuse_waits_interrupt(conn->waiting, unique);
}

/* What is left out in both tables is never sent: see policy.c. */
#define OPS_OF_BOTH                                                                                         \
        .lookup = fuse_op_lookup, .forget = fuse_op_forget, .mknod = fuse_op_mknod, .mkdir = fuse_op_mkdir, \
        .symlink = fuse_op_symlink, .link = fuse_op_link, .unlink = fuse_op_unlink, .rmdir = fuse_op_rmdir, \
        .rename = fuse_op_rename, .readlink = fuse_op_readlink, .getattr = fuse_op_getattr,                 \
        .statx = fuse_op_statx, .setattr = fuse_op_setattr, .statfs = fuse_op_statfs,                       \
        .setxattr = fuse_op_setxattr, .getxattr = fuse_op_getxattr, .listxattr = fuse_op_listxattr,         \
        .removexattr = fuse_op_removexattr, .read = fuse_op_read, .fallocate = fuse_op_fallocate,           \
        .sync = fuse_op_sync, .readdir = fuse_op_readdir, .interrupt = fuse_op_interrupt

const struct fuse_ops fuse_ops_exclusive = {
        OPS_OF_BOTH,
        .create = fuse_op_create,
        .tmpfile = fuse_op_tmpfile,
        .write = fuse_op_write,
};

const struct fuse_ops fuse_ops_shared = {
        OPS_OF_BOTH,
        .create = fuse_op_create_shared,
        .tmpfile = fuse_op_tmpfile_shared,
        .opendir = fuse_op_opendir,
        .open = fuse_op_open,
        .flush = fuse_op_flush,
        .release = fuse_op_release,
        .write = fuse_op_write_shared,
};

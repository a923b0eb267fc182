#include "fuse/ops.h"

#include "fuse/waiting.h"

static void af_op_interrupt(struct af_core *core, uint64_t unique)
{
        if (core->waiting)
                af_waiting_interrupt(core->waiting, unique);
}

/* What is left out in both tables is never sent: see policy.c. */
#define OPS_OF_BOTH                       \
        .lookup = af_op_lookup,           \
        .forget = af_op_forget,           \
        .mknod = af_op_mknod,             \
        .mkdir = af_op_mkdir,             \
        .symlink = af_op_symlink,         \
        .link = af_op_link,               \
        .unlink = af_op_unlink,           \
        .rmdir = af_op_rmdir,             \
        .rename = af_op_rename,           \
        .readlink = af_op_readlink,       \
        .getattr = af_op_getattr,         \
        .statx = af_op_statx,             \
        .setattr = af_op_setattr,         \
        .statfs = af_op_statfs,           \
        .setxattr = af_op_setxattr,       \
        .getxattr = af_op_getxattr,       \
        .listxattr = af_op_listxattr,     \
        .removexattr = af_op_removexattr, \
        .read = af_op_read,               \
        .fallocate = af_op_fallocate,     \
        .sync = af_op_sync,               \
        .readdir = af_op_readdir,         \
        .interrupt = af_op_interrupt

const struct af_ops af_ops_exclusive = {
        OPS_OF_BOTH,
        .create = af_op_create,
        .tmpfile = af_op_tmpfile,
        .write = af_op_write,
};

const struct af_ops af_ops_shared = {
        OPS_OF_BOTH,
        .create = af_op_create_shared,
        .tmpfile = af_op_tmpfile_shared,
        .opendir = af_op_opendir,
        .open = af_op_open,
        .flush = af_op_flush,
        .release = af_op_release,
        .write = af_op_write_shared,
};

/* SPDX-License-Identifier: MIT */
#include "fuse/ops/ops.h"

#include "fuse/ops/dirpos.h"
#include "fuse/ops/handles.h"
#include "fuse/proto/interrupts.h"

#include <assert.h>
#include <stdlib.h>

/* Memory for directory positions. */
#define POSITIONS_BYTES (4u << 20)

static void fuse_op_interrupt(struct fuse_conn *conn, uint64_t unique)
{
        if (conn->interrupts)
                fuse_interrupts_deliver(conn->interrupts, unique);
}

/* Operations missing in a table are never called: policy.c refuses their requests. */
#define COMMON_OPS                                                                                          \
        .lookup = fuse_op_lookup, .forget = fuse_op_forget, .mknod = fuse_op_mknod, .mkdir = fuse_op_mkdir, \
        .symlink = fuse_op_symlink, .link = fuse_op_link, .unlink = fuse_op_unlink, .rmdir = fuse_op_rmdir, \
        .rename = fuse_op_rename, .readlink = fuse_op_readlink, .getattr = fuse_op_getattr,                 \
        .statx = fuse_op_statx, .setattr = fuse_op_setattr, .statfs = fuse_op_statfs,                       \
        .setxattr = fuse_op_setxattr, .getxattr = fuse_op_getxattr, .listxattr = fuse_op_listxattr,         \
        .removexattr = fuse_op_removexattr, .read = fuse_op_read, .fallocate = fuse_op_fallocate,           \
        .lseek = fuse_op_lseek, .sync = fuse_op_sync, .readdir = fuse_op_readdir,                           \
        .interrupt = fuse_op_interrupt

static const struct fuse_ops exclusive_ops = {
        COMMON_OPS,           .create = fuse_op_create, .tmpfile = fuse_op_tmpfile, .write = fuse_op_write,
        .copy = fuse_op_copy,
};

static const struct fuse_ops shared_ops = {
        COMMON_OPS,
        .create = fuse_op_create_shared,
        .tmpfile = fuse_op_tmpfile_shared,
        .opendir = fuse_op_opendir,
        .open = fuse_op_open,
        .flush = fuse_op_flush,
        .release = fuse_op_release,
        .write = fuse_op_write_shared,
        .copy = fuse_op_copy_shared,
};

static int conn_init(struct fuse_fs_conn *c, struct fs *fs, const struct fuse_opts *opts,
                     struct err_text *text)
{
        struct fs_statfs st;
        int r = fs_statfs(fs, &st);

        if (r < 0)
                return err_set(text, -r, "cannot read the file system: %s", err_str(r));
        c->conn = (struct fuse_conn){
                .ops = opts->shared ? &shared_ops : &exclusive_ops,
                .policy = opts->shared ? fuse_policy_shared(opts, 0) : fuse_policy_exclusive(opts),
                .opts = *opts,
                .interrupts = opts->remote_store ? fuse_interrupts_new() : NULL,
        };
        c->fs = fs;
        if (opts->remote_store && !c->conn.interrupts)
                return err_set(text, ENOMEM, "out of memory");
        if (opts->shared && !(c->handles = handles_new()))
                return err_set(text, ENOMEM, "out of memory");
        if (fuse_seeker_new(opts, &c->seeker) < 0)
                return err_set(text, ENOMEM, "out of memory");
        if (dirpos_new(st.uuid, POSITIONS_BYTES, &c->positions) < 0)
                return err_set(text, ENOMEM, "out of memory");
        return 0;
}

int fuse_fs_conn_new(struct fs *fs, const struct fuse_opts *opts, struct fuse_fs_conn **ret,
                     struct err_text *text)
{
        struct fuse_fs_conn *c = calloc(1, sizeof(*c));
        int r;

        assert(!opts->shared || !opts->writeback_cache);
        if (!c)
                return err_set(text, ENOMEM, "out of memory");
        r = conn_init(c, fs, opts, text);
        if (r < 0) {
                fuse_fs_conn_free(c);
                return r;
        }
        *ret = c;
        return 0;
}

void fuse_fs_conn_stop(struct fuse_fs_conn *c)
{
        fuse_seeker_stop(c->seeker);
}

void fuse_fs_conn_free(struct fuse_fs_conn *c)
{
        if (!c)
                return;
        fuse_seeker_free(c->seeker);
        handles_free(c->handles);
        dirpos_free(c->positions);
        fuse_interrupts_free(c->conn.interrupts);
        free(c);
}

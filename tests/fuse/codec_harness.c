/* SPDX-License-Identifier: MIT */
#include "codec_harness.h"

#include "fuse/proto/codec.h"
#include "fuse/proto/ops.h"

#include <stdarg.h>
#include <stdio.h>

struct channel {
        struct fuse_channel base;
        struct codec_result result;
};

/* The channel of the request being served. */
static _Thread_local struct channel *current;

static void send_reply(struct fuse_channel *c, uint64_t unique, int error, const struct iovec *iov, int n)
{
        struct channel *channel = (struct channel *)c;

        channel->result.replies++;
        channel->result.error = error;
}

static void record(const char *format, ...)
{
        va_list ap;

        current->result.calls++;
        va_start(ap, format);
        vsnprintf(current->result.last_call, sizeof(current->result.last_call), format, ap);
        va_end(ap);
}

#define STR(s) (int)(s).len, (const char *)(s).data

static void read_bytes(struct slice s)
{
        volatile uint8_t sink = 0;

        for (size_t i = 0; i < s.len; i++)
                sink ^= s.data[i];
        (void)sink;
}

static void op_lookup(const struct fuse_req *r, uint64_t dir, struct slice name)
{
        record("lookup %llu %.*s", (unsigned long long)dir, STR(name));
}

static void op_forget(struct fuse_conn *conn, uint64_t ino, uint64_t n)
{
        record("forget %llu %llu", (unsigned long long)ino, (unsigned long long)n);
}

static void op_mknod(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode, uint64_t rdev)
{
        record("mknod %llu %.*s %o %llu", (unsigned long long)dir, STR(name), mode, (unsigned long long)rdev);
}

static void op_create(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode)
{
        record("create %llu %.*s %o", (unsigned long long)dir, STR(name), mode);
}

static void op_tmpfile(const struct fuse_req *r, uint64_t dir, uint32_t mode)
{
        record("tmpfile %llu %o", (unsigned long long)dir, mode);
}

static void op_mkdir(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode)
{
        record("mkdir %llu %.*s %o", (unsigned long long)dir, STR(name), mode);
}

static void op_symlink(const struct fuse_req *r, uint64_t dir, struct slice name, struct slice target)
{
        record("symlink %llu %.*s %.*s", (unsigned long long)dir, STR(name), STR(target));
}

static void op_link(const struct fuse_req *r, uint64_t ino, uint64_t dir, struct slice name)
{
        record("link %llu %llu %.*s", (unsigned long long)ino, (unsigned long long)dir, STR(name));
}

static void op_unlink(const struct fuse_req *r, uint64_t dir, struct slice name)
{
        record("unlink %llu %.*s", (unsigned long long)dir, STR(name));
}

static void op_rmdir(const struct fuse_req *r, uint64_t dir, struct slice name)
{
        record("rmdir %llu %.*s", (unsigned long long)dir, STR(name));
}

static void op_rename(const struct fuse_req *r, uint64_t dir, struct slice name, uint64_t new_dir,
                      struct slice new_name, unsigned flags)
{
        record("rename %llu %.*s %llu %.*s %u", (unsigned long long)dir, STR(name),
               (unsigned long long)new_dir, STR(new_name), flags);
}

static void op_ino(const struct fuse_req *r, uint64_t ino)
{
        record("inode %llu fh %llu", (unsigned long long)ino, (unsigned long long)r->fh);
}

static void op_setattr(const struct fuse_req *r, uint64_t ino, const struct fs_setattr *set)
{
        record("setattr %llu %x %o %u %llu", (unsigned long long)ino, set->set, set->mode, set->uid,
               (unsigned long long)set->size);
}

static void op_statfs(const struct fuse_req *r)
{
        record("statfs");
}

static void op_setxattr(const struct fuse_req *r, uint64_t ino, struct slice name, struct slice value,
                        int flags)
{
        read_bytes(value);
        record("setxattr %llu %.*s %zu %d", (unsigned long long)ino, STR(name), value.len, flags);
}

static void op_getxattr(const struct fuse_req *r, uint64_t ino, struct slice name, size_t cap)
{
        record("getxattr %llu %.*s %zu", (unsigned long long)ino, STR(name), cap);
}

static void op_listxattr(const struct fuse_req *r, uint64_t ino, size_t cap)
{
        record("listxattr %llu %zu", (unsigned long long)ino, cap);
}

static void op_removexattr(const struct fuse_req *r, uint64_t ino, struct slice name)
{
        record("removexattr %llu %.*s", (unsigned long long)ino, STR(name));
}

static void op_open(const struct fuse_req *r, uint64_t ino, bool kill_priv)
{
        record("open %llu %x %d", (unsigned long long)ino, r->file_flags, kill_priv);
}

static void op_release(const struct fuse_req *r, uint64_t ino, bool unlock)
{
        record("release %llu fh %llu %d", (unsigned long long)ino, (unsigned long long)r->fh, unlock);
}

static void op_read(const struct fuse_req *r, uint64_t ino, uint64_t offset, size_t len)
{
        record("read %llu %llu %zu", (unsigned long long)ino, (unsigned long long)offset, len);
}

static void op_write(const struct fuse_req *r, uint64_t ino, uint64_t offset, struct slice data, bool cached,
                     bool kill_priv)
{
        read_bytes(data);
        record("write %llu %llu %zu %d %d", (unsigned long long)ino, (unsigned long long)offset, data.len,
               cached, kill_priv);
}

static void op_fallocate(const struct fuse_req *r, uint64_t ino, int mode, uint64_t offset, uint64_t len)
{
        record("fallocate %llu %d %llu %llu", (unsigned long long)ino, mode, (unsigned long long)offset,
               (unsigned long long)len);
}

static void op_copy(const struct fuse_req *r, const struct fuse_copy *copy)
{
        record("copy %llu %llu %llu %llu %llu %d fh %llu", (unsigned long long)copy->from_ino,
               (unsigned long long)copy->from, (unsigned long long)copy->to_ino, (unsigned long long)copy->to,
               (unsigned long long)copy->len, copy->is_64, (unsigned long long)r->fh);
}

static void op_lseek(const struct fuse_req *r, uint64_t ino, uint64_t offset, int whence)
{
        record("lseek %llu %llu %d", (unsigned long long)ino, (unsigned long long)offset, whence);
}

static void op_getlk(const struct fuse_req *r, uint64_t ino, const struct fuse_lock *lock)
{
        record("getlk %llu", (unsigned long long)ino);
}

static void op_setlk(const struct fuse_req *r, uint64_t ino, const struct fuse_lock *lock, bool wait)
{
        record("setlk %llu %llu-%llu type %u owner %llu flock %d wait %d", (unsigned long long)ino,
               (unsigned long long)lock->start, (unsigned long long)lock->end, lock->type,
               (unsigned long long)r->lock_owner, lock->flock, wait);
}

static void op_readdir(const struct fuse_req *r, uint64_t dir, uint64_t offset, size_t cap, bool plus)
{
        record("readdir %llu %llu %zu %d", (unsigned long long)dir, (unsigned long long)offset, cap, plus);
}

static void op_interrupt(struct fuse_conn *conn, uint64_t unique)
{
        record("interrupt %llu", (unsigned long long)unique);
}

static const struct fuse_ops ops = {
        .lookup = op_lookup,
        .forget = op_forget,
        .mknod = op_mknod,
        .create = op_create,
        .tmpfile = op_tmpfile,
        .mkdir = op_mkdir,
        .symlink = op_symlink,
        .link = op_link,
        .unlink = op_unlink,
        .rmdir = op_rmdir,
        .rename = op_rename,
        .readlink = op_ino,
        .getattr = op_ino,
        .statx = op_ino,
        .setattr = op_setattr,
        .statfs = op_statfs,
        .setxattr = op_setxattr,
        .getxattr = op_getxattr,
        .listxattr = op_listxattr,
        .removexattr = op_removexattr,
        .open = op_open,
        .flush = op_ino,
        .release = op_release,
        .read = op_read,
        .write = op_write,
        .fallocate = op_fallocate,
        .copy = op_copy,
        .lseek = op_lseek,
        .sync = op_ino,
        .getlk = op_getlk,
        .setlk = op_setlk,
        .opendir = op_ino,
        .releasedir = op_ino,
        .readdir = op_readdir,
        .interrupt = op_interrupt,
};

struct codec_result codec_serve(const void *data, size_t len, uint64_t refused)
{
        struct fuse_conn conn = { .ops = &ops, .policy = { .refused = refused }, .fuse_fd = -1 };
        struct channel channel = { .base.send = send_reply };

        current = &channel;
        fuse_codec_request(&conn, &channel.base, data, len);
        current = NULL;
        return channel.result;
}

/* SPDX-License-Identifier: MIT */
#include "fuse/proto/request.h"

#include "base/log.h"
#include "fuse/transport/kernel_abi.h"

#include <assert.h>
#include <limits.h>
#include <stddef.h>
#include <sys/sysmacros.h>

/* Errors from 512 upwards are internal to the kernel, which rejects replies that carry them. */
#define ERRNO_END 512

/* ERROR: positive, or 0. */
static void send_reply(const struct fuse_req *r, int error, const struct iovec *iov, int n)
{
        if (r->conn->opts.debug)
                log_debug("reply %llu: %s", (unsigned long long)r->unique,
                          error == 0 ? "success" : err_str(error));
        r->channel->send(r->channel, r->unique, error, iov, n);
}

static void send_one(const struct fuse_req *r, const void *data, size_t len)
{
        send_reply(r, 0, &(struct iovec){ .iov_base = (void *)data, .iov_len = len }, 1);
}

void fuse_reply_err(const struct fuse_req *r, int err)
{
        int e = err_to_errno(err);

        assert(e > 0 && e < ERRNO_END);
        assert(e != ENOSYS);
        send_reply(r, e, NULL, 0);
}

void fuse_reply_result(const struct fuse_req *r, int result)
{
        if (result < 0)
                fuse_reply_err(r, result);
        else
                send_reply(r, 0, NULL, 0);
}

void fuse_reply_enosys(const struct fuse_req *r)
{
        send_reply(r, ENOSYS, NULL, 0);
}

static void fill_attr(const struct fuse_conn *conn, const struct fs_attr *a, struct fuse_attr *ret)
{
        *ret = (struct fuse_attr){
                .ino = a->ino,
                .size = a->size,
                .blocks = a->blocks,
                .atime = (uint64_t)a->atime.tv_sec,
                .mtime = (uint64_t)a->mtime.tv_sec,
                .ctime = (uint64_t)a->ctime.tv_sec,
                .atimensec = (uint32_t)a->atime.tv_nsec,
                .mtimensec = (uint32_t)a->mtime.tv_nsec,
                .ctimensec = (uint32_t)a->ctime.tv_nsec,
                .mode = a->mode,
                .nlink = a->nlink,
                .uid = conn->opts.force_uid ? conn->opts.uid : a->uid,
                .gid = conn->opts.force_gid ? conn->opts.gid : a->gid,
                .rdev = (uint32_t)a->rdev,
                .blksize = a->blksize,
        };
}

static void fill_valid(uint64_t ms, uint64_t *ret_s, uint32_t *ret_ns)
{
        *ret_s = ms / 1000;
        *ret_ns = (uint32_t)(ms % 1000) * 1000000u;
}

static void fill_entry(const struct fuse_conn *conn, const struct fs_attr *a, struct fuse_entry_out *ret)
{
        *ret = (struct fuse_entry_out){
                .nodeid = a->ino, /* never reused, so the generation stays 0 */
        };
        fill_valid(conn->policy.entry_valid_ms, &ret->entry_valid, &ret->entry_valid_nsec);
        fill_valid(conn->policy.attr_valid_ms, &ret->attr_valid, &ret->attr_valid_nsec);
        fill_attr(conn, a, &ret->attr);
}

void fuse_reply_entry(const struct fuse_req *r, const struct fs_attr *attr)
{
        struct fuse_entry_out out;

        fill_entry(r->conn, attr, &out);
        send_one(r, &out, sizeof(out));
}

void fuse_reply_no_entry(const struct fuse_req *r)
{
        struct fuse_entry_out out = { .nodeid = 0 };

        fill_valid(r->conn->policy.negative_valid_ms, &out.entry_valid, &out.entry_valid_nsec);
        send_one(r, &out, sizeof(out));
}

void fuse_reply_created_as(const struct fuse_req *r, const struct fs_attr *attr, uint64_t fh, uint32_t flags)
{
        struct {
                struct fuse_entry_out entry;
                struct fuse_open_out open;
        } out = { .open = { .fh = fh, .open_flags = flags } };

        fill_entry(r->conn, attr, &out.entry);
        send_one(r, &out, sizeof(out));
}

void fuse_reply_created(const struct fuse_req *r, const struct fs_attr *attr, uint64_t fh)
{
        fuse_reply_created_as(r, attr, fh, r->conn->policy.file_flags);
}

void fuse_reply_attr(const struct fuse_req *r, const struct fs_attr *attr)
{
        struct fuse_attr_out out = { .dummy = 0 };

        fill_valid(r->conn->policy.attr_valid_ms, &out.attr_valid, &out.attr_valid_nsec);
        fill_attr(r->conn, attr, &out.attr);
        send_one(r, &out, sizeof(out));
}

static struct abi_sx_time sx_time(struct timespec t)
{
        return (struct abi_sx_time){ .tv_sec = t.tv_sec, .tv_nsec = (uint32_t)t.tv_nsec };
}

void fuse_reply_statx(const struct fuse_req *r, const struct fs_attr *attr)
{
        struct abi_statx_out out = { .flags = 0 };
        struct fuse_attr a;

        fill_valid(r->conn->policy.attr_valid_ms, &out.attr_valid, &out.attr_valid_nsec);
        fill_attr(r->conn, attr, &a);
        out.stat = (struct abi_statx){
                .mask = STATX_BASIC_STATS | STATX_BTIME,
                .blksize = a.blksize,
                .nlink = a.nlink,
                .uid = a.uid,
                .gid = a.gid,
                .mode = (uint16_t)a.mode,
                .ino = a.ino,
                .size = a.size,
                .blocks = a.blocks,
                .atime = sx_time(attr->atime),
                .btime = sx_time(attr->btime),
                .ctime = sx_time(attr->ctime),
                .mtime = sx_time(attr->mtime),
                .rdev_major = major(attr->rdev),
                .rdev_minor = minor(attr->rdev),
        };
        send_one(r, &out, sizeof(out));
}

void fuse_reply_opened(const struct fuse_req *r, uint64_t fh, uint32_t flags)
{
        struct fuse_open_out out = { .fh = fh, .open_flags = flags };

        send_one(r, &out, sizeof(out));
}

void fuse_reply_data(const struct fuse_req *r, const void *data, size_t len)
{
        send_one(r, data, len);
}

void fuse_reply_iov(const struct fuse_req *r, const struct iovec *iov, int n)
{
        assert(n >= 0 && n <= FUSE_REPLY_IOV_MAX);
        send_reply(r, 0, iov, n);
}

void fuse_reply_written(const struct fuse_req *r, size_t len)
{
        struct fuse_write_out out = { .size = (uint32_t)len };

        send_one(r, &out, sizeof(out));
}

void fuse_reply_copied(const struct fuse_req *r, const struct fuse_copy *copy, uint64_t len)
{
        const struct abi_copy_file_range_out out = { .bytes_copied = len };

        if (copy->is_64)
                send_one(r, &out, sizeof(out));
        else
                fuse_reply_written(r, (size_t)len);
}

void fuse_reply_statfs(const struct fuse_req *r, const struct fs_statfs *st)
{
        struct fuse_statfs_out out = {
                .st = {
                        .blocks = st->blocks,
                        .bfree = st->blocks_free,
                        .bavail = st->blocks_free,
                        .files = st->inodes,
                        .ffree = st->inodes_free,
                        .bsize = st->block_size,
                        .frsize = st->block_size,
                        .namelen = NAME_MAX,
                },
        };

        send_one(r, &out, sizeof(out));
}

void fuse_reply_xattr_size(const struct fuse_req *r, size_t len)
{
        struct fuse_getxattr_out out = { .size = (uint32_t)len };

        send_one(r, &out, sizeof(out));
}

void fuse_reply_offset(const struct fuse_req *r, uint64_t offset)
{
        struct fuse_lseek_out out = { .offset = offset };

        send_one(r, &out, sizeof(out));
}

void fuse_reply_lock(const struct fuse_req *r, const struct fuse_lock *lock)
{
        struct fuse_lk_out out = {
                .lk = { .start = lock->start, .end = lock->end, .type = lock->type, .pid = lock->pid },
        };

        send_one(r, &out, sizeof(out));
}

static void fill_dirent(struct fuse_dirent *d, struct slice name, uint64_t ino, uint32_t type, uint64_t next)
{
        d->ino = ino;
        d->off = next;
        d->namelen = (uint32_t)name.len;
        d->type = (type & S_IFMT) >> 12; /* DT_* */
        memcpy(d->name, name.data, name.len);
}

size_t fuse_put_dirent(void *buf, size_t cap, struct slice name, uint64_t ino, uint32_t type, uint64_t next)
{
        size_t len = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name.len);

        if (len > cap)
                return 0;
        memset(buf, 0, len);
        fill_dirent(buf, name, ino, type, next);
        return len;
}

size_t fuse_put_direntplus(const struct fuse_conn *conn, void *buf, size_t cap, struct slice name,
                           uint64_t ino, uint32_t type, uint64_t next, const struct fs_attr *attr)
{
        struct fuse_direntplus *d = buf;
        size_t len = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + name.len);

        if (len > cap)
                return 0;
        memset(buf, 0, len);
        if (attr)
                fill_entry(conn, attr, &d->entry_out);
        fill_dirent(&d->dirent, name, ino, type, next);
        return len;
}

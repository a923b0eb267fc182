/* SPDX-License-Identifier: MIT */
/* Open files of a shared mount, and what differs for them. Exclusive mounts have none: see policy.c.
 *
 * A handle's number says one thing: whether it bypasses the page cache. What a LOOKUP or a GETATTR said a
 * moment before the open is as fresh as the open has to be, and the kernel drops the file's cached pages with
 * each OPEN whose reply does not tell it to keep them. So an open reads nothing from the store.
 */
#include "fuse/ops/ops.h"

#include "fuse/proto/kernel_abi.h"

#include <fcntl.h>

enum { CACHED_HANDLE = 0, DIRECT_HANDLE = 1 };

/* Where an append goes is decided in the store, not by the size that the kernel knows; so the kernel must
 * not keep the bytes at the place where it believes them to be. */
static uint32_t file_flags(const struct fuse_req *r)
{
        return r->conn->policy.file_flags | (r->file_flags & O_APPEND ? FOPEN_DIRECT_IO : 0);
}

static uint64_t handle(uint32_t flags)
{
        return flags & FOPEN_DIRECT_IO ? DIRECT_HANDLE : CACHED_HANDLE;
}

void fuse_op_open(const struct fuse_req *r, uint64_t ino, bool kill_priv)
{
        const struct fs_setattr set = { .set = FS_SET_KILL_PRIV };
        uint32_t flags = file_flags(r);
        struct fs_attr attr;
        int result = kill_priv ? fs_setattr(r->conn->fs, ino, &set, &attr) : 0;

        /* Who opens a file sees what others had closed before. */
        fs_drop_read_ahead(r->conn->fs, ino);
        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_opened(r, handle(flags), flags);
}

static void reply_created(const struct fuse_req *r, int result, const struct fs_attr *attr)
{
        uint32_t flags = file_flags(r);

        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_created_as(r, attr, handle(flags), flags);
}

/* The kernel has just looked for the name and found none. If another mount came first, it must look again,
 * and check whether the caller may open what is there now: ESTALE makes it. */
void fuse_op_create_shared(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode)
{
        struct fs_attr attr;
        int result = fs_mknod(r->conn->fs, &r->cred, dir, name, S_IFREG | (mode & 07777), 0, &attr);

        if (result == -EEXIST && !(r->file_flags & O_EXCL))
                result = -ESTALE;
        reply_created(r, result, &attr);
}

void fuse_op_tmpfile_shared(const struct fuse_req *r, uint64_t dir, uint32_t mode)
{
        struct fs_attr attr;
        int result = fs_tmpfile(r->conn->fs, &r->cred, dir, mode, &attr);

        reply_created(r, result, &attr);
}

/* A handle that learned to append after it was opened appends where the kernel says. */
void fuse_op_write_shared(const struct fuse_req *r, uint64_t ino, uint64_t offset, struct slice data,
                          bool cached, bool kill_priv)
{
        bool append = r->fh == DIRECT_HANDLE && (r->file_flags & O_APPEND) && !cached;
        ssize_t n = fs_write(r->conn->fs, ino, offset, data,
                             (kill_priv ? FS_WRITE_KILL_PRIV : 0u) | (append ? FS_WRITE_APPEND : 0u));

        if (n < 0)
                fuse_reply_err(r, (int)n);
        else
                fuse_reply_written(r, (size_t)n);
}

void fuse_op_flush(const struct fuse_req *r, uint64_t ino)
{
        fuse_reply_result(r, fs_flush(r->conn->fs, ino));
}

/* Nobody waits for it, nor hears of an error: FLUSH came before. */
void fuse_op_release(const struct fuse_req *r, uint64_t ino, bool unlock)
{
        fuse_reply_result(r, 0);
}

/* Answered, because the kernel would keep what it lists of directories that are not opened. */
void fuse_op_opendir(const struct fuse_req *r, uint64_t dir)
{
        fuse_reply_opened(r, 0, r->conn->policy.dir_flags);
}

/* SPDX-License-Identifier: MIT */
/* Operations on open files of a shared mount. Exclusive mounts have no open files (proto/policy.c).
 *
 * A handle's number says whether it bypasses the page cache, in its last bit, and which of those open for
 * writing it is (handles.h). An open reads nothing from the store: the attributes of the LOOKUP or GETATTR
 * before it are recent enough, and the kernel drops the file's cached pages at each OPEN without
 * FOPEN_KEEP_CACHE.
 */
#include "fuse/ops/ops.h"

#include "fuse/ops/handles.h"
#include "fuse/transport/kernel_abi.h"

#include <fcntl.h>

#define DIRECT_HANDLE UINT64_C(1)

/* The store decides the offset of an append. The kernel would cache the data at the offset that follows
 * from the size it knows. */
static uint32_t file_flags(const struct fuse_req *r)
{
        return r->conn->policy.file_flags | (r->file_flags & O_APPEND ? FOPEN_DIRECT_IO : 0);
}

/* Opens a handle of INO, whose reply has FLAGS. */
static uint64_t open_handle(const struct fuse_req *r, uint64_t ino, uint32_t flags)
{
        bool writes = (r->file_flags & O_ACCMODE) != O_RDONLY;
        uint64_t number = writes ? handles_open(fuse_fs_conn_of(r)->handles, ino) : HANDLE_READING;

        return number << 1 | (flags & FOPEN_DIRECT_IO ? DIRECT_HANDLE : 0);
}

static uint64_t handle_number(const struct fuse_req *r)
{
        return r->fh >> 1;
}

void fuse_op_open(const struct fuse_req *r, uint64_t ino, bool kill_priv)
{
        const struct fs_setattr set = { .set = FS_SET_KILL_PRIV };
        uint32_t flags = file_flags(r);
        struct fs_attr attr;
        int result = kill_priv ? fs_setattr(fuse_fs_of(r), ino, &set, &attr) : 0;

        /* Close-to-open: the handle must not read data that was prefetched before the open. */
        fs_drop_read_ahead(fuse_fs_of(r), ino);
        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_opened(r, open_handle(r, ino, flags), flags);
}

static void reply_created(const struct fuse_req *r, int result, const struct fs_attr *attr)
{
        uint32_t flags = file_flags(r);

        if (result < 0)
                fuse_reply_err(r, result);
        else
                fuse_reply_created_as(r, attr, open_handle(r, attr->ino, flags), flags);
}

/* The kernel sends CREATE after a LOOKUP found no name. If another mount has created it since, ESTALE makes
 * the kernel look it up again and check the permissions of the existing file. */
void fuse_op_create_shared(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode)
{
        struct fs_attr attr;
        int result = fs_mknod(fuse_fs_of(r), &r->cred, dir, name, S_IFREG | (mode & 07777), 0, &attr);

        if (result == -EEXIST && !(r->file_flags & O_EXCL))
                result = -ESTALE;
        reply_created(r, result, &attr);
}

void fuse_op_tmpfile_shared(const struct fuse_req *r, uint64_t dir, uint32_t mode)
{
        struct fs_attr attr;
        int result = fs_tmpfile(fuse_fs_of(r), &r->cred, dir, mode, &attr);

        reply_created(r, result, &attr);
}

/* A handle on which O_APPEND was set after the open is a cached one, and appends where the kernel says.
 * Before cached writes the kernel removes file capabilities itself. */
void fuse_op_write_shared(const struct fuse_req *r, uint64_t ino, uint64_t offset, struct slice data,
                          bool cached, bool kill_priv)
{
        bool append = (r->fh & DIRECT_HANDLE) && (r->file_flags & O_APPEND) && !cached;
        struct handles *handles = fuse_fs_conn_of(r)->handles;
        ssize_t n;

        if (cached)
                handles_note_write_back(handles, ino);
        else
                handles_note_write(handles, ino, handle_number(r));
        n = fs_write(fuse_fs_of(r), ino, offset, data,
                     (kill_priv ? FS_WRITE_KILL_PRIV : 0u) |
                             (append ? FS_WRITE_APPEND | FS_WRITE_KILL_CAPS : 0u));
        if (n < 0)
                fuse_reply_err(r, (int)n);
        else
                fuse_reply_written(r, (size_t)n);
}

void fuse_op_copy_shared(const struct fuse_req *r, const struct fuse_copy *copy)
{
        handles_note_write(fuse_fs_conn_of(r)->handles, copy->to_ino, handle_number(r));
        fuse_op_copy(r, copy);
}

/* Only a handle that wrote waits for the flush, and takes the error that is reported once. */
void fuse_op_flush(const struct fuse_req *r, uint64_t ino)
{
        bool wrote = handles_wrote(fuse_fs_conn_of(r)->handles, ino, handle_number(r));

        fuse_reply_result(r, wrote ? fs_flush(fuse_fs_of(r), ino) : 0);
}

/* The kernel ignores the result; FLUSH has reported errors. */
void fuse_op_release(const struct fuse_req *r, uint64_t ino, bool unlock)
{
        handles_close(fuse_fs_conn_of(r)->handles, ino, handle_number(r));
        fuse_reply_result(r, 0);
}

/* Not refused: without OPENDIR the kernel would cache listings. */
void fuse_op_opendir(const struct fuse_req *r, uint64_t dir)
{
        fuse_reply_opened(r, 0, r->conn->policy.dir_flags);
}

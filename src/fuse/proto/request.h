/* SPDX-License-Identifier: MIT */
/* A request of the kernel and the replies to it.
 *
 * Each request gets exactly one reply, from any thread. An operation that replies after it has returned
 * copies the struct. Replies report no errors: one that cannot be delivered means that the connection has
 * ended, and with it all references that the kernel held.
 */
#ifndef FUSE_PROTO_REQUEST_H
#define FUSE_PROTO_REQUEST_H

#include "base/slice.h"
#include "fs/fs.h"
#include "fuse/proto/conn.h"
#include "fuse/transport/transport.h"

struct fuse_req {
        struct fuse_conn *conn;
        struct fuse_channel *channel; /* takes the reply */
        uint64_t unique;              /* the kernel's number of the request */
        struct fs_cred cred;          /* of the calling process */
        pid_t pid;                    /* of the calling process; 0: not visible in this pid namespace */
        /* Set for requests on open files, else 0. */
        uint64_t fh;         /* the handle given to fuse_reply_opened */
        uint64_t lock_owner; /* identifies an owner of POSIX locks */
        uint32_t file_flags; /* O_*, current */
};

/* A lock, or the range of a lock. */
struct fuse_lock {
        uint64_t owner, start, end; /* END is inclusive */
        uint32_t type;              /* F_RDLCK, F_WRLCK, F_UNLCK */
        uint32_t pid;
        bool flock; /* by flock(2), not fcntl(2) */
};

/* copy_file_range(2). */
struct fuse_copy {
        uint64_t from_ino, from, to_ino, to, len;
        bool is_64; /* the form of the reply */
};

/* ---- replies ------------------------------------------------------------------------------------ */

/* Fails the request. ERR: a negative error of fs.h; not ENOSYS (asserted), see fuse_reply_enosys. */
void fuse_reply_err(const struct fuse_req *r, int err);
/* Fails the request if RESULT is negative, else reports success without data. */
void fuse_reply_result(const struct fuse_req *r, int result);
/* Answers ENOSYS: the kernel handles the operation itself from now on, or does not send the request again. */
void fuse_reply_enosys(const struct fuse_req *r);

/* LOOKUP, MKNOD, MKDIR, SYMLINK, LINK: passes a reference to the inode to the kernel. */
void fuse_reply_entry(const struct fuse_req *r, const struct fs_attr *attr);
/* LOOKUP: the name does not exist, and the kernel may cache that. */
void fuse_reply_no_entry(const struct fuse_req *r);
/* CREATE, TMPFILE: as fuse_reply_entry, and opens the file with handle FH and the policy's flags. */
void fuse_reply_created(const struct fuse_req *r, const struct fs_attr *attr, uint64_t fh);
/* The same with FLAGS (FOPEN_*) instead of the policy's. */
void fuse_reply_created_as(const struct fuse_req *r, const struct fs_attr *attr, uint64_t fh, uint32_t flags);
/* OPEN, OPENDIR. FLAGS: FOPEN_*. */
void fuse_reply_opened(const struct fuse_req *r, uint64_t fh, uint32_t flags);
/* GETATTR, SETATTR. */
void fuse_reply_attr(const struct fuse_req *r, const struct fs_attr *attr);
void fuse_reply_statx(const struct fuse_req *r, const struct fs_attr *attr);
/* READ, READLINK, READDIR, GETXATTR, LISTXATTR: the bytes. */
void fuse_reply_data(const struct fuse_req *r, const void *data, size_t len);
/* The same from at most FUSE_REPLY_IOV_MAX ranges, which may be reused once this returns. */
void fuse_reply_iov(const struct fuse_req *r, const struct iovec *iov, int n);
void fuse_reply_written(const struct fuse_req *r, size_t len);
void fuse_reply_statfs(const struct fuse_req *r, const struct fs_statfs *st);
/* GETXATTR, LISTXATTR with CAP 0: the size of the value or the list. */
void fuse_reply_xattr_size(const struct fuse_req *r, size_t len);
/* COPY_FILE_RANGE, as the request COPY demands. */
void fuse_reply_copied(const struct fuse_req *r, const struct fuse_copy *copy, uint64_t len);
/* LSEEK. */
void fuse_reply_offset(const struct fuse_req *r, uint64_t offset);
/* GETLK: a conflicting lock, or type F_UNLCK. */
void fuse_reply_lock(const struct fuse_req *r, const struct fuse_lock *lock);

/* ---- directory entries -------------------------------------------------------------------------- */

/* Append an entry to BUF, which has CAP bytes left. Return its size in bytes, or 0 if it does not fit.
 * NEXT: the position after the entry. ATTR: attributes, with a reference for the kernel, or NULL. */
size_t fuse_put_dirent(void *buf, size_t cap, struct slice name, uint64_t ino, uint32_t type, uint64_t next);
size_t fuse_put_direntplus(const struct fuse_conn *conn, void *buf, size_t cap, struct slice name,
                           uint64_t ino, uint32_t type, uint64_t next, const struct fs_attr *attr);

#endif

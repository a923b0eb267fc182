/* SPDX-License-Identifier: MIT */
/* One request of the kernel, and the replies to it.
 *
 * A request is a token: copy it to answer later or from another thread. Each one gets exactly one reply,
 * which may come from any thread. A reply that cannot be delivered means that the connection is gone,
 * with every reference that the kernel held, so replies report nothing. reply.c encodes replies as
 * <linux/fuse.h> has them.
 */
#ifndef FUSE_PROTO_REQUEST_H
#define FUSE_PROTO_REQUEST_H

#include "fuse/proto/conn.h"
#include "fuse/transport/transport.h"

struct fuse_req {
        struct fuse_conn *conn;
        struct fuse_channel *channel; /* where the reply goes */
        uint64_t unique;              /* the kernel's number for it */
        struct fs_cred cred;          /* who asks */
        pid_t pid;                    /* 0: somebody in a place where that number says nothing */
        /* What requests on open files carry; otherwise 0. */
        uint64_t fh; /* from fuse_reply_opened */
        uint64_t lock_owner;
        uint32_t file_flags; /* O_*, as of now */
};

/* ---- replies ------------------------------------------------------------------------------------ */

/* ERR: negative, as fs.h gives it; not ENOSYS (asserted), by which the kernel would stop asking. */
void fuse_reply_err(const struct fuse_req *r, int err);
/* err_to_errno(ERR) if it is negative, else success without data. */
void fuse_reply_result(const struct fuse_req *r, int err);
/* ENOSYS: the kernel does this itself from now on, or tells applications that it cannot be done. */
void fuse_reply_never_again(const struct fuse_req *r);

void fuse_reply_entry(const struct fuse_req *r, const struct fs_attr *attr);
/* There is no such name, and the kernel may remember that. */
void fuse_reply_no_entry(const struct fuse_req *r);
/* The reply to CREATE and TMPFILE: an entry and an open file. */
void fuse_reply_created(const struct fuse_req *r, const struct fs_attr *attr, uint64_t fh);
/* The same with FLAGS, FOPEN_*, instead of the policy's. */
void fuse_reply_created_as(const struct fuse_req *r, const struct fs_attr *attr, uint64_t fh, uint32_t flags);
/* The replies to OPEN and to OPENDIR. FLAGS: FOPEN_*, as conn->policy has them or others. */
void fuse_reply_opened(const struct fuse_req *r, uint64_t fh, uint32_t flags);
void fuse_reply_attr(const struct fuse_req *r, const struct fs_attr *attr);
void fuse_reply_statx(const struct fuse_req *r, const struct fs_attr *attr);
void fuse_reply_data(const struct fuse_req *r, const void *data, size_t len);
/* At most FUSE_REPLY_IOV_MAX ranges. They may be reused once this returns. */
void fuse_reply_iov(const struct fuse_req *r, const struct iovec *iov, int n);
void fuse_reply_written(const struct fuse_req *r, size_t len);
void fuse_reply_statfs(const struct fuse_req *r, const struct fs_statfs *st);
/* The size of an extended attribute, or of the list of them. */
void fuse_reply_xattr_size(const struct fuse_req *r, size_t len);
void fuse_reply_offset(const struct fuse_req *r, uint64_t offset);

/* The lock of GETLK, SETLK and SETLKW. END is inclusive. */
struct fuse_lock {
        uint64_t owner, start, end;
        uint32_t type; /* F_RDLCK, F_WRLCK, F_UNLCK */
        uint32_t pid;
        bool flock; /* by flock(2), not fcntl(2) */
};
/* The reply to GETLK: who is in the way, or type F_UNLCK. */
void fuse_reply_lock(const struct fuse_req *r, const struct fuse_lock *lock);

/* ---- directory entries -------------------------------------------------------------------------- */

/* Append an entry to BUF, of which CAP bytes are left. Return its size, or 0 if there is no room.
 * NEXT is the position after it. ATTR NULL: the kernel is to look it up itself. */
size_t fuse_put_dirent(void *buf, size_t cap, struct slice name, uint64_t ino, uint32_t type, uint64_t next);
size_t fuse_put_direntplus(const struct fuse_conn *conn, void *buf, size_t cap, struct slice name,
                           uint64_t ino, uint32_t type, uint64_t next, const struct fs_attr *attr);

#endif

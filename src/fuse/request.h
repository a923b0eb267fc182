/* One request of the kernel, and the replies to it.
 *
 * A request is a token: copy it to answer later or from another thread. Each one gets exactly one reply,
 * which may come from any thread. A reply that cannot be delivered means that the connection is gone,
 * with every reference that the kernel held, so replies report nothing. reply.c encodes replies as
 * <linux/fuse.h> has them; af_send is the transport's.
 */
#ifndef FUSE_REQUEST_H
#define FUSE_REQUEST_H

#include "core.h"

#include <sys/uio.h>

struct af_req {
        struct af_core *core;
        void *handle;        /* the transport's */
        struct fs_cred cred; /* who asks */
};

/* ---- replies ------------------------------------------------------------------------------------ */

/* ERR: negative, as fs.h gives it; not ENOSYS (asserted), by which the kernel would stop asking. */
void af_reply_err(const struct af_req *r, int err);
/* err_to_errno(ERR) if it is negative, else success without data. */
void af_reply_result(const struct af_req *r, int err);
/* ENOSYS: the kernel does this itself from now on, or tells applications that it cannot be done. */
void af_reply_never_again(const struct af_req *r);
/* For FORGET, which has no reply: the request is over. */
void af_reply_none(const struct af_req *r);

void af_reply_entry(const struct af_req *r, const struct fs_attr *attr);
/* There is no such name, and the kernel may remember that. */
void af_reply_no_entry(const struct af_req *r);
/* The reply to CREATE: an entry and an open file. */
void af_reply_created(const struct af_req *r, const struct fs_attr *attr);
void af_reply_attr(const struct af_req *r, const struct fs_attr *attr);
void af_reply_data(const struct af_req *r, const void *data, size_t len);
/* At most 1000 ranges. They may be reused once this returns. */
void af_reply_iov(const struct af_req *r, const struct iovec *iov, int n);
void af_reply_written(const struct af_req *r, size_t len);
void af_reply_statfs(const struct af_req *r, const struct fs_statfs *st);
/* The size of an extended attribute, or of the list of them. */
void af_reply_xattr_size(const struct af_req *r, size_t len);
void af_reply_offset(const struct af_req *r, uint64_t offset);

/* ---- directory entries -------------------------------------------------------------------------- */

/* Append an entry to BUF, of which CAP bytes are left. Return its size, or 0 if there is no room.
 * NEXT is the position after it. ATTR NULL: the kernel is to look it up itself. */
size_t af_put_dirent(void *buf, size_t cap, struct slice name, uint64_t ino, uint32_t type, uint64_t next);
size_t af_put_direntplus(const struct af_core *core, void *buf, size_t cap, struct slice name, uint64_t ino,
                         uint32_t type, uint64_t next, const struct fs_attr *attr);

/* ---- the transport's part ------------------------------------------------------------------------ */

/* Sends ERROR (positive errno, no data) or the data in IOV, and ends the request. */
void af_send(const struct af_req *r, int error, const struct iovec *iov, int n);

#endif

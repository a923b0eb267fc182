/* SPDX-License-Identifier: MIT */
/* The operations that the codec calls. Each takes a decoded request and sends its reply (request.h),
 * before it returns or later. Arguments are valid during the call; INO and DIR are inode numbers. Any
 * thread.
 */
#ifndef FUSE_PROTO_OPS_H
#define FUSE_PROTO_OPS_H

#include "fuse/proto/request.h"

/* NULL: ENOSYS, and success for RELEASE and RELEASEDIR. Opcodes that the policy refuses are not passed on. */
struct fuse_ops {
        /* Names. */
        void (*lookup)(const struct fuse_req *r, uint64_t dir, struct slice name);
        /* Drops N of the kernel's references to INO. Has no reply. */
        void (*forget)(struct fuse_conn *conn, uint64_t ino, uint64_t n);
        void (*mknod)(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode,
                      uint64_t rdev);
        void (*create)(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode);
        void (*tmpfile)(const struct fuse_req *r, uint64_t dir, uint32_t mode);
        void (*mkdir)(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode);
        void (*symlink)(const struct fuse_req *r, uint64_t dir, struct slice name, struct slice target);
        void (*link)(const struct fuse_req *r, uint64_t ino, uint64_t dir, struct slice name);
        void (*unlink)(const struct fuse_req *r, uint64_t dir, struct slice name);
        void (*rmdir)(const struct fuse_req *r, uint64_t dir, struct slice name);
        void (*rename)(const struct fuse_req *r, uint64_t dir, struct slice name, uint64_t new_dir,
                       struct slice new_name, unsigned flags);
        void (*readlink)(const struct fuse_req *r, uint64_t ino);

        /* Attributes. CAP 0: reply with the size only. */
        void (*getattr)(const struct fuse_req *r, uint64_t ino);
        void (*statx)(const struct fuse_req *r, uint64_t ino);
        void (*setattr)(const struct fuse_req *r, uint64_t ino, const struct fs_setattr *set);
        void (*statfs)(const struct fuse_req *r);
        void (*setxattr)(const struct fuse_req *r, uint64_t ino, struct slice name, struct slice value,
                         int flags);
        void (*getxattr)(const struct fuse_req *r, uint64_t ino, struct slice name, size_t cap);
        void (*listxattr)(const struct fuse_req *r, uint64_t ino, size_t cap);
        void (*removexattr)(const struct fuse_req *r, uint64_t ino, struct slice name);

        /* Files. KILL_PRIV: clear the set-user-id and set-group-id bits (open: with O_TRUNC). */
        void (*open)(const struct fuse_req *r, uint64_t ino, bool kill_priv);
        void (*flush)(const struct fuse_req *r, uint64_t ino);
        /* UNLOCK: drop the flock(2) locks of r->lock_owner. */
        void (*release)(const struct fuse_req *r, uint64_t ino, bool unlock);
        void (*read)(const struct fuse_req *r, uint64_t ino, uint64_t offset, size_t len);
        /* CACHED: written back from the page cache; r->fh is then any handle of the file. */
        void (*write)(const struct fuse_req *r, uint64_t ino, uint64_t offset, struct slice data, bool cached,
                      bool kill_priv);
        void (*fallocate)(const struct fuse_req *r, uint64_t ino, int mode, uint64_t offset, uint64_t len);
        /* R->fh is the handle of the destination. */
        void (*copy)(const struct fuse_req *r, const struct fuse_copy *copy);
        void (*lseek)(const struct fuse_req *r, uint64_t ino, uint64_t offset, int whence);
        /* INO 0: the whole file system. Also for directories. */
        void (*sync)(const struct fuse_req *r, uint64_t ino);
        void (*getlk)(const struct fuse_req *r, uint64_t ino, const struct fuse_lock *lock);
        /* WAIT: reply once the lock is granted; the calling thread must not block until then. */
        void (*setlk)(const struct fuse_req *r, uint64_t ino, const struct fuse_lock *lock, bool wait);

        /* Directories. OFFSET: the position after an entry of an earlier reply, or 0. CAP: the largest
         * reply, in bytes. */
        void (*opendir)(const struct fuse_req *r, uint64_t dir);
        void (*releasedir)(const struct fuse_req *r, uint64_t dir);
        void (*readdir)(const struct fuse_req *r, uint64_t dir, uint64_t offset, size_t cap, bool plus);

        /* The process that waits for request UNIQUE got a signal. That request may not have arrived yet, and
         * may be answered already. Has no reply. */
        void (*interrupt)(struct fuse_conn *conn, uint64_t unique);
};

#endif

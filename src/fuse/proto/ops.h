/* SPDX-License-Identifier: MIT */
/* The operations that the codec calls: each takes a decoded request and answers it, now or later. Arguments
 * are borrowed for the call. Any thread.
 */
#ifndef FUSE_PROTO_OPS_H
#define FUSE_PROTO_OPS_H

#include "fuse/proto/request.h"

/* NULL: ENOSYS (for what ends something: success). Opcodes that the policy names never
 * get here. */
struct fuse_ops {
        void (*lookup)(const struct fuse_req *r, uint64_t dir, struct slice name);
        void (*forget)(struct fuse_conn *conn, uint64_t ino, uint64_t n); /* has no reply */
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

        void (*getattr)(const struct fuse_req *r, uint64_t ino);
        void (*statx)(const struct fuse_req *r, uint64_t ino);
        void (*setattr)(const struct fuse_req *r, uint64_t ino, const struct fs_setattr *set);
        void (*statfs)(const struct fuse_req *r);
        void (*setxattr)(const struct fuse_req *r, uint64_t ino, struct slice name, struct slice value,
                         int flags);
        /* CAP 0 asks for the size. */
        void (*getxattr)(const struct fuse_req *r, uint64_t ino, struct slice name, size_t cap);
        void (*listxattr)(const struct fuse_req *r, uint64_t ino, size_t cap);
        void (*removexattr)(const struct fuse_req *r, uint64_t ino, struct slice name);

        /* KILL_PRIV: drop set-user-id and its like (with O_TRUNC). */
        void (*open)(const struct fuse_req *r, uint64_t ino, bool kill_priv);
        void (*flush)(const struct fuse_req *r, uint64_t ino);
        /* UNLOCK: flock(2) locks of r->lock_owner end. */
        void (*release)(const struct fuse_req *r, uint64_t ino, bool unlock);
        void (*read)(const struct fuse_req *r, uint64_t ino, uint64_t offset, size_t len);
        /* CACHED: from the kernel's page cache; r->fh is a guess then. */
        void (*write)(const struct fuse_req *r, uint64_t ino, uint64_t offset, struct slice data, bool cached,
                      bool kill_priv);
        void (*fallocate)(const struct fuse_req *r, uint64_t ino, int mode, uint64_t offset, uint64_t len);
        void (*lseek)(const struct fuse_req *r, uint64_t ino, uint64_t offset, int whence);
        /* Of a file or a directory (INO), or of all (INO 0). */
        void (*sync)(const struct fuse_req *r, uint64_t ino);
        void (*getlk)(const struct fuse_req *r, uint64_t ino, const struct fuse_lock *lock);
        /* WAIT: may answer later, and must not keep the calling thread. */
        void (*setlk)(const struct fuse_req *r, uint64_t ino, const struct fuse_lock *lock, bool wait);

        void (*opendir)(const struct fuse_req *r, uint64_t dir);
        void (*releasedir)(const struct fuse_req *r, uint64_t dir);
        /* OFFSET: a position (dirpos.h) from an earlier reply. CAP: bytes for the reply. */
        void (*readdir)(const struct fuse_req *r, uint64_t dir, uint64_t offset, size_t cap, bool plus);

        /* Whoever waits for the request UNIQUE would rather not; it may not have arrived yet, or be answered.
         * Has no reply. */
        void (*interrupt)(struct fuse_conn *conn, uint64_t unique);
};

#endif

/* The operations: each takes a decoded request and answers it, now or later. Thin: what they mean is in fs.h.
 * Arguments are borrowed for the call. Any thread.
 */
#ifndef FUSE_OPS_H
#define FUSE_OPS_H

#include "fuse/request.h"

/* What codec.c calls. NULL: ENOSYS (for what ends something: success). Opcodes that the policy names never
 * get here. */
struct af_ops {
        void (*lookup)(const struct af_req *r, uint64_t dir, struct slice name);
        void (*forget)(struct af_core *core, uint64_t ino, uint64_t n); /* has no reply */
        void (*mknod)(const struct af_req *r, uint64_t dir, struct slice name, uint32_t mode, uint64_t rdev);
        void (*create)(const struct af_req *r, uint64_t dir, struct slice name, uint32_t mode);
        void (*tmpfile)(const struct af_req *r, uint64_t dir, uint32_t mode);
        void (*mkdir)(const struct af_req *r, uint64_t dir, struct slice name, uint32_t mode);
        void (*symlink)(const struct af_req *r, uint64_t dir, struct slice name, struct slice target);
        void (*link)(const struct af_req *r, uint64_t ino, uint64_t dir, struct slice name);
        void (*unlink)(const struct af_req *r, uint64_t dir, struct slice name);
        void (*rmdir)(const struct af_req *r, uint64_t dir, struct slice name);
        void (*rename)(const struct af_req *r, uint64_t dir, struct slice name, uint64_t new_dir,
                       struct slice new_name, unsigned flags);
        void (*readlink)(const struct af_req *r, uint64_t ino);

        void (*getattr)(const struct af_req *r, uint64_t ino);
        void (*statx)(const struct af_req *r, uint64_t ino);
        void (*setattr)(const struct af_req *r, uint64_t ino, const struct fs_setattr *set);
        void (*statfs)(const struct af_req *r);
        void (*setxattr)(const struct af_req *r, uint64_t ino, struct slice name, struct slice value,
                         int flags);
        /* CAP 0 asks for the size. */
        void (*getxattr)(const struct af_req *r, uint64_t ino, struct slice name, size_t cap);
        void (*listxattr)(const struct af_req *r, uint64_t ino, size_t cap);
        void (*removexattr)(const struct af_req *r, uint64_t ino, struct slice name);

        /* KILL_PRIV: drop set-user-id and its like (with O_TRUNC). */
        void (*open)(const struct af_req *r, uint64_t ino, bool kill_priv);
        void (*flush)(const struct af_req *r, uint64_t ino);
        /* UNLOCK: flock(2) locks of r->lock_owner end. */
        void (*release)(const struct af_req *r, uint64_t ino, bool unlock);
        void (*read)(const struct af_req *r, uint64_t ino, uint64_t offset, size_t len);
        /* CACHED: from the kernel's page cache; r->fh is a guess then. */
        void (*write)(const struct af_req *r, uint64_t ino, uint64_t offset, struct slice data, bool cached,
                      bool kill_priv);
        void (*fallocate)(const struct af_req *r, uint64_t ino, int mode, uint64_t offset, uint64_t len);
        void (*lseek)(const struct af_req *r, uint64_t ino, uint64_t offset, int whence);
        /* Of a file or a directory (INO), or of all (INO 0). */
        void (*sync)(const struct af_req *r, uint64_t ino);
        void (*getlk)(const struct af_req *r, uint64_t ino, const struct af_lock *lock);
        /* WAIT: may answer later, and must not keep the calling thread. */
        void (*setlk)(const struct af_req *r, uint64_t ino, const struct af_lock *lock, bool wait);

        void (*opendir)(const struct af_req *r, uint64_t dir);
        void (*releasedir)(const struct af_req *r, uint64_t dir);
        /* OFFSET: a position (dirpos.h) from an earlier reply. CAP: bytes for the reply. */
        void (*readdir)(const struct af_req *r, uint64_t dir, uint64_t offset, size_t cap, bool plus);

        /* Whoever waits for the request UNIQUE would rather not; it may not have arrived yet, or be answered.
         * Has no reply. */
        void (*interrupt)(struct af_core *core, uint64_t unique);
};

/* ops.c: over fs.h, for an exclusive mount. */
extern const struct af_ops af_ops_exclusive;
/* For one of several mounts. */
extern const struct af_ops af_ops_shared;

/* ops_names.c */
void af_op_lookup(const struct af_req *r, uint64_t dir, struct slice name);
void af_op_forget(struct af_core *core, uint64_t ino, uint64_t n);
void af_op_mknod(const struct af_req *r, uint64_t dir, struct slice name, uint32_t mode, uint64_t rdev);
void af_op_create(const struct af_req *r, uint64_t dir, struct slice name, uint32_t mode);
void af_op_tmpfile(const struct af_req *r, uint64_t dir, uint32_t mode);
void af_op_mkdir(const struct af_req *r, uint64_t dir, struct slice name, uint32_t mode);
void af_op_symlink(const struct af_req *r, uint64_t dir, struct slice name, struct slice target);
void af_op_link(const struct af_req *r, uint64_t ino, uint64_t dir, struct slice name);
void af_op_unlink(const struct af_req *r, uint64_t dir, struct slice name);
void af_op_rmdir(const struct af_req *r, uint64_t dir, struct slice name);
void af_op_rename(const struct af_req *r, uint64_t dir, struct slice name, uint64_t new_dir,
                  struct slice new_name, unsigned flags);
void af_op_readlink(const struct af_req *r, uint64_t ino);

/* ops_attr.c */
void af_op_getattr(const struct af_req *r, uint64_t ino);
void af_op_statx(const struct af_req *r, uint64_t ino);
void af_op_setattr(const struct af_req *r, uint64_t ino, const struct fs_setattr *set);
void af_op_statfs(const struct af_req *r);
void af_op_setxattr(const struct af_req *r, uint64_t ino, struct slice name, struct slice value, int flags);
void af_op_getxattr(const struct af_req *r, uint64_t ino, struct slice name, size_t cap);
void af_op_listxattr(const struct af_req *r, uint64_t ino, size_t cap);
void af_op_removexattr(const struct af_req *r, uint64_t ino, struct slice name);

/* ops_data.c */
void af_op_read(const struct af_req *r, uint64_t ino, uint64_t offset, size_t len);
void af_op_write(const struct af_req *r, uint64_t ino, uint64_t offset, struct slice data, bool cached,
                 bool kill_priv);
void af_op_fallocate(const struct af_req *r, uint64_t ino, int mode, uint64_t offset, uint64_t len);
void af_op_sync(const struct af_req *r, uint64_t ino);

/* ops_open.c */
void af_op_open(const struct af_req *r, uint64_t ino, bool kill_priv);
void af_op_create_shared(const struct af_req *r, uint64_t dir, struct slice name, uint32_t mode);
void af_op_tmpfile_shared(const struct af_req *r, uint64_t dir, uint32_t mode);
void af_op_write_shared(const struct af_req *r, uint64_t ino, uint64_t offset, struct slice data, bool cached,
                        bool kill_priv);
void af_op_flush(const struct af_req *r, uint64_t ino);
void af_op_release(const struct af_req *r, uint64_t ino, bool unlock);
void af_op_opendir(const struct af_req *r, uint64_t dir);

/* ops_dir.c */
void af_op_readdir(const struct af_req *r, uint64_t dir, uint64_t offset, size_t cap, bool plus);

#endif

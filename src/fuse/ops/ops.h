/* SPDX-License-Identifier: MIT */
/* The operations of a mount, over fs.h. They are thin: fs.h says what each one does. */
#ifndef FUSE_OPS_OPS_H
#define FUSE_OPS_OPS_H

#include "fuse/proto/ops.h"

/* ops.c: over fs.h, for an exclusive mount. */
extern const struct fuse_ops fuse_ops_exclusive;
/* For one of several mounts. */
extern const struct fuse_ops fuse_ops_shared;

/* names.c */
void fuse_op_lookup(const struct fuse_req *r, uint64_t dir, struct slice name);
void fuse_op_forget(struct fuse_conn *conn, uint64_t ino, uint64_t n);
void fuse_op_mknod(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode, uint64_t rdev);
void fuse_op_create(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode);
void fuse_op_tmpfile(const struct fuse_req *r, uint64_t dir, uint32_t mode);
void fuse_op_mkdir(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode);
void fuse_op_symlink(const struct fuse_req *r, uint64_t dir, struct slice name, struct slice target);
void fuse_op_link(const struct fuse_req *r, uint64_t ino, uint64_t dir, struct slice name);
void fuse_op_unlink(const struct fuse_req *r, uint64_t dir, struct slice name);
void fuse_op_rmdir(const struct fuse_req *r, uint64_t dir, struct slice name);
void fuse_op_rename(const struct fuse_req *r, uint64_t dir, struct slice name, uint64_t new_dir,
                    struct slice new_name, unsigned flags);
void fuse_op_readlink(const struct fuse_req *r, uint64_t ino);

/* attr.c */
void fuse_op_getattr(const struct fuse_req *r, uint64_t ino);
void fuse_op_statx(const struct fuse_req *r, uint64_t ino);
void fuse_op_setattr(const struct fuse_req *r, uint64_t ino, const struct fs_setattr *set);
void fuse_op_statfs(const struct fuse_req *r);
void fuse_op_setxattr(const struct fuse_req *r, uint64_t ino, struct slice name, struct slice value,
                      int flags);
void fuse_op_getxattr(const struct fuse_req *r, uint64_t ino, struct slice name, size_t cap);
void fuse_op_listxattr(const struct fuse_req *r, uint64_t ino, size_t cap);
void fuse_op_removexattr(const struct fuse_req *r, uint64_t ino, struct slice name);

/* data.c */
void fuse_op_read(const struct fuse_req *r, uint64_t ino, uint64_t offset, size_t len);
void fuse_op_write(const struct fuse_req *r, uint64_t ino, uint64_t offset, struct slice data, bool cached,
                   bool kill_priv);
void fuse_op_fallocate(const struct fuse_req *r, uint64_t ino, int mode, uint64_t offset, uint64_t len);
void fuse_op_sync(const struct fuse_req *r, uint64_t ino);

/* open.c */
void fuse_op_open(const struct fuse_req *r, uint64_t ino, bool kill_priv);
void fuse_op_create_shared(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode);
void fuse_op_tmpfile_shared(const struct fuse_req *r, uint64_t dir, uint32_t mode);
void fuse_op_write_shared(const struct fuse_req *r, uint64_t ino, uint64_t offset, struct slice data,
                          bool cached, bool kill_priv);
void fuse_op_flush(const struct fuse_req *r, uint64_t ino);
void fuse_op_release(const struct fuse_req *r, uint64_t ino, bool unlock);
void fuse_op_opendir(const struct fuse_req *r, uint64_t dir);

/* dir.c */
void fuse_op_readdir(const struct fuse_req *r, uint64_t dir, uint64_t offset, size_t cap, bool plus);

#endif

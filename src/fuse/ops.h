/* The operations: each takes a decoded request and answers it, now or later. Thin: what they mean is in fs.h.
 * Arguments are borrowed for the call. Any thread.
 */
#ifndef FUSE_OPS_H
#define FUSE_OPS_H

#include "request.h"

/* ops_names.c */
void af_op_lookup(const struct af_req *r, uint64_t dir, struct slice name);
void af_op_mknod(const struct af_req *r, uint64_t dir, struct slice name, uint32_t mode, uint64_t rdev);
void af_op_create(const struct af_req *r, uint64_t dir, struct slice name, uint32_t mode);
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
void af_op_setattr(const struct af_req *r, uint64_t ino, const struct fs_setattr *set);
void af_op_statfs(const struct af_req *r);
void af_op_setxattr(const struct af_req *r, uint64_t ino, struct slice name, struct slice value, int flags);
/* CAP 0 asks for the size. */
void af_op_getxattr(const struct af_req *r, uint64_t ino, struct slice name, size_t cap);
void af_op_listxattr(const struct af_req *r, uint64_t ino, size_t cap);
void af_op_removexattr(const struct af_req *r, uint64_t ino, struct slice name);

/* ops_data.c */
void af_op_read(const struct af_req *r, uint64_t ino, uint64_t offset, size_t len);
/* CACHED: from the kernel's page cache. */
void af_op_write(const struct af_req *r, uint64_t ino, uint64_t offset, struct slice data, bool cached,
                 bool kill_priv);
void af_op_fallocate(const struct af_req *r, uint64_t ino, int mode, uint64_t offset, uint64_t len);
void af_op_lseek(const struct af_req *r, uint64_t ino, uint64_t offset, int whence);
void af_op_sync(const struct af_req *r);

/* ops_dir.c */
/* OFFSET: a position (dirpos.h) from an earlier reply. CAP: bytes for the reply. */
void af_op_readdir(const struct af_req *r, uint64_t dir, uint64_t offset, size_t cap, bool plus);

#endif

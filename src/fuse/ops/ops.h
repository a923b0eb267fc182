/* SPDX-License-Identifier: MIT */
/* The operations of a mount: each calls one function of fs.h, which documents it, and replies. */
#ifndef FUSE_OPS_OPS_H
#define FUSE_OPS_OPS_H

#include "fuse/proto/ops.h"

struct dirpos;      /* dirpos.h */
struct fuse_seeker; /* seek.c */
struct handles;     /* handles.h */

/* Functions that the operations share. */
struct fuse_fs_conn {
        struct fuse_conn conn;
        struct fs *fs; /* the caller's */
        struct dirpos *positions;
        struct handles *handles; /* NULL: an exclusive mount */
        struct fuse_seeker *seeker;
};

/* Creates the connection of an exclusive or shared mount of FS, as OPTS says, for fuse_server_new_with. FS
 * must outlive it. Errors with TEXT. */
int fuse_fs_conn_new(struct fs *fs, const struct fuse_opts *opts, struct fuse_fs_conn **ret,
                     struct err_text *text);
/* Waits for operations that reply later, while requests are still served. Later ones may fail. */
void fuse_fs_conn_stop(struct fuse_fs_conn *c);
/* Takes NULL. */
void fuse_fs_conn_free(struct fuse_fs_conn *c);

static inline struct fuse_fs_conn *fuse_fs_conn_of(const struct fuse_req *r)
{
        return (struct fuse_fs_conn *)r->conn;
}

static inline struct fs *fuse_fs_of(const struct fuse_req *r)
{
        return fuse_fs_conn_of(r)->fs;
}

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

/* xattr.c */
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
void fuse_op_copy(const struct fuse_req *r, const struct fuse_copy *copy);
void fuse_op_sync(const struct fuse_req *r, uint64_t ino);

/* seek.c */
int fuse_seeker_new(const struct fuse_opts *opts, struct fuse_seeker **ret);
/* As fuse_fs_conn_stop. */
void fuse_seeker_stop(struct fuse_seeker *s);
/* Stops it and frees it. Takes NULL. */
void fuse_seeker_free(struct fuse_seeker *s);
void fuse_op_lseek(const struct fuse_req *r, uint64_t ino, uint64_t offset, int whence);

/* open.c: operations on open files of a shared mount */
void fuse_op_open(const struct fuse_req *r, uint64_t ino, bool kill_priv);
void fuse_op_create_shared(const struct fuse_req *r, uint64_t dir, struct slice name, uint32_t mode);
void fuse_op_tmpfile_shared(const struct fuse_req *r, uint64_t dir, uint32_t mode);
void fuse_op_write_shared(const struct fuse_req *r, uint64_t ino, uint64_t offset, struct slice data,
                          bool cached, bool kill_priv);
void fuse_op_copy_shared(const struct fuse_req *r, const struct fuse_copy *copy);
void fuse_op_flush(const struct fuse_req *r, uint64_t ino);
void fuse_op_release(const struct fuse_req *r, uint64_t ino, bool unlock);
void fuse_op_opendir(const struct fuse_req *r, uint64_t dir);

/* dir.c */
void fuse_op_readdir(const struct fuse_req *r, uint64_t dir, uint64_t offset, size_t cap, bool plus);

#endif

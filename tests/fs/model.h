/* SPDX-License-Identifier: MIT */
/* The reference model of src/fs: a file system in plain memory, each operation written as its manual page
 * says.
 *
 * Where several errors apply, POSIX leaves open which one is reported: a verdict holds all of them. */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#define MODEL_NAMES  64u /* entries of a directory, extended attributes of an inode */
#define MODEL_INODES 96u

struct model_inode;

struct model_entry {
        char name[300];
        struct model_inode *inode;
};

struct model_xattr {
        char name[32];
        uint8_t *value;
        size_t len;
};

struct model_inode {
        uint64_t ino; /* in the file system under test */
        uint32_t mode, uid, gid, nlink;
        uint64_t rdev;
        uint8_t *data; /* regular files: size bytes; symlinks: the target */
        size_t size;
        struct model_entry *entries; /* directories: sorted by name */
        size_t n_entries, n_subdirs;
        struct model_inode *parent;
        struct model_xattr xattrs[MODEL_NAMES]; /* sorted by name */
        size_t n_xattrs;
        uint64_t refs;
        struct timespec atime, mtime, ctime, btime;
};

struct model {
        struct model_inode *inodes[MODEL_INODES]; /* linked or referenced; [0] is the root */
        size_t n_inodes;
        struct timespec now;
};

/* The errors (positive) that an operation may give; none: it succeeds. */
struct model_verdict {
        int n, err[12];
};
bool model_allows(const struct model_verdict *v, int err);

void model_init(struct model *m, uint64_t root_ino, struct timespec now);
void model_free(struct model *m);

/* Return the errors that an operation may give. The model is not changed. */
struct model_verdict model_may_lookup(const struct model_inode *dir, const char *name);
struct model_verdict model_may_create(const struct model_inode *dir, const char *name);
struct model_verdict model_may_link(const struct model_inode *inode, const struct model_inode *dir,
                                    const char *name);
struct model_verdict model_may_unlink(const struct model_inode *dir, const char *name);
struct model_verdict model_may_rmdir(const struct model_inode *dir, const char *name);
struct model_verdict model_may_rename(const struct model_inode *dir, const char *name,
                                      const struct model_inode *new_dir, const char *new_name,
                                      unsigned flags);
struct model_verdict model_may_access_data(const struct model_inode *inode);
struct model_verdict model_may_setxattr(struct model_inode *inode, const char *name, int flags);

/* Apply operations that succeed (asserted where that is cheap). */
struct model_inode *model_find(const struct model_inode *dir, const char *name);
struct model_inode *model_create(struct model *m, struct model_inode *dir, const char *name, uint64_t ino,
                                 uint32_t mode, uint32_t uid, uint32_t gid, uint64_t rdev);
void model_set_target(struct model_inode *inode, const char *target);
void model_link(struct model *m, struct model_inode *inode, struct model_inode *dir, const char *name);
void model_unlink(struct model *m, struct model_inode *dir, const char *name);
void model_rmdir(struct model *m, struct model_inode *dir, const char *name);
void model_rename(struct model *m, struct model_inode *dir, const char *name, struct model_inode *new_dir,
                  const char *new_name, unsigned flags);
void model_write(struct model *m, struct model_inode *inode, uint64_t offset, const void *data, size_t len);
void model_truncate(struct model *m, struct model_inode *inode, uint64_t size);
/* Do not change times. */
void model_zero(struct model_inode *inode, uint64_t offset, uint64_t len, bool keep_size);
void model_chown(struct model *m, struct model_inode *inode, uint32_t uid, uint32_t gid);
struct model_xattr *model_find_xattr(struct model_inode *inode, const char *name);
void model_setxattr(struct model *m, struct model_inode *inode, const char *name, const void *value,
                    size_t len);
void model_removexattr(struct model *m, struct model_inode *inode, const char *name);

/* Drops references; frees an inode without links and references. */
void model_forget(struct model *m, struct model_inode *inode, uint64_t n);
void model_forget_all(struct model *m);

#endif

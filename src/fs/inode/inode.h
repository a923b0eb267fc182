/* SPDX-License-Identifier: MIT */
/* Inodes in a transaction: the record and the partial updates under \xfe that complete it. */
#ifndef FS_INODE_INODE_H
#define FS_INODE_INODE_H

#include "fs/state.h"

/* How much of an inode is read. */
enum fs_inode_want {
        FS_INODE_RECORD, /* the record alone: the times of a directory may be stale */
        FS_INODE_ATTR,   /* all that stat(2) shows, of an inode whose type is unknown yet */
        FS_INODE_DIR,    /* the same, of what should be a directory: saves a round */
};

/* An inode as it was read. Large: 8 KiB, for the stack, not to be initialized as a whole. */
struct fs_inode {
        uint64_t ino;
        struct fmt_inode rec;
        bool dir_times;   /* times from \xfe are folded into REC */
        uint32_t subdirs; /* directories, if wanted: directories in it */
        struct fmt_scratch scratch;
};

#define FS_INODE_KEY_MAX 16u

/* An inode being read. Keep it where it is until waited for. */
struct fs_inode_read {
        uint64_t ino;
        enum fs_inode_want want;
        unsigned flags;
        bool extras; /* the reads of \xfe keys were started */
        struct kv_read record, times, subdirs;
        uint8_t record_key[FS_INODE_KEY_MAX], times_key[FS_INODE_KEY_MAX], subdirs_key[FS_INODE_KEY_MAX];
};

/* FLAGS: KV_SNAPSHOT or 0. What will be stored again must be read without KV_SNAPSHOT. */
void fs_inode_start(struct fs *fs, struct kv_txn *t, struct fs_inode_read *r, uint64_t ino,
                    enum fs_inode_want want, unsigned flags);
/* 0, ENOENT, ERR_CORRUPT, or an error of the store. */
int fs_inode_wait(struct kv_txn *t, struct fs_inode_read *r, struct fs_inode *ret);
/* Both in one. */
int fs_inode_load(struct fs *fs, struct kv_txn *t, uint64_t ino, enum fs_inode_want want, unsigned flags,
                  struct fs_inode *ret);
/* As fs_inode_wait, for the inode that directory entry D names: one that is missing, unlinked or of
 * another type is ERR_CORRUPT. */
int fs_inode_wait_dirent(struct kv_txn *t, struct fs_inode_read *r, const struct fmt_dirent *d,
                         struct fs_inode *ret);

/* What to want of the inode that D names, to have all of its attributes with the fewest reads. */
static inline enum fs_inode_want fs_inode_want_dirent(const struct fmt_dirent *d)
{
        return S_ISDIR(d->type) ? FS_INODE_DIR : FS_INODE_RECORD;
}

/* What changed besides times, for those who depend on less than the whole inode. */
enum fs_inode_changed {
        FS_CHANGED_SIZE = 1 << 0,
        FS_CHANGED_OWNER = 1 << 1, /* uid, gid or mode */
        FS_CHANGED_EXIST = 1 << 2, /* nlink */
};

/* Writes the record and moves the change counter on. */
int fs_inode_store(struct kv_txn *t, const struct fs_inode *inode, unsigned changed);
/* Writes a new inode's record. */
int fs_inode_store_new(struct kv_txn *t, uint64_t ino, const struct fmt_inode *rec);

/* This transaction fails if somebody changes what ATTR stands for before it commits. Together with a
 * snapshot read of the record that is a dependence on this part of the inode alone. */
int fs_inode_depend(struct kv_txn *t, uint64_t ino, enum fmt_attr attr);

/* The same for the record as a whole. */
int fs_inode_depend_record(struct kv_txn *t, uint64_t ino);

/* This transaction changes what ATTR stands for. */
int fs_inode_disturb(struct kv_txn *t, uint64_t ino, enum fmt_attr attr);

/* Adds N to the counter ATTR, and nothing else: the record is not read. */
int fs_inode_add(struct kv_txn *t, uint64_t ino, enum fmt_attr attr, int64_t n);

/* Starts reading DIR as a place for new names: its existence, mode and owner, so that changes in it by
 * others do not conflict. */
int fs_parent_start(struct fs *fs, struct kv_txn *t, struct fs_inode_read *r, uint64_t dir);
/* As fs_inode_wait; also ENOTDIR, and ENOENT for a directory that was removed. */
int fs_parent_wait(struct kv_txn *t, struct fs_inode_read *r, struct fs_inode *ret);

/* Notes a change of DIR's entries: its times, its change counter and (SUBDIRS of -1, 0, 1) its links, all
 * by atomic operations, so that many can change one directory at a time. */
int fs_dir_touch(struct kv_txn *t, uint64_t dir, struct timespec now, int subdirs);

/* What stat(2) shows. INODE was read with FS_INODE_ATTR or FS_INODE_DIR, or is no directory. */
void fs_inode_attr(const struct fs *fs, const struct fs_inode *inode, struct fs_attr *ret);

/* A new inode that nothing refers to yet: what stat(2) shows of it. */
void fs_inode_attr_new(const struct fs *fs, uint64_t ino, const struct fmt_inode *rec, struct fs_attr *ret);

#endif

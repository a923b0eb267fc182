/* SPDX-License-Identifier: MIT */
/* Inodes: the record under 'i', and the partial updates under \xfe that complete it. */
#ifndef RECORD_INODE_H
#define RECORD_INODE_H

#include "format/format.h"
#include "kv/kv.h"

/* How much of an inode is read. */
enum rec_inode_want {
        REC_INODE_RECORD, /* the record alone: the times of a directory may be stale */
        REC_INODE_ATTR,   /* all that stat(2) shows, of an inode whose type is unknown yet */
        REC_INODE_DIR,    /* the same, of what should be a directory: saves a round */
};

/* An inode as it was read. Large: 8 KiB, for the stack, not to be initialized as a whole. */
struct rec_inode {
        uint64_t ino;
        struct fmt_inode rec;
        bool dir_times;   /* times from \xfe are folded into REC */
        uint32_t subdirs; /* directories, if wanted: directories in it */
        struct fmt_scratch scratch;
};

#define REC_INODE_KEY_MAX 16u

/* An inode being read. Keep it where it is until waited for. */
struct rec_inode_read {
        uint64_t ino;
        enum rec_inode_want want;
        unsigned flags;
        bool extras; /* the reads of \xfe keys were started */
        struct kv_read record, times, subdirs;
        uint8_t record_key[REC_INODE_KEY_MAX], times_key[REC_INODE_KEY_MAX], subdirs_key[REC_INODE_KEY_MAX];
};

/* FLAGS: KV_SNAPSHOT or 0. What will be stored again must be read without KV_SNAPSHOT. */
void rec_inode_start(struct kv_txn *t, struct rec_inode_read *r, uint64_t ino, enum rec_inode_want want,
                     unsigned flags);
/* 0, ENOENT, ERR_CORRUPT, or an error of the store. */
int rec_inode_wait(struct kv_txn *t, struct rec_inode_read *r, struct rec_inode *ret);
/* Both in one. */
int rec_inode_load(struct kv_txn *t, uint64_t ino, enum rec_inode_want want, unsigned flags,
                   struct rec_inode *ret);
/* As rec_inode_wait, for the inode that directory entry D names: one that is missing, unlinked or of
 * another type is ERR_CORRUPT. */
int rec_inode_wait_dirent(struct kv_txn *t, struct rec_inode_read *r, const struct fmt_dirent *d,
                          struct rec_inode *ret);

/* What to want of the inode that D names, to have all of its attributes with the fewest reads. */
static inline enum rec_inode_want rec_inode_want_dirent(const struct fmt_dirent *d)
{
        return S_ISDIR(d->type) ? REC_INODE_DIR : REC_INODE_RECORD;
}

/* What changed besides times, for those who depend on less than the whole inode. */
enum rec_inode_changed {
        REC_CHANGED_SIZE = 1 << 0,
        REC_CHANGED_OWNER = 1 << 1, /* uid, gid or mode */
        REC_CHANGED_EXIST = 1 << 2, /* nlink */
};

/* Writes the record and moves the change counter on. */
int rec_inode_store(struct kv_txn *t, const struct rec_inode *inode, unsigned changed);
/* Writes a new inode's record. */
int rec_inode_store_new(struct kv_txn *t, uint64_t ino, const struct fmt_inode *rec);

/* This transaction fails if somebody changes what ATTR stands for before it commits. Together with a
 * snapshot read of the record that is a dependence on this part of the inode alone. */
int rec_inode_depend(struct kv_txn *t, uint64_t ino, enum fmt_attr attr);

/* The same for the record as a whole. */
int rec_inode_depend_record(struct kv_txn *t, uint64_t ino);

/* This transaction changes what ATTR stands for. */
int rec_inode_disturb(struct kv_txn *t, uint64_t ino, enum fmt_attr attr);

/* Adds N to the counter ATTR, and nothing else: the record is not read. */
int rec_inode_add(struct kv_txn *t, uint64_t ino, enum fmt_attr attr, int64_t n);

#endif

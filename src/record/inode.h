/* SPDX-License-Identifier: MIT */
/* Inodes: the record, 'i' INO, and the partial updates 'i' INO \xfe that complete it. */
#ifndef RECORD_INODE_H
#define RECORD_INODE_H

#include "format/format.h"
#include "kv/kv.h"

/* ---- reading ------------------------------------------------------------------------------------ */

/* How much of an inode is read. */
enum rec_inode_want {
        REC_INODE_RECORD, /* the record alone: the times of a directory may be stale */
        REC_INODE_ATTR,   /* all that stat(2) shows, of an inode of unknown type */
        REC_INODE_DIR,    /* the same of an inode that should be a directory: saves a round trip */
};

/* An inode as it was read. Large (8 KiB), for the stack, not to be initialized as a whole. */
struct rec_inode {
        uint64_t ino;
        struct fmt_inode rec;
        bool dir_times;   /* times from \xfe are folded into REC */
        uint32_t subdirs; /* directories, unless only the record was wanted: directories in it */
        struct fmt_scratch scratch;
};

#define REC_INODE_KEY_MAX 16u

/* A read in flight. Must not move until rec_inode_wait. */
struct rec_inode_read {
        uint64_t ino;
        enum rec_inode_want want;
        unsigned flags;
        bool extras; /* the reads of \xfe keys were started */
        struct kv_read record, times, subdirs;
        uint8_t record_key[REC_INODE_KEY_MAX], times_key[REC_INODE_KEY_MAX], subdirs_key[REC_INODE_KEY_MAX];
};

/* Starts reading the inode; rec_inode_wait returns it. FLAGS: KV_SNAPSHOT or 0. An inode that is to be stored
 * again must be read without KV_SNAPSHOT. */
void rec_inode_start(struct kv_txn *t, struct rec_inode_read *r, uint64_t ino, enum rec_inode_want want,
                     unsigned flags);
/* 0, ENOENT, ERR_CORRUPT, or an error of the store. */
int rec_inode_wait(struct kv_txn *t, struct rec_inode_read *r, struct rec_inode *ret);
/* Starts and waits. */
int rec_inode_load(struct kv_txn *t, uint64_t ino, enum rec_inode_want want, unsigned flags,
                   struct rec_inode *ret);
/* As rec_inode_wait, for the inode that the directory entry D names: ERR_CORRUPT if it is missing, unlinked
 * or of another type. */
int rec_inode_wait_dirent(struct kv_txn *t, struct rec_inode_read *r, const struct fmt_dirent *d,
                          struct rec_inode *ret);

/* Returns which parts of the inode that D names to read, to get all of its attributes with the fewest
 * reads. */
static inline enum rec_inode_want rec_inode_want_dirent(const struct fmt_dirent *d)
{
        return S_ISDIR(d->type) ? REC_INODE_DIR : REC_INODE_RECORD;
}

/* ---- writing ------------------------------------------------------------------------------------ */

/* The parts of an inode that changed besides times, for transactions that depend on a part of it. */
enum rec_inode_changed {
        REC_CHANGED_SIZE = 1 << 0,
        REC_CHANGED_OWNER = 1 << 1, /* uid, gid or mode */
        REC_CHANGED_EXIST = 1 << 2, /* nlink */
};

/* Writes the record and increments the change counter. */
int rec_inode_store(struct kv_txn *t, const struct rec_inode *inode, unsigned changed);
/* Writes the record alone: of a new inode, or a change that no cache has to notice. */
int rec_inode_store_new(struct kv_txn *t, uint64_t ino, const struct fmt_inode *rec);
/* Clears the record with all keys below it: attributes, locks and counters. */
int rec_inode_clear(struct kv_txn *t, uint64_t ino);

/* Adds N to the counter ATTR without reading anything. */
int rec_inode_add(struct kv_txn *t, uint64_t ino, enum fmt_attr attr, int64_t n);

/* Makes the transaction conflict with changes of the part of the inode that ATTR stands for. Together with a
 * snapshot read of the record that is a dependence on this part alone. */
int rec_inode_depend(struct kv_txn *t, uint64_t ino, enum fmt_attr attr);
/* The same for the record as a whole. */
int rec_inode_depend_record(struct kv_txn *t, uint64_t ino);
/* Makes transactions that depend on ATTR conflict with this one. */
int rec_inode_disturb(struct kv_txn *t, uint64_t ino, enum fmt_attr attr);

/* ---- allocated bytes beside the record ----------------------------------------------------------- */

/* A read in flight of FMT_ATTR_BLOCKS: the bytes that the record's `allocated` lacks. */
struct rec_allocated_read {
        struct fmt_key key;
        struct kv_read read;
        bool exists;
        int64_t n;
};

void rec_allocated_start(struct kv_txn *t, struct rec_allocated_read *r, uint64_t ino);
int rec_allocated_wait(struct kv_txn *t, struct rec_allocated_read *r);
/* Adds the bytes to REC, which the caller stores, and clears the counter. */
int rec_allocated_fold(struct kv_txn *t, const struct rec_allocated_read *r, struct fmt_inode *rec);

#endif

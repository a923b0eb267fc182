/* SPDX-License-Identifier: MIT */
/* Directory entries, 'd' DIR NAME, and the changes of the directory's inode that go with them. */
#ifndef RECORD_DIRENT_H
#define RECORD_DIRENT_H

#include "record/inode.h"

/* ---- entries ------------------------------------------------------------------------------------ */

/* A read in flight. Must not move until rec_dirent_wait. */
struct rec_dirent_read {
        struct fmt_key key;
        struct kv_read read;
};

/* Starts reading the entry NAME of DIR; rec_dirent_wait returns it. */
void rec_dirent_start(struct kv_txn *t, struct rec_dirent_read *r, uint64_t dir, struct slice name);
/* 0, ENOENT, ERR_CORRUPT, or an error of the store. */
int rec_dirent_wait(struct kv_txn *t, struct rec_dirent_read *r, struct fmt_dirent *ret);

int rec_dirent_set(struct kv_txn *t, uint64_t dir, struct slice name, uint64_t ino, uint32_t mode);
int rec_dirent_clear(struct kv_txn *t, uint64_t dir, struct slice name);

/* Iterates over the entries of a directory in the order of their names, as a snapshot. */
struct rec_dirents {
        struct fmt_key begin, end;
        struct kv_range range;
};

/* Starts the iteration behind the name AFTER; empty: at the first entry. */
void rec_dirents_start(struct kv_txn *t, struct rec_dirents *r, uint64_t dir, struct slice after);
/* Returns 1 and the next entry (its name is valid until the next call), 0 at the end, ERR_CORRUPT, or an
 * error of the store. */
int rec_dirents_next(struct rec_dirents *r, struct slice *ret_name, struct fmt_dirent *ret);
void rec_dirents_end(struct rec_dirents *r);
#define _cleanup_dirents_ _cleanup_(rec_dirents_end)

/* ---- the directory itself ------------------------------------------------------------------------ */

/* Returns why DIR has no entry: ENOTDIR if it is not a directory, else ENOENT. */
int rec_dirent_missing(struct kv_txn *t, uint64_t dir);
/* The same for a directory whose record is being read. */
int rec_dirent_missing_wait(struct kv_txn *t, struct rec_inode_read *dir);

/* Returns 0 or ENOTEMPTY. The transaction conflicts with every entry made in DIR. */
int rec_dir_check_empty(struct kv_txn *t, uint64_t dir);

/* Starts reading DIR, in which a name is to be made. The transaction depends on its existence, mode and owner
 * only, so changes of its entries do not conflict. */
int rec_parent_start(struct kv_txn *t, struct rec_inode_read *r, uint64_t dir);
/* As rec_inode_wait; also ENOTDIR, and ENOENT for a directory that was removed. */
int rec_parent_wait(struct kv_txn *t, struct rec_inode_read *r, struct rec_inode *ret);

/* Records a change of DIR's entries: its times, its change counter and its links (SUBDIRS: -1, 0 or 1), all
 * by atomic operations, so that changes in one directory do not conflict with each other. */
int rec_dir_touch(struct kv_txn *t, uint64_t dir, struct timespec now, int subdirs);

#endif

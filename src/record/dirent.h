/* SPDX-License-Identifier: MIT */
/* Directories: entries under 'd', and what every change of them touches in the directory's inode. */
#ifndef RECORD_DIRENT_H
#define RECORD_DIRENT_H

#include "record/inode.h"

/* A directory entry being read. */
struct rec_dirent_read {
        struct fmt_key key;
        struct kv_read read;
};

void rec_dirent_start(struct kv_txn *t, struct rec_dirent_read *r, uint64_t dir, struct slice name);
/* 0, ENOENT, ERR_CORRUPT, or an error of the store. */
int rec_dirent_wait(struct kv_txn *t, struct rec_dirent_read *r, struct fmt_dirent *ret);
int rec_dirent_set(struct kv_txn *t, uint64_t dir, struct slice name, uint64_t ino, uint32_t mode);
int rec_dirent_clear(struct kv_txn *t, uint64_t dir, struct slice name);

/* Why DIR holds no entry: ENOTDIR if it is no directory, else ENOENT. */
int rec_dirent_missing(struct kv_txn *t, uint64_t dir);
/* The same of a directory whose record is being read. */
int rec_dirent_missing_wait(struct kv_txn *t, struct rec_inode_read *dir);

/* 0 or ENOTEMPTY, with a conflict against anything being made in DIR. */
int rec_dir_check_empty(struct kv_txn *t, uint64_t dir);

/* ---- the directory itself ------------------------------------------------------------------------ */

/* Starts reading DIR as a place for new names: its existence, mode and owner, so that changes in it by
 * others do not conflict. */
int rec_parent_start(struct kv_txn *t, struct rec_inode_read *r, uint64_t dir);
/* As rec_inode_wait; also ENOTDIR, and ENOENT for a directory that was removed. */
int rec_parent_wait(struct kv_txn *t, struct rec_inode_read *r, struct rec_inode *ret);

/* Notes a change of DIR's entries: its times, its change counter and (SUBDIRS of -1, 0, 1) its links, all
 * by atomic operations, so that many can change one directory at a time. */
int rec_dir_touch(struct kv_txn *t, uint64_t dir, struct timespec now, int subdirs);

#endif

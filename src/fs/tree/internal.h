/* SPDX-License-Identifier: MIT */
/* Functions that several calls on names share. Private to tree. */
#ifndef FS_TREE_INTERNAL_H
#define FS_TREE_INTERNAL_H

#include "record/inode.h"

/* Returns 0, ENAMETOOLONG, or EINVAL for a name that no directory can hold ("." and ".." too). */
int fs_name_check(struct slice name);

/* Takes one name from INODE (loaded without KV_SNAPSHOT, nlink > 0) and stores it. If that was the last name,
 * the inode is listed under 'g', tagged EPOCH, and the caller calls fs_gc_unlinked after the commit. */
int fs_link_drop(struct kv_txn *t, struct rec_inode *inode, uint64_t epoch, struct timespec now);

#endif

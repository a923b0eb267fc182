/* SPDX-License-Identifier: MIT */
/* What the calls on names share. Private to tree. */
#ifndef FS_TREE_INTERNAL_H
#define FS_TREE_INTERNAL_H

#include "fs/inode/inode.h"
#include "fs/run.h"
#include "record/counter.h"
#include "record/garbage.h"
#include "record/inode.h"

/* 0, ENAMETOOLONG, or EINVAL for what no directory can hold ("." and ".." too). */
int fs_name_check(struct slice name);

/* Takes one name from INODE (loaded without KV_SNAPSHOT, nlink > 0) and stores it. With the last one it goes
 * under 'g', tagged EPOCH; after the commit the caller tells the collector. */
int fs_link_drop(struct kv_txn *t, struct rec_inode *inode, uint64_t epoch, struct timespec now);

#endif

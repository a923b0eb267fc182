/* SPDX-License-Identifier: MIT */
/* Parts of removing a name that unlink, rmdir and rename share. */
#ifndef FS_TREE_LINK_H
#define FS_TREE_LINK_H

#include "fs/inode/inode.h"

/* Takes one name from INODE (loaded without KV_SNAPSHOT, nlink > 0) and stores it. With the last one it goes
 * under 'g', tagged EPOCH; after the commit the caller tells the collector. */
int fs_link_drop(struct kv_txn *t, struct fs_inode *inode, uint64_t epoch, struct timespec now);

/* 0 or ENOTEMPTY, with a conflict against anything being made in DIR. */
int fs_dir_check_empty(struct kv_txn *t, uint64_t dir);

#endif

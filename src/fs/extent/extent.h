/* SPDX-License-Identifier: MIT */
/* Changing a file's size. Shrinking by more than one transaction may clear leaves a mark (trim_from) in the
 * inode and its number under 'g': blocks from there on are dead, and cleared in bounded steps. */
#ifndef FS_EXTENT_TRUNCATE_H
#define FS_EXTENT_TRUNCATE_H

#include "fs/inode/inode.h"

/* What a body returns that would bring dead blocks to life: fs_trim_finish, and run it again. */
#define FS_TRIM_FIRST 1

/* Gives INODE (a regular file loaded without KV_SNAPSHOT, stored by the caller afterwards) SIZE bytes. The
 * caller has waited for all of its reads. 0, FS_TRIM_FIRST, EFBIG or an error. */
int fs_resize(struct fs *fs, struct kv_txn *t, struct rec_inode *inode, uint64_t size);

/* Whether writing or extending up to END would bring dead blocks to life. */
static inline bool fs_trim_blocks(const struct rec_inode *inode, uint64_t end)
{
        return inode->rec.trim_from != 0 && end > inode->rec.trim_from;
}

/* One step in a transaction of its own: 1 if more remains, 0 when nothing does. */
int fs_trim_step(struct fs *fs, uint64_t ino);

/* All steps, also of blocks that a mount is writing: it notices, and writes them again. */
int fs_trim_finish(struct fs *fs, uint64_t ino);

/* The same, but blocks are left alone as long as the mount that is writing them is registered. */
int fs_trim_abandoned(struct fs *fs, uint64_t ino);

/* After a resize that left a mark: a bounded number of steps now, the others by the collector. */
void fs_trim_begin(struct fs *fs, uint64_t ino);

#endif

/* SPDX-License-Identifier: MIT */
/* Clearing inodes that 'g' lists: many small ones in one transaction, a large one in many. Private to gc. */
#ifndef FS_GC_CLEAR_H
#define FS_GC_CLEAR_H

#include "fs/gc/queue.h"

/* Inodes in one transaction. */
#define GC_GROUP 64u

/* Collects the inodes INOS, at most GC_GROUP. AT_UNMOUNT: also those that this mount refers to, and without
 * stopping early. Sets the collector's OTHERS and LEFT. A damaged inode is logged and does not keep the
 * others from being collected. 0 or an error of the store. */
int gc_clear(struct fs_gc *c, const uint64_t *inos, unsigned n, bool at_unmount);

/* Whether no other mount is registered: 1 or 0. The transaction conflicts with registrations. */
int gc_is_only_mount(const struct fs *fs, struct kv_txn *t);

#endif

/* SPDX-License-Identifier: MIT */
/* The table of inodes in use: how many references to each inode the mount has handed out, and which of
 * them have lost their last name, or never had one. 16 bytes an entry, 20 to 26 with the free slots between.
 * All functions: any thread. */
#ifndef FS_INODE_INUSE_H
#define FS_INODE_INUSE_H

#include <stdbool.h>
#include <stdint.h>

struct fs_inuse;

/* NULL: no memory. */
struct fs_inuse *fs_inuse_new(void);
/* Takes NULL. */
void fs_inuse_free(struct fs_inuse *u);

/* One more reference to INO (not 0). 0 or ENOMEM. */
int fs_inuse_add(struct fs_inuse *u, uint64_t ino);

/* N references less; more than there are count as all. True if that was the last one of an orphan. */
bool fs_inuse_drop(struct fs_inuse *u, uint64_t ino, uint64_t n);

/* If INO is in use: marks it as an orphan, so that the last drop reports it, and returns true. */
bool fs_inuse_orphan(struct fs_inuse *u, uint64_t ino);

/* Notes of INO, if it is in use, whether it never had a name: such a one may get its first. */
void fs_inuse_set_nameless(struct fs_inuse *u, uint64_t ino, bool nameless);
bool fs_inuse_is_nameless(struct fs_inuse *u, uint64_t ino);

#endif

/* SPDX-License-Identifier: MIT */
/* What this mount has met lately, so that less has to be read, or more at once. On a local store, where that
 * saves nothing, nothing is remembered (FS->hints is NULL). All functions: any thread.
 *
 * Which inode a name led to: so that it can be read beside the directory entry instead of after it. What the
 * entry then says decides; a hint may be old, or lost.
 * Which inodes are directories: so that the keys that only directories have are not read of others. An inode
 * is what it is for ever, and no number is used twice. */
#ifndef FS_INODE_HINTS_H
#define FS_INODE_HINTS_H

#include "fs/inode/inode.h"

struct fs_hints *fs_hints_new(void);
/* Takes NULL. */
void fs_hints_free(struct fs_hints *h);

/* DIR/NAME is INO, of this type. */
void fs_hint(struct fs *fs, uint64_t dir, struct slice name, uint64_t ino, uint32_t type);

/* What to want of INO, to have all its attributes with the fewest reads. */
enum fs_inode_want fs_hint_want(const struct fs *fs, uint64_t ino);

/* An inode that is being read as what a name leads to. */
struct fs_guess {
        unsigned flags;
        bool made, whole;
        struct fmt_dirent dirent; /* as it is expected */
        struct fs_inode_read read;
};

/* Starts reading the inode that DIR/NAME led to lately, if that is known; then MADE is true. WHOLE: with all
 * attributes, else the record alone. FLAGS as of fs_inode_start. */
void fs_guess_start(struct fs *fs, struct kv_txn *t, struct fs_guess *g, uint64_t dir, struct slice name,
                    bool whole, unsigned flags);
/* The entry says D: starts reading that inode if it is another one. */
void fs_guess_settle(struct fs *fs, struct kv_txn *t, struct fs_guess *g, const struct fmt_dirent *d);
/* Then: as fs_inode_wait_dirent. */
int fs_guess_wait(struct kv_txn *t, struct fs_guess *g, const struct fmt_dirent *d, struct fs_inode *ret);

#endif

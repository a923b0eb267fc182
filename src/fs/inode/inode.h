/* SPDX-License-Identifier: MIT */
/* What a mount knows and decides about single inodes: their attributes, numbers, access times and privileges,
 * which of them the kernel refers to, and hints that save reads. The records themselves are record/inode.h's.
 */
#ifndef FS_INODE_INODE_H
#define FS_INODE_INODE_H

#include "fs/state.h"
#include "record/dirent.h"
#include "record/inode.h"
#include "record/xattr.h"

/* ---- attributes (attr.c) ----------------------------------------------------------------------- */

/* What stat(2) shows. INODE was read with REC_INODE_ATTR or REC_INODE_DIR, or is no directory. */
void fs_attr_fill(const struct rec_inode *inode, struct fs_attr *ret);
/* The same of a new inode that nothing refers to yet. */
void fs_attr_fill_new(uint64_t ino, const struct fmt_inode *rec, struct fs_attr *ret);

/* ---- numbers (numbers.c) ----------------------------------------------------------------------- */

/* Begins with the numbers that came with the session, if there is one. */
void fs_numbers_init(struct fs *fs);
/* A fresh inode number, never handed out before. */
int fs_number_take(struct fs *fs, uint64_t *ret);

/* ---- access times (atime.c) -------------------------------------------------------------------- */

/* Whether reading INODE (loaded with its times) now changes its access time under the mount's policy. */
bool fs_atime_due(const struct fs *fs, const struct rec_inode *inode, struct timespec now);
/* Sets it, in a transaction of its own. Errors are ignored: the read itself succeeded. */
void fs_atime_set(struct fs *fs, uint64_t ino, struct timespec now);

/* ---- privileges (priv.c) ----------------------------------------------------------------------- */

/* The privileges of a file that a change by others takes away: setuid, setgid, file capabilities. */
/* Takes setuid, and setgid where it is one (group-executable), from a MODE. True if that changed it. */
bool fs_priv_kill_mode(uint32_t *mode);

/* A read in flight of the attribute security.capability. */
struct fs_priv_read {
        uint64_t ino;
        struct rec_xattr_read xattr;
};

/* Starts reading the attribute; fs_priv_wait_clear clears it. */
void fs_priv_start(struct kv_txn *t, struct fs_priv_read *r, uint64_t ino);
/* Clears the attribute if it exists: 1 if it did, 0 if not. It writes, so all other reads must be waited for
 * before. */
int fs_priv_wait_clear(struct kv_txn *t, struct fs_priv_read *r);

/* ---- references (inuse.c) ---------------------------------------------------------------------- */

/* The table of inodes in use: how many references to each inode the mount has handed out, and which of
 * them have lost their last name, or never had one. 16 bytes an entry, 20 to 26 with the free slots between.
 * All functions: any thread. */
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

/* ---- hints (hints.c) --------------------------------------------------------------------------- */

/* What this mount has met lately, so that less has to be read, or more at once. On a local store, where that
 * saves nothing, nothing is remembered (FS->hints is NULL). All functions: any thread.
 *
 * Which inode a name led to: so that it can be read beside the directory entry instead of after it. What the
 * entry then says decides; a hint may be old, or lost.
 * Which inodes are directories: so that the keys that only directories have are not read of others. An inode
 * is what it is for ever, and no number is used twice. */
struct fs_hints *fs_hints_new(void);
/* Takes NULL. */
void fs_hints_free(struct fs_hints *h);

/* DIR/NAME is INO, of this type. */
void fs_hint(struct fs *fs, uint64_t dir, struct slice name, uint64_t ino, uint32_t type);

/* What to want of INO, to have all its attributes with the fewest reads. */
enum rec_inode_want fs_hint_want(const struct fs *fs, uint64_t ino);

/* An inode that is being read as what a name leads to. */
struct fs_guess {
        unsigned flags;
        bool made, whole;
        struct fmt_dirent dirent; /* as it is expected */
        struct rec_inode_read read;
};

/* Starts reading the inode that DIR/NAME led to lately, if that is known; then MADE is true. WHOLE: with all
 * attributes, else the record alone. FLAGS as of rec_inode_start. */
void fs_guess_start(struct fs *fs, struct kv_txn *t, struct fs_guess *g, uint64_t dir, struct slice name,
                    bool whole, unsigned flags);
/* The entry says D: starts reading that inode if it is another one. */
void fs_guess_settle(struct fs *fs, struct kv_txn *t, struct fs_guess *g, const struct fmt_dirent *d);
/* Then: as rec_inode_wait_dirent. */
int fs_guess_wait(struct kv_txn *t, struct fs_guess *g, const struct fmt_dirent *d, struct rec_inode *ret);

#endif

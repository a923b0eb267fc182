/* SPDX-License-Identifier: MIT */
/* Single inodes in a mount: attributes, numbers, access times, privileges, references of the kernel, and
 * hints that save reads. The records themselves are in record/inode.h. Any thread. */
#ifndef FS_INODE_INODE_H
#define FS_INODE_INODE_H

#include "base/hash.h"
#include "fs/state.h"
#include "record/dirent.h"
#include "record/inode.h"
#include "record/xattr.h"

/* ---- attributes (attr.c) ------------------------------------------------------------------------ */

/* Fills in what stat(2) shows. INODE was read with REC_INODE_ATTR or REC_INODE_DIR, or is not a directory. */
void fs_attr_fill(const struct rec_inode *inode, struct fs_attr *ret);
/* The same for a new inode. */
void fs_attr_fill_new(uint64_t ino, const struct fmt_inode *rec, struct fs_attr *ret);

/* ---- numbers (numbers.c) ------------------------------------------------------------------------ */

/* Begins with the numbers that came with the session, if there is one. */
void fs_numbers_init(struct fs *fs);
/* Takes an inode number that was never used. */
int fs_number_take(struct fs *fs, uint64_t *ret);

/* ---- access times (atime.c) --------------------------------------------------------------------- */

/* Whether reading INODE (loaded with its times) now changes its access time under the mount's policy. */
bool fs_atime_due(const struct fs *fs, const struct rec_inode *inode, struct timespec now);
/* Sets the access time in a separate transaction. Errors are ignored: the read itself succeeded. */
void fs_atime_set(struct fs *fs, uint64_t ino, struct timespec now);

/* ---- privileges (priv.c) ------------------------------------------------------------------------ */

/* Privileges that a file loses when it is written or changes its owner: setuid, setgid, file capabilities. */

enum fs_priv_kill {
        FS_PRIV_WRITE, /* data is changed by a caller that may not keep the bits */
        FS_PRIV_CHOWN, /* the owner is changed by a caller that may */
};

/* Removes set-user-ID and set-group-ID from MODE; the latter on FS_PRIV_CHOWN only with execution for the
 * group. Returns whether MODE changed. */
bool fs_priv_kill_mode(uint32_t *mode, enum fs_priv_kill why);

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

/* ---- references (inuse.c) ----------------------------------------------------------------------- */

/* The table of inodes in use: how many references the mount has given out for each inode, and which of them
 * are orphans (their last name is gone) or nameless (they never had one). 16 bytes an entry, 20 to 26 with
 * the free slots. */
struct fs_inuse;

/* NULL: no memory. */
struct fs_inuse *fs_inuse_new(const struct hash_seed *seed);
/* Takes NULL. */
void fs_inuse_free(struct fs_inuse *u);

/* Adds a reference to INO (not 0). 0 or ENOMEM. */
int fs_inuse_add(struct fs_inuse *u, uint64_t ino);

/* Removes N references, at most all. Returns whether that was the last one of an orphan. */
bool fs_inuse_drop(struct fs_inuse *u, uint64_t ino, uint64_t n);

/* If INO is in use: marks it as an orphan, so that the last drop reports it, and returns true. */
bool fs_inuse_orphan(struct fs_inuse *u, uint64_t ino);

/* Marks INO, if it is in use, as an inode that never had a name: it may get its first. */
void fs_inuse_set_nameless(struct fs_inuse *u, uint64_t ino, bool nameless);
bool fs_inuse_is_nameless(struct fs_inuse *u, uint64_t ino);

/* ---- hints (hints.c) ---------------------------------------------------------------------------- */

/* Results of earlier reads of this mount, with which later ones read less, or more at once. On a local store,
 * where that saves nothing, there are none (FS->hints is NULL). They hold two things: - Which inode a name
 * led to, so that it can be read beside the directory entry instead of after it. The entry decides; a hint
 * may be outdated or lost. - Which inodes are directories, so that keys that only directories have are not
 * read for others. The type of an inode never changes, and no number is used twice. */
struct fs_hints;

/* NULL: no memory. */
struct fs_hints *fs_hints_new(const struct hash_seed *seed);
/* Takes NULL. */
void fs_hints_free(struct fs_hints *h);

/* Remembers that DIR/NAME is INO, of this type. */
void fs_hint(struct fs *fs, uint64_t dir, struct slice name, uint64_t ino, uint32_t type);

/* Returns which parts of INO to read, to get all of its attributes with the fewest reads. */
enum rec_inode_want fs_hint_want(const struct fs *fs, uint64_t ino);

/* A read in flight of the inode that a name leads to. */
struct fs_guess {
        unsigned flags;
        bool made, whole;
        struct fmt_dirent dirent; /* as expected */
        struct rec_inode_read read;
};

/* Starts reading the inode that DIR/NAME led to before; G->made says whether there was a hint. WHOLE: with
 * all attributes, else the record alone. FLAGS: as rec_inode_start. */
void fs_guess_start(struct fs *fs, struct kv_txn *t, struct fs_guess *g, uint64_t dir, struct slice name,
                    bool whole, unsigned flags);
/* Starts reading the inode of the entry D, unless the guess was right. */
void fs_guess_resolve(struct fs *fs, struct kv_txn *t, struct fs_guess *g, const struct fmt_dirent *d);
/* As rec_inode_wait_dirent, after fs_guess_resolve. */
int fs_guess_wait(struct kv_txn *t, struct fs_guess *g, const struct fmt_dirent *d, struct rec_inode *ret);

#endif

/* SPDX-License-Identifier: MIT */
/* The privileges of a file that a change by others takes away: setuid, setgid, file capabilities. */
#ifndef FS_INODE_PRIV_H
#define FS_INODE_PRIV_H

#include "fs/state.h"

/* Takes setuid, and setgid where it is one (group-executable), from a MODE. True if that changed it. */
bool fs_priv_kill_mode(uint32_t *mode);

/* The xattr security.capability, being read. */
struct fs_priv_read {
        struct fmt_key key;
        struct kv_read read;
};

void fs_priv_start(struct kv_txn *t, struct fs_priv_read *r, uint64_t ino);
/* Clears it if it is there: 1 if it was, 0 if not. A write, so wait for all other reads first. */
int fs_priv_wait_clear(struct kv_txn *t, struct fs_priv_read *r);

#endif

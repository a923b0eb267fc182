/* SPDX-License-Identifier: MIT */
/* Locks on an inode, 'i' INO \x00 PID ID. PID is the mount that holds the lock, ID distinguishes the mount's
 * locks on this inode. A lock of a mount without a session counts as absent. */
#ifndef RECORD_LOCK_H
#define RECORD_LOCK_H

#include "format/format.h"
#include "kv/kv.h"

/* A lock as it is stored. */
struct rec_lock {
        uint8_t pid[FMT_PID_SIZE];
        struct slice id; /* valid until the next call of the iteration */
        struct fmt_lock lock;
};

int rec_lock_set(struct kv_txn *t, uint64_t ino, const uint8_t pid[FMT_PID_SIZE], struct slice id,
                 const struct fmt_lock *lock);
int rec_lock_clear(struct kv_txn *t, uint64_t ino, const uint8_t pid[FMT_PID_SIZE], struct slice id);
/* Clears all locks that the mount PID holds on the inode. */
int rec_lock_clear_mount(struct kv_txn *t, uint64_t ino, const uint8_t pid[FMT_PID_SIZE]);

/* Iterates over the locks on an inode, in the order of their keys. */
struct rec_locks {
        struct fmt_key begin, end;
        struct kv_range range;
};

/* Starts the iteration. It conflicts with every lock set or cleared on the inode, unless SNAPSHOT. */
void rec_locks_start(struct kv_txn *t, struct rec_locks *r, uint64_t ino, bool snapshot);
/* Returns 1 and the next lock, 0 at the end, ERR_CORRUPT, or an error of the store. */
int rec_locks_next(struct rec_locks *r, struct rec_lock *ret);
void rec_locks_end(struct rec_locks *r);
#define _cleanup_locks_ _cleanup_(rec_locks_end)

#endif

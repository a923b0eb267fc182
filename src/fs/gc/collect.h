/* SPDX-License-Identifier: MIT */
/* The collector: a thread that clears what 'g' names - inodes without names once nobody uses them, and
 * blocks beyond a truncated file's end. */
#ifndef FS_GC_COLLECT_H
#define FS_GC_COLLECT_H

#include "fs/inode/inode.h"

/* Starts the collector and has it look for what earlier mounts left. 0 or a negative errno. */
int fs_collector_start(struct fs *fs);

/* Collects everything under 'g', whatever references remain (but not what other mounts may use), and ends the
 * thread. */
void fs_collector_stop(struct fs *fs);

/* Moves on before the collector looks at who uses an inode: a reference that was taken after a read of the
 * store counts from that read on if the generation did not change from before the read to after the
 * taking. */
uint64_t fs_collector_generation(const struct fs *fs);

/* INO has blocks to be trimmed. */
void fs_collector_add(struct fs *fs, uint64_t ino);

/* INO lost its last reference after its last name. */
void fs_collector_orphan(struct fs *fs, uint64_t ino);

/* INO lost its last name, and that is committed: collected now or when its last reference goes. */
void fs_collector_unlinked(struct fs *fs, uint64_t ino);

/* Waits until what is waiting to be collected now has been, or could not be. Not from the collector's
 * thread. */
void fs_collector_settle(struct fs *fs);

/* The epoch with which a 'g' entry is tagged, being read. It is read with conflict, as docs/DESIGN.md
 * says: who unlinks and who declares an epoch over must not miss each other. */
struct fs_epoch_read {
        struct fmt_key key;
        struct kv_read read;
};

void fs_epoch_start(struct kv_txn *t, struct fs_epoch_read *r);
int fs_epoch_wait(struct kv_txn *t, struct fs_epoch_read *r, uint64_t *ret);
int fs_garbage_set(struct kv_txn *t, uint64_t ino, uint64_t epoch);

#endif

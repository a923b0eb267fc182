/* SPDX-License-Identifier: MIT */
/* The collector: a thread that clears what 'g' names - inodes without names once nobody uses them, and
 * blocks beyond a truncated file's end. */
#ifndef FS_GC_GC_H
#define FS_GC_GC_H

#include "fs/state.h"

/* Starts the collector and has it look for what earlier mounts left. 0 or a negative errno. */
int fs_gc_start(struct fs *fs);

/* Collects everything under 'g', whatever references remain (but not what other mounts may use), and ends the
 * thread. */
void fs_gc_stop(struct fs *fs);

/* Moves on before the collector looks at who uses an inode: a reference that was taken after a read of the
 * store counts from that read on if the generation did not change from before the read to after the
 * taking. */
uint64_t fs_gc_generation(const struct fs *fs);

/* INO has blocks to be trimmed. */
void fs_gc_add(struct fs *fs, uint64_t ino);

/* INO lost its last reference after its last name. */
void fs_gc_orphan(struct fs *fs, uint64_t ino);

/* INO lost its last name, and that is committed: collected now or when its last reference goes. */
void fs_gc_unlinked(struct fs *fs, uint64_t ino);

/* Waits until what is waiting to be collected now has been, or could not be. Not from the collector's
 * thread. */
void fs_gc_settle(struct fs *fs);

#endif

/* SPDX-License-Identifier: MIT */
/* The garbage collector: a thread that clears what 'g' lists, inodes without names once nothing refers to
 * them, and blocks beyond the end of a truncated file. All functions but those for its start and end: any
 * thread; on a read-only mount they do nothing. */
#ifndef FS_GC_GC_H
#define FS_GC_GC_H

#include "fs/state.h"

/* Starts the collector, which first looks for what earlier mounts left. 0 or a negative errno. */
int fs_gc_start(struct fs *fs);

/* Wakes the collector after a remount. It pauses while the file system is read-only: then this waits until no
 * pass is under way. 0; EINTR, ERR_AWAY: one still is. */
int fs_gc_remounted(struct fs *fs);

/* Ends the thread and collects everything that 'g' lists, also inodes that this mount refers to, but not
 * those that other mounts may use. */
void fs_gc_stop(struct fs *fs);
/* Frees the collector, which was stopped, once no other thread uses the file system. Takes NULL. */
void fs_gc_free(struct fs_gc *c);

/* Changes before the collector looks at the references to an inode. A reference taken after a read of the
 * store counts from that read on if the generation is the same before the read and after the reference was
 * taken. */
uint64_t fs_gc_generation(const struct fs *fs);

/* Queues INO, which has blocks to be trimmed. */
void fs_gc_add(struct fs *fs, uint64_t ino);

/* Queues INO, which lost its last reference after its last name. */
void fs_gc_orphan(struct fs *fs, uint64_t ino);

/* Reports that INO lost its last name in a committed transaction: it is collected now, or when its last
 * reference goes. */
void fs_gc_unlinked(struct fs *fs, uint64_t ino);

/* Waits until everything queued before was collected or failed, or the wait was cancelled; on a shared mount
 * all that is listed. Not from the collector's thread. After fs_gc_stop it does nothing. */
void fs_gc_drain(struct fs *fs);

#endif

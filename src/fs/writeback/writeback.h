/* SPDX-License-Identifier: MIT */
/* Gathered writes: what the mount wrote and has not yet committed, per inode, in memory. A write is taken
 * there and returns; a flush commits it in large transactions, several in flight. Everything that reads in
 * this mount looks through here. docs/DESIGN.md says why and how. All functions: any thread; without
 * buffering (FS->writeback is NULL) they do nothing, and nothing is dirty. */
#ifndef FS_WRITEBACK_WRITEBACK_H
#define FS_WRITEBACK_WRITEBACK_H

#include "fs/state.h"

struct writeback;

/* Begins to writeback. 0 or ENOMEM. */
int fs_writeback_start(struct fs *fs, const struct fs_writeback_opts *opts);
/* Flushes everything, or gives the error with which that failed, and ends the threads. */
int fs_writeback_stop(struct fs *fs);

/* Takes DATA into memory: its length, or as much as was taken before an error, or the error. Waits at the
 * bounds. Not for FS_WRITE_APPEND. */
ssize_t fs_writeback_write(struct fs *fs, uint64_t ino, uint64_t offset, struct slice data, unsigned flags);

/* INO is a file that was just made: saves the first write to it a look. */
void fs_writeback_created(struct fs *fs, uint64_t ino);

/* The memory in use now. Only where writes are dirty. */
size_t fs_writeback_bytes(struct fs *fs);

/* Commits what was written to INO before the call; for operations that work on the store. */
int fs_writeback_flush(struct fs *fs, uint64_t ino);
/* The same for fsync and close: also tells, once, that something was lost since it was asked last. */
int fs_writeback_flush_tell(struct fs *fs, uint64_t ino);
/* Before INO is cut to SIZE. As fs_writeback_flush, but where the store has no room, what lies beyond SIZE is
 * dropped instead, since cutting may be what makes room. */
int fs_writeback_flush_cut(struct fs *fs, uint64_t ino, uint64_t size);
/* Everything. */
int fs_writeback_flush_all(struct fs *fs);

/* ---- reading ------------------------------------------------------------------------------------ */

/* A moment before a transaction that reads. What was dirty then is either still here when the
 * transaction has read, or it was committed meanwhile and the transaction may have missed it: then the
 * reader is told to begin again, with a new mark. */
typedef uint64_t fs_writeback_mark;
fs_writeback_mark fs_writeback_now(struct fs *fs);

/* Completes ATTR, which was read from the store after MARK. 0, or 1: read again. */
int fs_writeback_attr(struct fs *fs, fs_writeback_mark mark, struct fs_attr *attr);

/* The end of what is dirty of INO; 0: nothing is. */
uint64_t fs_writeback_end(struct fs *fs, uint64_t ino);
/* Lays what is dirty of INO over BUF, which holds LEN bytes from OFFSET on, read after MARK. BUF may be
 * NULL if fs_writeback_end was 0. 0, or 1: read again. */
int fs_writeback_apply(struct fs *fs, fs_writeback_mark mark, uint64_t ino, uint64_t offset, uint8_t *buf,
                       size_t len);

#endif

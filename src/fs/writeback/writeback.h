/* SPDX-License-Identifier: MIT */
/* The write-back cache: data that this mount wrote and has not committed, in memory, by inode. A write is
 * taken there and returns; a flush commits it in large transactions, several in flight. All reads of this
 * mount look here. docs/DESIGN.md says why and how. All functions: any thread. Without a cache
 * (FS->writeback is NULL) they do nothing, and nothing is dirty. */
#ifndef FS_WRITEBACK_WRITEBACK_H
#define FS_WRITEBACK_WRITEBACK_H

#include "fs/state.h"

struct writeback;

/* Starts the cache: 0 or ENOMEM. */
int fs_writeback_start(struct fs *fs, const struct fs_writeback_opts *opts);
/* Flushes everything, or returns why that failed, and ends the threads. */
int fs_writeback_stop(struct fs *fs);

/* Takes DATA into memory: its length, or as much as was taken before an error, or the error. Waits while the
 * limits are reached. Not for FS_WRITE_APPEND. */
ssize_t fs_writeback_write(struct fs *fs, uint64_t ino, uint64_t offset, struct slice data, unsigned flags);

/* Notes that INO is a file that was just made, so that the first write to it need not check its type. */
void fs_writeback_created(struct fs *fs, uint64_t ino);

/* The memory in use, bytes. Only where there is a cache. */
size_t fs_writeback_bytes(struct fs *fs);

/* Commits the writes to INO that precede the call; for operations that work on the store. */
int fs_writeback_flush(struct fs *fs, uint64_t ino);
/* The same for fsync and close: also reports, once, that data was lost since the last report. */
int fs_writeback_flush_report(struct fs *fs, uint64_t ino);
/* The same as fs_writeback_flush, before INO is cut to SIZE. In a store without space, dirty data beyond
 * SIZE is dropped instead, since cutting may be what frees space. */
int fs_writeback_flush_cut(struct fs *fs, uint64_t ino, uint64_t size);
/* Commits what was written to any inode. */
int fs_writeback_flush_all(struct fs *fs);

/* ---- reading ------------------------------------------------------------------------------------ */

/* A point in the order of commits and cuts, taken before a transaction that reads. What was dirty then
 * either still is when the transaction has read, or it was committed since and the transaction may have
 * missed it: then the reader has to read again, with a new mark. */
typedef uint64_t fs_writeback_mark;
fs_writeback_mark fs_writeback_now(struct fs *fs);

/* Completes ATTR, which was read from the store after MARK. 0, or 1: read again. */
int fs_writeback_attr(struct fs *fs, fs_writeback_mark mark, struct fs_attr *attr);

/* The end of INO's dirty data; 0: there is none. */
uint64_t fs_writeback_end(struct fs *fs, uint64_t ino);
/* Copies INO's dirty data over BUF, which holds LEN bytes from OFFSET on, read after MARK. BUF may be
 * NULL if fs_writeback_end was 0. 0, or 1: read again. */
int fs_writeback_apply(struct fs *fs, fs_writeback_mark mark, uint64_t ino, uint64_t offset, uint8_t *buf,
                       size_t len);

#endif

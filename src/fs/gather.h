/* Gathered writes: what the mount wrote and has not yet committed, per inode, in memory. A write is taken
 * there and returns; a flush commits it in large transactions, several in flight. Everything that reads in
 * this mount looks through here. docs/DESIGN.md says why and how. All functions: any thread; without
 * gathering (FS->gather is NULL) they do nothing, and nothing is gathered. */
#ifndef FS_GATHER_H
#define FS_GATHER_H

#include "fs/core.h"

struct gather;

/* Begins to gather. 0 or ENOMEM. */
int fs_gather_start(struct fs *fs, const struct fs_gather_opts *opts);
/* Flushes everything, or gives the error with which that failed, and ends the threads. */
int fs_gather_stop(struct fs *fs);

/* Takes DATA into memory: its length, or as much as was taken before an error, or the error. Waits at the
 * bounds. Not for FS_WRITE_APPEND. */
ssize_t fs_gather_write(struct fs *fs, uint64_t ino, uint64_t offset, struct slice data, unsigned flags);

/* INO is a file that was just made: saves the first write to it a look. */
void fs_gather_created(struct fs *fs, uint64_t ino);

/* The memory in use now. Only where writes are gathered. */
size_t fs_gather_bytes(struct fs *fs);

/* Commits what was written to INO before the call; for operations that work on the store. */
int fs_gather_flush(struct fs *fs, uint64_t ino);
/* The same for fsync and close: also tells, once, that something was lost since it was asked last. */
int fs_gather_flush_tell(struct fs *fs, uint64_t ino);
/* Before INO is cut to SIZE. As fs_gather_flush, but where the store has no room, what lies beyond SIZE is
 * dropped instead, since cutting may be what makes room. */
int fs_gather_flush_cut(struct fs *fs, uint64_t ino, uint64_t size);
/* Everything. */
int fs_gather_flush_all(struct fs *fs);

/* ---- reading ------------------------------------------------------------------------------------ */

/* A moment before a transaction that reads. What was gathered then is either still here when the
 * transaction has read, or it was committed meanwhile and the transaction may have missed it: then the
 * reader is told to begin again, with a new mark. */
typedef uint64_t fs_gather_mark;
fs_gather_mark fs_gather_now(struct fs *fs);

/* Completes ATTR, which was read from the store after MARK. 0, or 1: read again. */
int fs_gather_attr(struct fs *fs, fs_gather_mark mark, struct fs_attr *attr);

/* The end of what is gathered of INO; 0: nothing is. */
uint64_t fs_gather_end(struct fs *fs, uint64_t ino);
/* Lays what is gathered of INO over BUF, which holds LEN bytes from OFFSET on, read after MARK. BUF may be
 * NULL if fs_gather_end was 0. 0, or 1: read again. */
int fs_gather_apply(struct fs *fs, fs_gather_mark mark, uint64_t ino, uint64_t offset, uint8_t *buf,
                    size_t len);

#endif

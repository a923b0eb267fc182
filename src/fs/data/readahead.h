/* SPDX-License-Identifier: MIT */
/* Reading ahead, where a read costs a round trip: who reads a file from the front gets what comes next
 * from memory, fetched by several transactions at once.
 *
 * What was fetched may be out of date, so it only serves reads that begin within READAHEAD_MS after its
 * fetch began, and none behind a change by this mount or behind fs_drop_read_ahead. All functions: any
 * thread; where nothing is read ahead (FS->readahead is NULL) they do nothing. */
#ifndef FS_DATA_READAHEAD_H
#define FS_DATA_READAHEAD_H

#include "fs/state.h"

#define READAHEAD_MS 300u

/* 0 or ENOMEM. */
int fs_readahead_start(struct fs *fs);
/* No read may be under way. */
void fs_readahead_stop(struct fs *fs);

/* Before reading LEN bytes at OFFSET: notes it, and fetches what comes next if that looks like a pattern.
 * 1: the read is done, and FN was called with its result in *RET_RESULT; 0: it is still to be done. */
int fs_readahead_read(struct fs *fs, uint64_t ino, uint64_t offset, size_t len, fs_read_fn fn, void *arg,
                      int *ret_result);

/* After a change of INO was committed. */
void fs_readahead_drop(struct fs *fs, uint64_t ino);

#endif

/* SPDX-License-Identifier: MIT */
/* Read-ahead: the part of data that other folders call beside fs.h. Where a read costs a round
 * trip, a file that is read from the front is served from memory, filled by several transactions at once.
 * All functions: any thread. Where nothing is read ahead (FS->readahead is NULL) they do nothing. */
#ifndef FS_DATA_DATA_H
#define FS_DATA_DATA_H

#include "fs/state.h"

/* Starts reading ahead: 0 or ENOMEM. */
int fs_readahead_start(struct fs *fs);
/* Stops it; no read may be under way. */
void fs_readahead_stop(struct fs *fs);

/* Drops the data of INO that was read ahead: to be called after a change of INO was committed. */
void fs_readahead_drop(struct fs *fs, uint64_t ino);

#endif

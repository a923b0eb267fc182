/* SPDX-License-Identifier: MIT */
/* Serving reads from data that was fetched ahead. That data may be out of date, so it only serves reads
 * that begin within READAHEAD_MS after its fetch began, and none after a change by this mount or
 * fs_drop_read_ahead. */
#ifndef FS_DATA_READAHEAD_H
#define FS_DATA_READAHEAD_H

#include "fs/state.h"

#define READAHEAD_MS 300u

/* Before reading LEN bytes at OFFSET: notes the request, and fetches the following chunks if requests follow
 * each other. 1: the read is done, FN was called and its result is in *RET_RESULT; 0: it is still to be
 * done. */
int fs_readahead_read(struct fs *fs, uint64_t ino, uint64_t offset, size_t len, fs_read_fn fn, void *arg,
                      int *ret_result);

#endif

/* SPDX-License-Identifier: MIT */
/* Committing a batch of one inode, which fits into one transaction or takes many. */
#ifndef FS_WRITEBACK_COMMIT_H
#define FS_WRITEBACK_COMMIT_H

#include "fs/writeback/commit_state.h"

/* Whether BATCH takes so few transactions that the caller's thread alone commits it. */
bool flush_is_small(const struct fs *fs, const struct writeback_batch *batch);

/* Commits all of the batch and of what the feed adds. On an error any part of it may be committed, and all of
 * it may be committed again. Without locks of the write-back cache. */
int flush_commit(struct flush_commit *c);

#endif

/* SPDX-License-Identifier: MIT */
/* Committing a batch with several transactions in flight. */
#ifndef FS_WRITEBACK_PARALLEL_H
#define FS_WRITEBACK_PARALLEL_H

#include "fs/writeback/commit_state.h"

/* Commits all of the batch: 0, FLUSH_DISTURBED or an error. */
int flush_commit_in_parallel(struct flush_commit *c);

#endif

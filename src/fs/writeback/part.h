/* SPDX-License-Identifier: MIT */
/* A part of a batch: the blocks that one transaction writes. */
#ifndef FS_WRITEBACK_PART_H
#define FS_WRITEBACK_PART_H

#include "fs/writeback/commit_state.h"

/* Result of a body that found the intent record gone, or blocks behind the size. */
#define FLUSH_DISTURBED 2

struct flush_part {
        struct flush_commit *commit;
        void *arg; /* of the function that writes the part */
        struct extent_block blocks[EXTENT_BLOCKS];
        struct extent_write write; /* of these blocks; without a change of the inode */
};

/* Writes a part in a transaction, as a kv_body. */
typedef int (*flush_part_fn)(struct kv_txn *t, struct flush_part *p);

/* Runs FN as a transaction over the COUNT blocks at AT. FLAGS: KV_IDEMPOTENT, KV_BEFORE. VERSION: as
 * kv_run_since; NULL: none. */
int flush_part_run(struct flush_commit *c, struct dirty_block **at, size_t count, unsigned flags,
                   kv_version *version, flush_part_fn fn, void *arg);

/* The offset of the part's first block, and the end of its last one. */
static inline uint64_t flush_part_begin(const struct flush_part *p)
{
        return p->blocks[0].offset;
}

static inline uint64_t flush_part_end(const struct flush_part *p)
{
        return p->blocks[p->write.count - 1].offset + p->commit->fs->block_size;
}

#endif

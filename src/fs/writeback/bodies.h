/* SPDX-License-Identifier: MIT */
/* The transactions of a flush in parallel: the intent record, the parts, and the steps of the size. */
#ifndef FS_WRITEBACK_BODIES_H
#define FS_WRITEBACK_BODIES_H

#include "fs/writeback/part.h"

/* Finds out where the size is among the blocks and, if some are behind it, writes the intent record, which
 * says that this mount is writing them. ARG: the struct flush_commit. 0, FS_TRIM_FIRST, or FLUSH_DISTURBED if
 * another mount has one. A kv_body. */
int flush_write_intent(struct kv_txn *t, void *arg);

/* Writes blocks within the size: 0 or FLUSH_DISTURBED. */
int flush_write_inside(struct kv_txn *t, struct flush_part *p);
/* Writes blocks behind the size: 0 or FLUSH_DISTURBED. ARG: a uint64_t for what they take. */
int flush_write_outside(struct kv_txn *t, struct flush_part *p);

/* A step: the size grows over blocks that are committed. */
struct flush_step {
        uint64_t end; /* the new size */
        struct extent_change change;
        bool last; /* no part is in flight any more: removes the intent record */
        /* What the blocks take, which was counted beside the record and moves into it. The last step, if it
         * is not blind, moves all that is counted there. */
        uint64_t allocated;
        struct fmt_inode record; /* result: as it was written */
        bool moved_by_others;    /* result: another transaction has moved some of what is counted */
};

/* Writes the block with the old end of the file, if it is in the part, and does the struct flush_step at
 * ARG: 0 or FLUSH_DISTURBED. A blind attempt knows the record, and that the block did not exist. */
int flush_write_step(struct kv_txn *t, struct flush_part *p);

#endif

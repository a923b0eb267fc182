/* SPDX-License-Identifier: MIT */
/* Use counters, 'i' INO \x01 PID: how often the mount PID has the inode in use, which keeps an unlinked inode
 * from being collected. The counter of a mount without a session counts as absent. */
#ifndef RECORD_USE_H
#define RECORD_USE_H

#include "format/format.h"
#include "kv/kv.h"

int rec_use_set(struct kv_txn *t, uint64_t ino, const uint8_t pid[FMT_PID_SIZE], int64_t count);
int rec_use_clear(struct kv_txn *t, uint64_t ino, const uint8_t pid[FMT_PID_SIZE]);

struct rec_use {
        uint8_t pid[FMT_PID_SIZE];
        int64_t count;
};

/* Iterates over the use counters of an inode, in the order of their pids. */
struct rec_uses {
        struct fmt_key begin, end;
        struct kv_range range;
};

/* Starts the iteration. It conflicts with every counter set or cleared on the inode, unless SNAPSHOT. */
void rec_uses_start(struct kv_txn *t, struct rec_uses *r, uint64_t ino, bool snapshot);
/* Returns 1 and the next counter, 0 at the end, ERR_CORRUPT, or an error of the store. */
int rec_uses_next(struct rec_uses *r, struct rec_use *ret);
void rec_uses_end(struct rec_uses *r);
#define _cleanup_uses_ _cleanup_(rec_uses_end)

#endif

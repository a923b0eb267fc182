/* SPDX-License-Identifier: MIT */
/* The counters of the whole file system (enum fmt_counter). */
#ifndef RECORD_COUNTER_H
#define RECORD_COUNTER_H

#include "format/format.h"
#include "kv/kv.h"

/* Adds N to the counter WHICH, without reading it. */
int rec_counter_add(struct kv_txn *t, enum fmt_counter which, int64_t n);
/* Reads it. FLAGS: KV_SNAPSHOT or 0. ENOENT, ERR_CORRUPT, or an error of the store. */
int rec_counter_get(struct kv_txn *t, enum fmt_counter which, unsigned flags, int64_t *ret);

/* Takes a range of inode numbers that were never used, [first, end), from the store. On a cluster the range is
 * so large that a mount hardly ever needs a second one. ERR_CORRUPT: the counter is absent or damaged. */
int rec_numbers_take(struct kv_txn *t, uint64_t *ret_first, uint64_t *ret_end);

#endif

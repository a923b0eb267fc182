/* SPDX-License-Identifier: MIT */
/* Counters of the whole file system, 'M' WHICH (enum fmt_counter). */
#ifndef RECORD_COUNTER_H
#define RECORD_COUNTER_H

#include "format/format.h"
#include "kv/kv.h"

/* Adds N to the counter WHICH without reading it. */
int rec_counter_add(struct kv_txn *t, enum fmt_counter which, int64_t n);
/* Reads the counter. FLAGS: KV_SNAPSHOT or 0. ENOENT, ERR_CORRUPT, or an error of the store. */
int rec_counter_get(struct kv_txn *t, enum fmt_counter which, unsigned flags, int64_t *ret);
int rec_counter_set(struct kv_txn *t, enum fmt_counter which, int64_t n);

/* ---- inode numbers ------------------------------------------------------------------------------ */

/* Takes a range of inode numbers that were never used, [first, end), from the store. On a cluster the range
 * is so large that a mount hardly ever needs a second one. ERR_CORRUPT: the counter is absent or damaged. */
int rec_numbers_take(struct kv_txn *t, uint64_t *ret_first, uint64_t *ret_end);

/* Fills in the ranges [begin, end) of keys that inodes with the numbers [FIRST, NEXT) have. */
#define REC_NUMBER_RANGES 4u
void rec_numbers_keys(uint64_t first, uint64_t next, struct fmt_key begin[REC_NUMBER_RANGES],
                      struct fmt_key end[REC_NUMBER_RANGES]);

#endif

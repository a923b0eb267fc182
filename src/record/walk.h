/* SPDX-License-Identifier: MIT */
/* Walks over many keys, in their order, from any key on: for programs that read or clear a whole store. */
#ifndef RECORD_WALK_H
#define RECORD_WALK_H

#include "format/format.h"
#include "kv/kv.h"

/* ---- ranges ------------------------------------------------------------------------------------- */

/* All keys of a store: [rec_keys_begin, rec_keys_end). Only keys that stores keep for themselves are
 * behind. */
extern const struct slice rec_keys_begin, rec_keys_end;

/* The large parts of the key space, in the order of their keys. */
enum rec_part { REC_PART_DIRENTS, REC_PART_BLOCKS, REC_PART_GARBAGE, REC_PART_INODES };
#define REC_PARTS 4u

/* Sets [BEGIN, END) to the keys of PART: for inodes the records and all keys below them. */
void rec_part_keys(enum rec_part part, struct fmt_key *begin, struct fmt_key *end);

/* ---- reading ------------------------------------------------------------------------------------ */

/* A walk. Fields are private; zeros: not started. */
struct rec_walk {
        struct kv_range range;
        struct rec_walk_chunk *chunk; /* NULL: RANGE is read */
};

/* Starts a walk over [BEGIN, END); END must stay valid until rec_walk_end. With TXN, the walk reads in that
 * transaction: one snapshot, which must last that long. Without, it reads STORE in chunks of about 1 MiB,
 * each in a separate transaction, and copies them: neither a limit of the age of transactions nor a caller
 * that waits between two pairs matters. Each pair is as it was when its chunk was read. 0 or ENOMEM. */
int rec_walk_start(struct rec_walk *w, struct kv_store *store, struct kv_txn *txn, struct slice begin,
                   struct slice end);
/* Returns 1 and the next pair, 0 at the end, or an error. The slices are valid until the next call. */
int rec_walk_next(struct rec_walk *w, struct slice *ret_key, struct slice *ret_value);
/* Takes a walk that was not started, or is ended already. */
void rec_walk_end(struct rec_walk *w);
#define _cleanup_walk_ _cleanup_(rec_walk_end)

/* ---- clearing ----------------------------------------------------------------------------------- */

/* Clears the first keys of [BEGIN, END), as many as one transaction may. 1: more may remain. */
int rec_walk_clear(struct kv_txn *t, struct slice begin, struct slice end);

#endif

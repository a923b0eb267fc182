/* SPDX-License-Identifier: MIT */
/* A bucket: LMDB's value for all keys that share their first 511 bytes. It holds one or more entries, sorted
 * by the rest of the key (the tail):
 *
 *     length of the tail   2 bytes, little-endian
 *     length of the value  4 bytes, little-endian
 *     tail, value
 *
 * A change of one entry writes the whole bucket: long keys are rare (blocks with parity in the key), and two
 * of them share 511 bytes only by intent.
 */
#ifndef KV_LMDB_BUCKET_H
#define KV_LMDB_BUCKET_H

#include "base/err.h"
#include "base/slice.h"

#define BUCKET_ENTRY_HEADER 6u

struct bucket_entry {
        struct slice tail, value; /* in the bucket */
        size_t pos, end;          /* offsets of the entry in the bucket */
};

/* Advances *E to the next entry, or to the first one if e->end is 0: 1, or 0 at the end. ERR_CORRUPT if the
 * bucket is not well-formed, also if tails do not ascend. */
int bucket_next(struct slice bucket, struct bucket_entry *e);

/* The first entry whose tail is not below TAIL: 1 if there is one, else 0; or ERR_CORRUPT. */
int bucket_seek(struct slice bucket, struct slice tail, struct bucket_entry *ret);

/* The last entry that begins before offset BEFORE: 1 if there is one, else 0; or ERR_CORRUPT. */
int bucket_before(struct slice bucket, size_t before, struct bucket_entry *ret);

/* The value of the entry with TAIL: 0, ENOENT or ERR_CORRUPT. */
int bucket_get(struct slice bucket, struct slice tail, struct slice *ret_value);

/* Writes the lengths and the tail to OUT. Returns where the value is to be written. */
uint8_t *bucket_put_header(uint8_t *out, struct slice tail, size_t value_len);

#endif

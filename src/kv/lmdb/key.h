/* SPDX-License-Identifier: MIT */
/* Keys of the contract (0 to 9,900 bytes) as LMDB's keys (1 to 511), in the same order.
 *
 * Nearly every key is LMDB's key as it is. The others take these steps:
 *
 *  1. Mapping. The empty key becomes 00 01, and a key that begins with 00 gets 00 02 in front, because LMDB
 *     has no empty key and the engine uses 00 00 itself.
 *  2. A mapped key below 511 bytes is LMDB's key, and its value is LMDB's value.
 *  3. A longer one is in a bucket (bucket.h) with all keys that share its first 511 bytes, its head. The
 *     head is LMDB's key. So each key of 511 bytes in LMDB has a bucket as its value, and order is kept:
 *     relative to all other keys, a bucket sorts like any key in it.
 */
#ifndef KV_LMDB_KEY_H
#define KV_LMDB_KEY_H

#include "kv/lmdb/internal.h"

#include <lmdb.h>

/* Longest key after step 1. */
#define LMDB_MAPPED_MAX (KV_KEY_MAX + 2u)

/* Whether KEY is LMDB's key as it is. */
static inline bool lmdb_key_is_plain(struct slice key)
{
        return key.len > 0 && key.len < LMDB_KEY_MAX && key.data[0] != 0;
}

/* Maps KEY (step 1). The result points to KEY or into BUF (LMDB_MAPPED_MAX bytes). */
struct slice lmdb_key_map(struct slice key, uint8_t *buf);

/* The reverse. ERR_CORRUPT if no key maps to MAPPED. The result points into MAPPED. */
int lmdb_key_unmap(struct slice mapped, struct slice *ret);

static inline bool lmdb_key_in_bucket(struct slice mapped)
{
        return mapped.len >= LMDB_KEY_MAX;
}

static inline MDB_val lmdb_key_head(struct slice mapped)
{
        return (MDB_val){ .mv_data = (void *)mapped.data,
                          .mv_size = lmdb_key_in_bucket(mapped) ? LMDB_KEY_MAX : mapped.len };
}

static inline struct slice lmdb_key_tail(struct slice mapped)
{
        return slice_of(mapped.data + LMDB_KEY_MAX, mapped.len - LMDB_KEY_MAX);
}

static inline struct slice lmdb_slice(MDB_val v)
{
        return slice_of(v.mv_data, v.mv_size);
}

static inline MDB_val lmdb_val(struct slice s)
{
        return (MDB_val){ .mv_data = (void *)s.data, .mv_size = s.len };
}

#endif

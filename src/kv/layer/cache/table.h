/* SPDX-License-Identifier: MIT */
/* Cached values of a store that only one process writes, and a filter of the keys that were ever written.
 *
 * Commits have numbers. Each key has a mark, shared with many other keys, which only costs hits: the number
 * of the last commit that may have changed it, set before that commit is sent. A transaction knows the number
 * of the last commit that was certainly done when it began. If a key's mark is not above that number, the key
 * has not changed since: then a value that the transaction reads below may be cached, and a cached value is
 * the one that it would read.
 *
 * HASH is always that of the key, by cache_table_hash. All functions: any thread. */
#ifndef KV_LAYER_CACHE_TABLE_H
#define KV_LAYER_CACHE_TABLE_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct cache_table;

/* BYTES: bound of the cached keys and values. NULL: no memory. */
struct cache_table *cache_table_new(size_t bytes);
/* Takes NULL. */
void cache_table_free(struct cache_table *t);

uint64_t cache_table_hash(const struct cache_table *t, struct slice key);

/* Receives a value that was found; it is only valid during the call. */
typedef void (*cache_found_fn)(void *arg, struct slice value);

/* Looks up KEY for a transaction that began after commit SINCE. 1: FOUND was called with its value; 0: the
 * key is absent; -1: not cached. */
int cache_table_get(struct cache_table *t, uint64_t hash, struct slice key, uint64_t since,
                    cache_found_fn found, void *arg);

/* Caches a value that such a transaction has read; VALUE NULL: KEY is absent. No effect if KEY has changed
 * since, or without memory. */
void cache_table_put(struct cache_table *t, uint64_t hash, struct slice key, const struct slice *value,
                     uint64_t since);

/* Marks KEY before commit NUMBER, which may change it, is sent, and drops its value. */
void cache_table_mark(struct cache_table *t, uint64_t hash, struct slice key, uint64_t number);
/* The same for all keys. */
void cache_table_mark_all(struct cache_table *t, uint64_t number);

/* ---- keys that were written (a Bloom filter) ------------------------------------------------------ */

void cache_table_add_written(struct cache_table *t, uint64_t hash);
/* False: certainly never. */
bool cache_table_may_be_written(const struct cache_table *t, uint64_t hash);

#endif

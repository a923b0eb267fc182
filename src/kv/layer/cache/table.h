/* SPDX-License-Identifier: MIT */
/* What is known of a store below that only one process writes: small values, and which keys were ever
 * written.
 *
 * Commits have numbers. Each key has a mark (shared by many keys, which only costs hits): the number of the
 * last commit that may have changed it, set before that commit is sent. A transaction knows the number of the
 * last commit that was certainly done when it began. If the mark is not above that, the key has not changed
 * since: then what the transaction reads below may be kept, and what is kept is what it would read.
 *
 * All functions: any thread. */
#ifndef KV_LAYER_CACHE_TABLE_H
#define KV_LAYER_CACHE_TABLE_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct cache_table;

/* BYTES: of what is kept at most. NULL: no memory. */
struct cache_table *cache_table_new(size_t bytes);
/* Takes NULL. */
void cache_table_free(struct cache_table *t);

uint64_t cache_hash(struct slice key);

/* What to do with a value that was found: it may go away afterwards. */
typedef void (*cache_found_fn)(void *arg, struct slice value);

/* Whether KEY is kept, for a transaction that began after commit SINCE: 1, and FOUND was called with its
 * value; 0: it is absent; -1: not known. */
int cache_table_get(struct cache_table *t, uint64_t hash, struct slice key, uint64_t since,
                    cache_found_fn found, void *arg);

/* Keeps what such a transaction has read; VALUE NULL: KEY is absent. Does nothing if KEY has changed since,
 * and without memory. */
void cache_table_put(struct cache_table *t, uint64_t hash, struct slice key, const struct slice *value,
                     uint64_t since);

/* Before commit NUMBER is sent: it may change KEY. */
void cache_table_mark(struct cache_table *t, uint64_t hash, struct slice key, uint64_t number);
/* The same for all keys. */
void cache_table_mark_all(struct cache_table *t, uint64_t number);

/* ---- which keys were written (a Bloom filter) ----------------------------------------------------- */

void cache_table_written(struct cache_table *t, uint64_t hash);
/* False: certainly never. */
bool cache_table_may_be_written(const struct cache_table *t, uint64_t hash);

#endif

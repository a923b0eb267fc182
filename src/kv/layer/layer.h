/* SPDX-License-Identifier: MIT */
/* Layers: stores over another store. On success a layer takes over the store below and closes it when it is
 * closed; on failure the store below stays the caller's. */
#ifndef KV_LAYER_LAYER_H
#define KV_LAYER_LAYER_H

#include "base/clock.h"
#include "kv/kv.h"

/* ---- writebehind: commits in memory, written below later in order (writebehind/) ----------------- */

struct kv_writebehind_opts {
        size_t memory_bytes; /* bound of the memory in use; writers wait above it. 0: default, 64 MiB */
        size_t batch_bytes;  /* a batch is written when it has this size; 0: default, 16 MiB */
        unsigned age_ms;     /* ... or when its oldest transaction has this age; 0: default, 1 s */
        unsigned close_ms;   /* how long kv_close tries to write the last batches; 0: default, 10 s */
        struct slice fence;  /* each batch reads this key; if it is absent, the store fails for good */
        /* Each batch writes its number to this key, continuing from the number found there, and so conflicts
         * with all others: none can take effect late, after it was given up. Empty: none; EINVAL if the store
         * below has unknown results. */
        struct slice sequence;
};

/* A transaction commits into an ordered overlay in memory; a thread writes batches of whole transactions
 * below, in commit order. After a crash the store below holds a prefix of the committed transactions that
 * includes everything before the last successful kv_sync. The store below must have no other writer. A commit
 * succeeds only if its space below is reserved (ops->reserve), otherwise it gives ENOSPC; a transaction with
 * KV_RESERVE is then written below at once and gives ENOSPC only if that fails. A batch that cannot be
 * written is kept and tried again; until that succeeds, commits and kv_sync give the error. */
int kv_writebehind_open(struct kv_store *below, const struct kv_writebehind_opts *opts,
                        struct kv_store **ret);

/* ---- cache: small values of a remote store (cache/) ---------------------------------------------- */

struct kv_cache_opts {
        size_t bytes; /* bound of the cached keys and values; 0: default, 32 MiB. 5 MiB are used besides */
        /* First bytes of the keys to cache, which are only written through the cache. NULL: all keys. */
        const char *prefixes;
};

/* Caches values that were read or written, for transactions that do not write. A commit whose outcome is
 * unknown must not happen after a later one that succeeded; batches of writebehind ensure that. */
int kv_cache_open(struct kv_store *below, const struct kv_cache_opts *opts, struct kv_store **ret);

/* Declares that [BEGIN, END) is empty: a key in it that is not written through the cache is then known to be
 * absent. At most 8 times (asserted), before other threads use S. ENOMEM. */
int kv_cache_fresh(struct kv_store *s, struct slice begin, struct slice end);

#endif

/* SPDX-License-Identifier: MIT */
/* Layers: stores over another store. Each takes over the store below it on success and closes it when it
 * is closed itself; on failure the store below stays the caller's. */
#ifndef KV_LAYER_LAYER_H
#define KV_LAYER_LAYER_H

#include "base/clock.h"
#include "kv/kv.h"

/* ---- writebehind: commits in memory, writes down in order behind (writebehind.c) ---------------- */

struct kv_writebehind_opts {
        size_t memory_bytes;   /* bound of what is held in memory; writers wait at it. 0: default */
        size_t batch_bytes;    /* a batch is written down when it holds this much. 0: default */
        unsigned age_ms;       /* ... or when its oldest transaction is this old. 0: default */
        unsigned close_ms;     /* how long kv_close tries to write the last batches. 0: default, 10 s */
        struct slice fence;    /* each batch reads this key and stops the store if it is absent */
        struct slice sequence; /* each batch writes its number here, from the one found on, and conflicts
                                 * with all others, so that none can take place late, after it was given up:
                                 * needed over stores with unknown results (EINVAL). Empty: none */
};

/* A transaction commits into an ordered overlay in memory; a thread writes batches of whole transactions down
 * in commit order. After a crash the store below holds a prefix of the committed transactions, with
 * everything before the last successful kv_sync in it. The store below must have no other writer. A commit
 * succeeds only if it is certain that there is room below (ops->reserve), and gives ENOSPC otherwise; one
 * with KV_RESERVE only if it cannot be written below at once, either. If a batch cannot be written, it is
 * kept and tried again; until that succeeds, commits and kv_sync give the error. */
int kv_writebehind_open(struct kv_store *below, const struct kv_writebehind_opts *opts,
                        struct kv_store **ret);

/* ---- cache: small values that were read or written (cache/) -------------------------------------- */

struct kv_cache_opts {
        size_t bytes; /* of what is kept at most. 0: default, 32 MiB; 5 MiB are used beside it */
        /* First bytes of the keys that are kept: nobody writes them but through the cache. NULL: all. */
        const char *prefixes;
};

/* Over a store that costs a round trip to read. A commit whose outcome is unknown must not take place after a
 * later one that succeeded, as batches of writebehind see to. Transactions that write read past it. */
int kv_cache_open(struct kv_store *below, const struct kv_cache_opts *opts, struct kv_store **ret);

/* In [begin, end) there is nothing now: what is not written there through the cache is known to be absent. A
 * few times, before other threads use S. ENOMEM. */
int kv_cache_fresh(struct kv_store *s, struct slice begin, struct slice end);

#endif

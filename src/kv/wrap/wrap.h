/* Wrappers: stores over another store. Each takes over the store below it on success and closes it when it
 * is closed itself; on failure the store below stays the caller's. */
#ifndef KV_WRAP_WRAP_H
#define KV_WRAP_WRAP_H

#include "base/clock.h"
#include "kv/kv.h"

/* ---- writebehind: commits in memory, writes down in order behind (writebehind.c) ---------------- */

struct kv_writebehind_opts {
        size_t memory_bytes;    /* bound of what is held in memory; writers wait at it. 0: default */
        size_t batch_bytes;     /* a batch is written down when it holds this much. 0: default */
        unsigned age_ms;        /* ... or when its oldest transaction is this old. 0: default */
        unsigned close_ms;      /* how long kv_close tries to write the last batches. 0: default, 10 s */
        struct slice fence;     /* each batch reads this key and stops the store if it is absent */
        struct slice sequence;  /* each batch writes its number here, from the one found on, and conflicts
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
        size_t bytes;         /* of what is kept at most. 0: default, 32 MiB; 5 MiB are used beside it */
        /* First bytes of the keys that are kept: nobody writes them but through the cache. NULL: all. */
        const char *prefixes;
};

/* Over a store that costs a round trip to read. A commit whose outcome is unknown must not take place after a
 * later one that succeeded, as batches of writebehind see to. Transactions that write read past it. */
int kv_cache_open(struct kv_store *below, const struct kv_cache_opts *opts, struct kv_store **ret);

/* In [begin, end) there is nothing now: what is not written there through the cache is known to be absent. A
 * few times, before other threads use S. ENOMEM. */
int kv_cache_fresh(struct kv_store *s, struct slice begin, struct slice end);

/* ---- fault: seeded failures (fault.c) ----------------------------------------------------------- */

struct kv_fault_opts {
        uint64_t seed;
        /* Probabilities in parts per million. */
        unsigned conflict_ppm;         /* commit fails with ERR_CONFLICT, nothing happened */
        unsigned unknown_done_ppm;     /* commit happened, ERR_UNKNOWN_RESULT */
        unsigned unknown_not_done_ppm; /* commit did not happen, ERR_UNKNOWN_RESULT */
        unsigned retry_ppm;            /* a begin, a read or a commit with KV_WRITE fails with ERR_RETRY */
        unsigned io_error_ppm;         /* commit or sync fails with EIO, nothing happened */
        unsigned no_space_ppm;         /* commit fails with ENOSPC, nothing happened */
        unsigned slow_ppm;             /* a call takes slow_us longer */
        unsigned slow_us;
        /* The store below outlives this one: it stays the caller's and is not closed with it. So a test can
         * look at what a crash left. */
        bool keep_below;
};

/* All faults follow from the seed and the order of calls. Never injects into transactions without KV_WRITE
 * anything but retry_ppm (begin and reads) and slow_ppm. The limits report unknown_results if one of its
 * probabilities is not 0. */
int kv_fault_open(struct kv_store *below, const struct kv_fault_opts *opts, struct kv_store **ret);

/* Changes the probabilities while running (the seed and keep_below are kept). Unknown results may only be
 * injected if the store was opened with some (asserted). Any thread. */
void kv_fault_set(struct kv_store *s, const struct kv_fault_opts *opts);

/* After N more commits the store is dead, as by a crash: every call fails with EIO, the commit that
 * met it was (AFTER) or was not (!AFTER) done below. N = 0: the next commit. Only commits of transactions
 * with KV_WRITE count. */
void kv_fault_crash_at(struct kv_store *s, uint64_t n, bool after);

/* ---- stats: counts what passes (stats.c) -------------------------------------------------------- */

struct kv_stats {
        uint64_t txns, commits, commit_errors, conflicts;
        uint64_t gets, ranges, range_pairs, sets, clears, clear_ranges, atomics, watches, syncs;
        uint64_t read_bytes, written_bytes;
        /* Reads in sequence: waits that no earlier-started read covered. A get, or several gets started
         * before the first wait, count 1: the latency in round trips of a transaction's reads. */
        uint64_t read_rounds;
};

int kv_stats_open(struct kv_store *below, struct kv_store **ret);
/* Any thread. */
void kv_stats_get(struct kv_store *s, struct kv_stats *ret);
void kv_stats_reset(struct kv_store *s);

#endif

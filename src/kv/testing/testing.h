/* SPDX-License-Identifier: MIT */
/* Stores for tests and measurements: one in memory, one that fails on purpose, one that counts. fault and
 * stats are layers, so they take over the store below as layer.h says.
 */
#ifndef KV_TESTING_TESTING_H
#define KV_TESTING_TESTING_H

#include "kv/kv.h"

/* kv_open, which also knows "mem:": a store in memory that is private to the caller and gone when closed. */
int kv_testing_open(const char *url, const struct kv_open_opts *opts, struct kv_store **ret,
                    struct err_text *text);

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

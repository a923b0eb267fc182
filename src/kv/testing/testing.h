/* SPDX-License-Identifier: MIT */
/* Stores for tests and measurements: mem keeps its data in memory, fault fails on purpose, stats counts.
 * fault and stats are layers: they take over the store below as layer.h says. */
#ifndef KV_TESTING_TESTING_H
#define KV_TESTING_TESTING_H

#include "kv/kv.h"

/* kv_open that also takes "mem:": a store in memory, private to the caller and freed when closed. */
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
        /* The store below stays the caller's and is not closed with this one, so a test can examine what a
         * crash left. */
        bool keep_below;
};

/* The seed and the order of calls determine all faults. Transactions without KV_WRITE only get those of
 * retry_ppm (begin and reads) and slow_ppm. The limits report unknown_results if one of its probabilities is
 * not 0. */
int kv_fault_open(struct kv_store *below, const struct kv_fault_opts *opts, struct kv_store **ret);

/* Changes the probabilities of a running store; the seed and keep_below do not change. Unknown results are
 * only allowed if the store was opened with some (asserted). Any thread. */
void kv_fault_set(struct kv_store *s, const struct kv_fault_opts *opts);

/* Simulates a crash at the commit after N more: from then on every call fails with EIO. That commit itself
 * was (AFTER) or was not (!AFTER) done below. N = 0: the next commit. Only commits of transactions with
 * KV_WRITE count. */
void kv_fault_crash_at(struct kv_store *s, uint64_t n, bool after);

/* ---- stats: counts calls (stats.c) -------------------------------------------------------------- */

struct kv_stats {
        uint64_t txns, commits, commit_errors, conflicts;
        uint64_t gets, ranges, range_pairs, sets, clears, clear_ranges, atomics, watches, syncs;
        uint64_t read_bytes, written_bytes;
        /* Waits that no earlier wait covered: the latency of a transaction's reads in round trips. Several
         * gets started before the first wait count 1. */
        uint64_t read_rounds;
};

int kv_stats_open(struct kv_store *below, struct kv_store **ret);
/* Any thread. */
void kv_stats_get(struct kv_store *s, struct kv_stats *ret);
void kv_stats_reset(struct kv_store *s);

#endif

/* SPDX-License-Identifier: MIT */
/* A stand-in for FoundationDB's client library: a shared library with the functions that src/kv/fdb uses,
 * over the store in memory (src/kv/testing/mem). Futures become ready in another thread; a seed decides which
 * requests fail, and how. There is one cluster for each cluster file, in this process only.
 *
 * Tests find the controls by dlsym in the library that the engine loaded.
 */
#ifndef STANDIN_H
#define STANDIN_H

#include <stdbool.h>
#include <stdint.h>

/* Probabilities in parts per million; the numbers are FoundationDB's errors. */
struct standin_faults {
        uint64_t seed;
        /* commits */
        unsigned conflict_ppm;         /* 1020 */
        unsigned too_old_ppm;          /* 1007; reads too */
        unsigned unknown_done_ppm;     /* 1021, and it happened */
        unsigned unknown_not_done_ppm; /* 1021, and it did not happen */
        unsigned timed_out_ppm;        /* 1031, and it happens later, or not */
        unsigned cancelled_ppm;        /* 1025, the same */
        /* reads, and read versions */
        unsigned future_version_ppm; /* 1009 */
        unsigned behind_ppm;         /* 1037 */
        unsigned throttled_ppm;      /* 1213 */
        /* any */
        unsigned slow_ppm, slow_us;
        unsigned commit_us;        /* the least time of a commit */
        unsigned watch_broken_ppm; /* a watch fails with 1029 after a while */
        unsigned watches_max;      /* 0: the database's option */
        /* The error of the next commit, only of that one. The commit happens if the error allows it. */
        int next_commit;
};

/* What exists now, and totals. */
struct standin_counts {
        unsigned databases, transactions, futures;
        unsigned watches;        /* of those futures */
        uint64_t landed;         /* commits with writes that happened */
        uint64_t versions_asked; /* read versions fetched from the cluster */
        uint64_t ranges_asked, keys_asked;
};

/* Names for dlsym: standin_set_faults, standin_set_away, standin_set_locked, standin_get_counts. */
typedef void (*standin_set_faults_fn)(const struct standin_faults *f);
/* While the cluster is away no request is answered; requests that were sent are carried out when it is
 * back. */
typedef void (*standin_set_bool_fn)(bool on);
typedef void (*standin_get_counts_fn)(struct standin_counts *ret);

#endif

/* SPDX-License-Identifier: MIT */
/* Space. A write may be acknowledged only if its commit cannot fail for lack of space. Two kinds of space are
 * certain: the part beyond the end of the file that the host's file system has allocated (fallocate), and the
 * free pages inside the file that LMDB is certain to use. Against these stands the largest number of pages
 * that the writes can take.
 *
 *     space.c     figures of the store, and allocation beyond the end of the file
 *     pages.c     how many pages commits take at most
 *     free.c      free pages inside the file that LMDB is certain to use
 *     reserve.c   reservations
 *
 * A run is a number of consecutive pages, which LMDB needs for long values and for records of its list of
 * free pages.
 */
#ifndef KV_LMDB_SPACE_H
#define KV_LMDB_SPACE_H

#include "kv/engine.h"

#include <lmdb.h>

struct lmdb_store;
struct lmdb_txn;

/* LMDB's database of free pages: a record for each transaction that freed some. */
#define LMDB_FREE_DBI ((MDB_dbi)0)

/* ---- pages.c ------------------------------------------------------------------------------------- */

/* Pages that commits take at most. */
struct lmdb_pages {
        unsigned commits;
        uint64_t singles;        /* pages of the trees: any free page serves */
        uint64_t values;         /* values with pages of their own */
        uint64_t value_pages;    /* their pages */
        uint64_t runs;           /* values with more than one page */
        uint64_t run_pages;      /* of the longest of them */
        uint64_t list_pages;     /* for records of the list of free pages, in runs */
        uint64_t list_run_pages; /* of the longest record; 0: records fit into leaves */
        uint64_t relisted;       /* pages for the list itself, taken from the pages that it holds */
};

void lmdb_pages_needed(const struct lmdb_store *s, const struct kv_need *need, struct lmdb_pages *ret);
uint64_t lmdb_pages_total(const struct lmdb_pages *p);

/* ---- free.c -------------------------------------------------------------------------------------- */

/* Longer runs are counted as runs of this many pages. */
#define LMDB_RUN_MAX 64u

/* Free pages that LMDB is certain to use. */
struct lmdb_free {
        uint64_t pages;
        bool fragmented;                 /* the list has so many short records that LMDB may miss runs */
        uint64_t runs[LMDB_RUN_MAX + 1]; /* [n]: how many runs of n pages there are side by side */
};

/* Counts as T sees them, until ENOUGH pages are found. */
int lmdb_free_count(struct lmdb_store *s, struct lmdb_txn *t, uint64_t enough, struct lmdb_free *ret);

/* Whether LMDB is certain to find the pages P, with END pages beyond the end of the file and F inside it. */
bool lmdb_pages_fit(const struct lmdb_pages *p, uint64_t end, const struct lmdb_free *f);

/* ---- space.c ------------------------------------------------------------------------------------- */

int lmdb_space(struct kv_store *s, struct kv_space *ret);
/* Updates the figures to those of the newest transaction. The caller is a writer or has a reader. */
void lmdb_space_update(struct lmdb_store *s);
/* Updates the figures of LMDB's list of free pages, as TXN sees it. */
void lmdb_space_update_list(struct lmdb_store *s, MDB_txn *txn);

/* Asks the host's file system: *RET_AVAILABLE bytes of *RET_TOTAL. */
int lmdb_host_space(const struct lmdb_store *s, uint64_t *ret_available, uint64_t *ret_total);
/* The largest reserve. */
#define LMDB_RESERVE_BYTES_MAX (UINT64_C(16) << 20)

/* Bytes of the reserve, which only transactions that free space may use. */
uint64_t lmdb_reserve_bytes(const struct lmdb_store *s, uint64_t host_total);
/* Allocates the file up to END or further: 0, ENOSPC or another error. 0 with allocated_end 0 means that the
 * host's file system cannot allocate, and has the space twice by its own account. */
int lmdb_allocate(struct lmdb_store *s, uint64_t end);
/* After a write that was cut short: whether the reason is a full disk. */
bool lmdb_disk_is_full(struct lmdb_store *s);

/* Returns allocated space beyond the used part to the host, also what a killed process left. The caller is
 * the only user of the store. */
void lmdb_space_trim(struct lmdb_store *s);
/* After opening exclusively: trims, and allocates holes in the used part. */
void lmdb_space_prepare(struct lmdb_store *s);

/* ---- reserve.c ----------------------------------------------------------------------------------- */

/* kv_ops.reserve. */
int lmdb_reserve(struct kv_store *s, const struct kv_need *need);
/* Reserves space for what the writer T has written, before it commits. */
int lmdb_reserve_own(struct lmdb_txn *t);

#endif

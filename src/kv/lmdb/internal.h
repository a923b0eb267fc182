/* SPDX-License-Identifier: MIT */
/* Inside the LMDB engine.
 *
 *     lmdb.c    open, close                       version.h  which versions of LMDB
 *     dir.h     directory, lock, check of the file
 *     env.c     LMDB's environment, pool of readers
 *     txn.c     begin, commit, end                read.c     gets and ranges
 *     write.c   writes                            watch.c    watches; doorbell.h wakes other processes
 *     key.h     keys of up to 9,900 bytes in LMDB's 511; bucket.h holds the long ones
 *     space.h   space and reservations
 *
 * Locks, in the order in which they are taken:
 *
 *     write_lock   from begin to end of a writing transaction of this process; inside it LMDB's own lock of
 *                  writers, which all processes share
 *     pool_lock, space_lock, watch_lock   held briefly, never two of them
 *
 * The environment is replaced only by lmdb_env_reopen_locked, with write_lock held and all readers freed.
 */
#ifndef KV_LMDB_INTERNAL_H
#define KV_LMDB_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "kv/engine.h"
#include "kv/lmdb/dir.h"
#include "kv/lmdb/space.h"

#include <stdatomic.h>

/* The longest key of LMDB as it is built by default; lmdb_check_sizes makes sure of it. */
#define LMDB_KEY_MAX 511u

/* Values that a writer remembers to have returned since its last write. */
#define LMDB_RETURNED_MAX 8u

/* Slots of the pool of readers, one cache line each, so that threads on different processors share none. */
#define LMDB_POOL_SLOTS 64u

/* LMDB's database without a name, the only one that is used here. */
#define LMDB_DBI ((MDB_dbi)1)

struct lmdb_range;
struct lmdb_watch;
struct lmdb_doorbell;

/* A transaction. Readers are kept in a pool, with their slot in LMDB's reader table and their cursors. */
struct lmdb_txn {
        struct kv_txn base;
        bool write;
        MDB_txn *txn;       /* readers: reset while in the pool; NULL: not begun yet */
        MDB_cursor *cursor; /* for gets and writes */
        bool cursor_stale;  /* readers: to be renewed before use */
        int err;            /* writer: the failure after which it cannot commit */
        uint64_t number;    /* writer: LMDB's number of the transaction */
        /* Writer: values returned since its last write. They may lie in pages that the next write changes. */
        struct slice returned[LMDB_RETURNED_MAX];
        unsigned returned_n;        /* LMDB_RETURNED_MAX + 1: more than are remembered */
        struct lmdb_range *ranges;  /* for reuse */
        struct lmdb_watch *watches; /* pending until the transaction ends */
        struct lmdb_txn *next;      /* in s->idle */
};

/* Memory for reuse. */
struct lmdb_scratch {
        uint8_t *data;
        size_t bytes;
};

struct lmdb_store {
        struct kv_store base;
        char *path;          /* absolute, for opening the environment again */
        int dir_fd, data_fd; /* DATA_FD allocates and trims; LMDB has its own descriptors */
        bool rdonly, exclusive;
        uint64_t max_bytes; /* kv_open_opts; 0: default */
        struct lmdb_lock lock;

        MDB_env *env; /* NULL after it could not be opened again */
        uint64_t page_bytes;
        _Atomic uint64_t map_bytes;

        _Atomic bool reopen_needed; /* no transaction may begin before the environment is opened again */
        struct lock write_lock;
        struct lmdb_txn writer;      /* write_lock */
        uint64_t readers_checked_ns; /* write_lock; when dead readers were last removed from the table */
        struct lmdb_scratch bucket, value; /* write_lock */

        struct {
                _Alignas(64) _Atomic(struct lmdb_txn *) idle;
        } slots[LMDB_POOL_SLOTS];
        struct lock pool_lock;
        struct lmdb_txn *idle; /* pool_lock; readers whose slot was taken */
        unsigned readers;      /* pool_lock; all that exist */

        /* Figures of the last transaction: the number of the transaction, the used part of the file in bytes,
         * pages of the tree, and pages of LMDB's list of free pages. */
        _Atomic uint64_t number, used_end;
        _Atomic uint64_t leaf_pages, branch_pages, overflow_pages, depth;
        _Atomic uint64_t list_tree_pages, list_record_pages;

        _Atomic uint64_t
                allocated_end; /* the host's file system has allocated the file up to here; 0: not known */
        bool sparse;           /* the used part may have holes that cannot be allocated */
        _Atomic uint64_t settled_number; /* the last transaction that make_freed_usable committed */
        struct lock space_lock;
        /* space_lock; all free pages, as of which transaction, and until when the count serves for statfs. */
        uint64_t free_pages, free_txnid, free_until_ns;
        /* space_lock; free pages that LMDB is certain to use, as of which transaction, for how many needed
         * pages. */
        struct lmdb_free counted;
        uint64_t counted_number, counted_for;

        struct lmdb_doorbell *doorbell;
        struct lock watch_lock;
        pthread_cond_t watch_cond;
        pthread_t watcher;
        bool watcher_runs, watcher_stop; /* watch_lock */
        bool watch_recheck;              /* watch_lock; check the watches even without a new transaction */
        struct list_link watches;        /* watch_lock; struct lmdb_watch, all that are not done */
        unsigned watch_count;            /* watch_lock; all that exist */
};

static inline struct lmdb_store *lmdb_of(struct kv_store *s)
{
        return (struct lmdb_store *)s;
}

static inline struct lmdb_txn *lmdb_txn_of(struct kv_txn *t)
{
        return (struct lmdb_txn *)t;
}

/* ---- env.c --------------------------------------------------------------------------------------- */

/* The negative error for LMDB's result. */
int lmdb_error(int rc);

int lmdb_env_open(struct lmdb_store *s, struct err_text *text);
/* All readers must be in the pool; frees them. */
void lmdb_env_close(struct lmdb_store *s);

/* Opens the environment again if that is needed: after a failed write of the header, or because another
 * process made the file larger than the map. Waits some seconds for all readers to end; EIO: the next begin
 * tries again. */
int lmdb_env_reopen_locked(struct lmdb_store *s);

/* A reader with a fresh snapshot. */
int lmdb_reader_begin(struct lmdb_store *s, struct lmdb_txn **ret);
void lmdb_reader_end(struct lmdb_store *s, struct lmdb_txn *t);

/* ---- txn.c --------------------------------------------------------------------------------------- */

int lmdb_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret);
int lmdb_commit(struct kv_txn *t);
void lmdb_end(struct kv_txn *t);

/* ---- read.c -------------------------------------------------------------------------------------- */

/* The value that LMDB holds for HEAD (key.h). The cursor then stands on it. */
int lmdb_get_head(struct lmdb_txn *t, MDB_val head, struct slice *ret);
/* The value of KEY as T sees it. */
int lmdb_get(struct lmdb_txn *t, struct slice key, struct slice *ret);
void lmdb_get_start(struct kv_txn *t, struct kv_read *r);

void lmdb_range_start(struct kv_txn *t, struct kv_range *r);
int lmdb_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value);
void lmdb_range_end(struct kv_range *r);
/* Frees the ranges that T keeps for reuse. */
void lmdb_ranges_free(struct lmdb_txn *t);

/* ---- write.c ------------------------------------------------------------------------------------- */

int lmdb_set(struct kv_txn *t, struct slice key, struct slice value);
int lmdb_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret);
int lmdb_clear(struct kv_txn *t, struct slice key);
int lmdb_clear_range(struct kv_txn *t, struct slice begin, struct slice end);
int lmdb_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand);

/* ---- watch.c ------------------------------------------------------------------------------------- */

int lmdb_watch(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret);
void lmdb_unwatch(struct kv_watch *w);
/* Arms the watches of a transaction that ended, or breaks them. SNAPSHOT is the number of the transaction
 * whose state they saw. */
void lmdb_watch_settle(struct lmdb_store *s, struct lmdb_watch *watches, bool committed, uint64_t snapshot);
/* Ends the watcher. No watch may exist. */
void lmdb_watch_stop(struct lmdb_store *s);

#endif

/* SPDX-License-Identifier: MIT */
/* The LMDB engine's parts and what they share.
 *
 *     dir.c    the directory and its files: making, checking, who may open it (lock.c)
 *     check.c  the structure of data.mdb, read without LMDB, which trusts its pages
 *     env.c    LMDB's environment: opening, the pool of readers, opening again after a failure
 *     txn.c    transactions, gets and writes; range.c: ranges
 *     key.c    how keys of up to 10,000 bytes fit LMDB's 511; bucket.c: where the long ones live
 *     space.c  room: true figures, and reserving it
 *     need.c   how many pages a commit takes at most; free.c: which free pages LMDB is certain to use
 *     watch.c  watches; doorbell.c: how a commit wakes other processes
 *
 * Locks, in the order in which they are taken:
 *   write_lock   one writing transaction of this process at a time, from begin to end; inside it LMDB's own
 *                writer's lock, among processes
 *   pool_lock, space_lock, watch_lock   held briefly, never together
 *
 * The environment (`env`) is replaced only by lmdb_env_repair_locked(), which holds write_lock and every reader.
 */
#ifndef KV_LMDB_INTERNAL_H
#define KV_LMDB_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "kv/engine.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#define LMDB_DATA  "data.mdb"
#define LMDB_LOCKS "lock.mdb"

/* LMDB's limit for a key, as Debian builds it. Longer ones go into buckets: key.c. */
#define LMDB_KEY_MAX 511u

/* Values that a writer reads between two writes and that are told apart. */
#define LMDB_LENT_MAX 8u

/* Slots of the pool of readers, one cache line each: threads on different processors do not meet. */
#define LMDB_POOL_SLOTS 64u

struct lmdb_range;
struct lmdb_watch;
struct lmdb_doorbell;

/* A transaction. Readers are kept in a pool with their slot in LMDB's reader table and their cursors. */
struct lmdb_txn {
        struct kv_txn base;
        bool write;
        MDB_txn *txn;       /* readers: reset while in the pool; NULL: not begun yet */
        MDB_cursor *cursor; /* for gets and writes */
        bool cursor_stale;  /* readers: to be renewed before use */
        int err;            /* writer: the failure after which it cannot commit */
        uint64_t number;    /* writer: as LMDB counts transactions */
        /* Writer: values read since the last write. They may lie in pages that the next write changes. */
        struct slice lent[LMDB_LENT_MAX];
        unsigned lent_n;            /* above the maximum: some are not noted */
        struct lmdb_range *ranges;  /* not in use now */
        struct lmdb_watch *watches; /* armed or broken when the transaction ends */
        struct lmdb_txn *next;      /* in the pool's list */
};

/* Memory that is kept from one use to the next. */
struct lmdb_scratch {
        uint8_t *data;
        size_t bytes;
};

/* Rows of more pages are counted as rows of this many. */
#define LMDB_ROW_MAX 64u

/* Free pages that LMDB is certain to use. */
struct lmdb_free {
        uint64_t pages;
        bool split;                      /* the list has many short records, so that rows may be overlooked */
        uint64_t rows[LMDB_ROW_MAX + 1]; /* [n]: how many rows of n pages fit into them side by side */
};

struct lmdb_lock {
        int fd;        /* -1: none */
        bool unlocked; /* a reader who may not use LMDB's lock file */
};

struct lmdb_store {
        struct kv_store base;
        char *path;          /* absolute: opening again must work from anywhere */
        int dir_fd, data_fd; /* data.mdb, to ask for room: LMDB has descriptors of its own */
        bool rdonly, exclusive;
        uint64_t max_bytes; /* as asked for; 0: default */
        struct lmdb_lock lock;

        MDB_env *env; /* NULL after a failed repair */
        uint64_t page_bytes;
        _Atomic uint64_t map_bytes;

        _Atomic bool gate; /* env must be opened again before anybody begins */
        struct lock write_lock;
        struct lmdb_txn writer;            /* write_lock */
        uint64_t readers_checked_ns;       /* write_lock; when the reader table was last swept */
        struct lmdb_scratch bucket, value; /* write_lock */

        struct {
                _Alignas(64) _Atomic(struct lmdb_txn *) idle;
        } slots[LMDB_POOL_SLOTS];
        struct lock pool_lock;
        struct lmdb_txn *idle; /* pool_lock; those that found their slot taken */
        unsigned readers;      /* pool_lock; all that exist */

        /* As of our last transaction: bytes of the file that are in use, the number of the transaction, and
         * the shape of the tree. */
        _Atomic uint64_t used_end, number;
        _Atomic uint64_t leaf_pages, branch_pages, overflow_pages, depth;
        _Atomic uint64_t list_tree_pages, list_record_pages; /* of LMDB's list of free pages */
        _Atomic uint64_t allocated_end; /* up to here the host's file system has given us room */
        bool sparse;                    /* there may be holes before used_end that it cannot fill */
        _Atomic uint64_t aged_number;   /* the number that lmdb_age left */
        struct lock space_lock;
        /* space_lock; the last count of free pages, of which transaction, and when it is too old. */
        uint64_t free_pages, free_txnid, free_until_ns;
        /* space_lock; those that can be used, as of which transaction, for a need of how many pages. */
        struct lmdb_free counted;
        uint64_t counted_number, counted_for;

        struct lmdb_doorbell *doorbell;
        struct lock watch_lock;
        pthread_cond_t watch_cond;
        pthread_t watcher;
        bool watcher_runs, watcher_stop; /* watch_lock */
        bool watch_recheck;              /* watch_lock; look even if no new transaction is seen */
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

/* LMDB's database without a name, the only one here. */
#define LMDB_DBI ((MDB_dbi)1)

/* The negative error for LMDB's result. */
int lmdb_error(int rc);

/* ---- dir.c --------------------------------------------------------------------------------------- */

/* Opens (with KV_OPEN_CREATE: makes) the directory and takes the store's lock: fills in path, dir_fd, data_fd
 * and lock. On failure lmdb_dir_close() cleans up. */
int lmdb_dir_open(struct lmdb_store *s, const char *path, const struct kv_open_opts *opts,
                  struct err_text *text);
void lmdb_dir_close(struct lmdb_store *s);

/* After the environment is open: 0 if it is a store of ours (an empty one is made one, if it may be
 * written). */
int lmdb_marker_check(struct lmdb_store *s, struct err_text *text);

/* Writes the marker again as it is: a transaction that changes nothing and is still one.
 * 0 or LMDB's error. */
int lmdb_marker_touch(MDB_txn *txn);

/* ---- lock.c -------------------------------------------------------------------------------------- */

/* Takes the store's lock as OPTS says, waiting opts->wait_ms. EBUSY with who holds it. */
int lmdb_lock_take(int dir_fd, const char *path, const struct kv_open_opts *opts, struct lmdb_lock *ret,
                   struct err_text *text);
void lmdb_lock_release(struct lmdb_lock *lock);
/* Whether somebody else may be writing now. */
bool lmdb_lock_others(const struct lmdb_lock *lock);
/* Serializes the making of data.mdb among those who hold the lock shared. */
int lmdb_lock_create(const struct lmdb_lock *lock, bool on);

/* ---- check.c ------------------------------------------------------------------------------------- */

/* Looks at the file before LMDB maps it: LMDB takes page numbers, lengths and offsets for true, and would
 * read outside of the file or abort on damaged ones. Headers and lengths always; of each tree at most
 * MAX_PAGES (0: all). A file that is shorter than its header says is looked at wholly: LMDB leaves out free
 * pages at the end. ERR_CORRUPT with TEXT. */
int lmdb_check_file(int fd, const char *path, uint64_t max_pages, struct err_text *text);

/* ---- env.c --------------------------------------------------------------------------------------- */

int lmdb_env_open(struct lmdb_store *s, struct err_text *text);
/* All readers must be in the pool; frees them. */
void lmdb_env_close(struct lmdb_store *s);

/* Opens the environment again, after a failed write of the header or because another process made the file
 * larger than our map. Waits for all readers to end, some seconds at most: EIO, to be tried again by the next
 * who begins. */
int lmdb_env_repair_locked(struct lmdb_store *s);

/* A reader with a fresh snapshot. */
int lmdb_reader_begin(struct lmdb_store *s, struct lmdb_txn **ret);
void lmdb_reader_end(struct lmdb_store *s, struct lmdb_txn *t);

/* ---- txn.c --------------------------------------------------------------------------------------- */

int lmdb_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret);
int lmdb_commit(struct kv_txn *t);
void lmdb_end(struct kv_txn *t);
void lmdb_get_start(struct kv_txn *t, struct kv_read *r);
int lmdb_set(struct kv_txn *t, struct slice key, struct slice value);
int lmdb_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret);
int lmdb_clear(struct kv_txn *t, struct slice key);
int lmdb_clear_range(struct kv_txn *t, struct slice begin, struct slice end);
int lmdb_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand);

/* The value of KEY as T sees it. */
int lmdb_get(struct lmdb_txn *t, struct slice key, struct slice *ret);

/* Notes that a writer's caller got VALUE, and may set it elsewhere. */
static inline void lmdb_lend(struct lmdb_txn *t, struct slice value)
{
        if (!t->write)
                return;
        if (t->lent_n < LMDB_LENT_MAX)
                t->lent[t->lent_n] = value;
        t->lent_n += t->lent_n <= LMDB_LENT_MAX;
}

/* ---- range.c ------------------------------------------------------------------------------------- */

void lmdb_range_start(struct kv_txn *t, struct kv_range *r);
int lmdb_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value);
void lmdb_range_end(struct kv_range *r);
/* Frees the ranges that T keeps for reuse. */
void lmdb_ranges_free(struct lmdb_txn *t);

/* ---- free.c, need.c ------------------------------------------------------------------------------ */

/* Counts as T sees them, up to ENOUGH pages or somewhat more. */
int lmdb_free_count(struct lmdb_store *s, struct lmdb_txn *t, uint64_t enough, struct lmdb_free *ret);

/* Pages that commits take at most. */
struct lmdb_pages {
        unsigned commits;
        uint64_t singles; /* of the trees: any free page will do */
        uint64_t values;  /* values with pages of their own */
        uint64_t value_pages;
        uint64_t rows, row;  /* those of several pages, and how many the largest has */
        uint64_t list_pages; /* for records of the list of free pages, in rows */
        uint64_t list_row;   /* the longest of them; 0: they fit into leaves */
        uint64_t relisted;   /* pages that the list takes of those that it holds */
};

void lmdb_pages_needed(const struct lmdb_store *s, const struct kv_need *need, struct lmdb_pages *ret);
uint64_t lmdb_pages_total(const struct lmdb_pages *p);

/* Whether LMDB is certain to find them, with END pages beyond the end of the file and F inside of it. */
bool lmdb_pages_fit(const struct lmdb_pages *p, uint64_t end, const struct lmdb_free *f);

/* ---- space.c ------------------------------------------------------------------------------------- */

/* After a write that was cut short: whether that is for want of room. */
bool lmdb_room_is_gone(struct lmdb_store *s);
int lmdb_space(struct kv_store *s, struct kv_space *ret);
int lmdb_reserve(struct kv_store *s, const struct kv_need *need);
/* For what the writing transaction T has written, before it commits. */
int lmdb_reserve_own(struct lmdb_txn *t);
/* Takes the figures of the newest transaction. write_lock or a reader held. */
void lmdb_space_update(struct lmdb_store *s);
/* Likewise of LMDB's list of free pages, as TXN sees it. */
void lmdb_space_update_list(struct lmdb_store *s, MDB_txn *txn);
/* Gives back the room beyond what is in use: at the end, and what a process that was killed left. Nothing
 * else may use the store. */
void lmdb_space_trim(struct lmdb_store *s);
/* After opening exclusively: trims, and sees to it that what is in use has no holes. */
void lmdb_space_claim(struct lmdb_store *s);

/* ---- watch.c ------------------------------------------------------------------------------------- */

int lmdb_watch(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret);
void lmdb_unwatch(struct kv_watch *w);
/* T ends: arms its watches, or breaks them. SNAPSHOT is the number of the transaction whose state they
 * saw. */
void lmdb_watch_settle(struct lmdb_store *s, struct lmdb_watch *watches, bool committed, uint64_t snapshot);
/* Ends the watcher. No watch may remain. */
void lmdb_watch_stop(struct lmdb_store *s);

#endif

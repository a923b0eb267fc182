/* SPDX-License-Identifier: MIT */
/* The parts of the writebehind layer and what they share.
 *
 *     writers ──► active table ──freeze──► frozen tables ──batch──► store below
 *     readers ◄── view: tables, newest first, and a snapshot of the store below, taken as a pair
 *
 * Locks, in the order in which they are taken:
 *   writer      one writing transaction at a time, from begin to end; freezing takes it, too, so that a table
 *               holds whole transactions
 *   watch_lock  the list of watches
 *   lock        everything marked "lock" below; held briefly
 *
 * Versions: each committed transaction gets the next number. A reader sees the last one published at its
 * begin.
 */
#ifndef KV_LAYER_WRITEBEHIND_INTERNAL_H
#define KV_LAYER_WRITEBEHIND_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "base/waitlist.h"
#include "kv/engine.h"
#include "kv/layer/layer.h"
#include "kv/layer/writebehind/memtable.h"

#define WB_TABLES_MAX 64

/* An amount of data to be written below. A key counts once per table. */
struct wb_load {
        uint64_t keys, sets, bytes; /* sets: keys that are not cleared; bytes: of keys and values */
        size_t largest;             /* value */
};

/* A memtable and its position in the sequence of transactions. */
struct wb_table {
        unsigned refs; /* lock: views that list it */
        struct memtable *mt;
        uint64_t last;       /* its newest transaction; set when frozen */
        size_t bytes;        /* of mt, as counted in memory_used; writer, then batch */
        struct wb_load load; /* committed into it, to be written below; writer, then batch */
};

/* The tables that a transaction reads, newest first: [0] is the active table. Immutable once published. */
struct wb_view {
        unsigned refs; /* lock */
        int n;
        struct wb_table *tables[WB_TABLES_MAX];
};

struct wb_range;

/* A value that was assembled for a reader. */
struct wb_scratch {
        struct wb_scratch *next;
        _Alignas(16) uint8_t data[];
};

struct wb_txn {
        struct kv_txn base;
        struct wb_view *view;
        struct kv_txn *below;       /* snapshot of the store below */
        uint64_t number;            /* the version that it sees; a writer: the one that it will commit as */
        uint64_t oldest_reader;     /* writer: all active readers see this version or a later one */
        struct list_link link;      /* lock: in wb_store.active or free_txns */
        struct wb_range *range;     /* one kept for reuse */
        struct wb_scratch *scratch; /* freed when the transaction ends */
        struct wb_load load;        /* writer: what it adds to its batch */
        uint64_t durable;           /* writer: as of its begin */
        bool committed;             /* wb_commit succeeded */
};

struct wb_store {
        struct kv_store base;
        struct kv_store *below;
        size_t memory_bytes, batch_bytes;
        /* Patched values take more space below than in memory. A table whose load has reached batch_load
         * bytes is written below; none gets larger than table_load and one transaction; pending_max bounds
         * all tables. */
        size_t batch_load, table_load, pending_max;
        size_t batch_bytes_below; /* bytes of a batch at most, unless one table has more */
        unsigned age_ms, close_ms;
        struct hash_seed seed; /* of all tables */
        uint8_t *sequence;     /* key of the batch number; NULL: none */
        size_t sequence_len;

        struct lock writer;
        /* Entries that the writing transaction changed, for undoing it and for watches. */
        struct mt_entry **touched; /* writer */
        size_t touched_n, touched_cap;

        struct lock lock;
        struct wb_view *view;        /* lock; the current one */
        uint64_t published;          /* lock; newest committed transaction */
        uint64_t durable;            /* lock; newest transaction written below */
        struct list_link active;     /* lock; transactions, oldest first */
        struct list_link free_txns;  /* lock */
        size_t memory_used;          /* lock; by all tables that are not freed yet */
        struct wb_load pending;      /* lock; committed and not yet written below */
        struct wb_load budget;       /* lock; pending up to this has space reserved below */
        struct wb_load frees_budget; /* lock; the same for transactions that free space */
        unsigned budget_step;        /* writer; how generous the last budget was (reservation.c) */
        uint64_t drain;              /* lock; no writer begins before this transaction is durable */
        uint64_t active_since_ns;    /* lock; first commit into the active table; 0: it is empty */
        bool batch_running;          /* lock */
        bool writing_through;        /* lock; a transaction that is not published may be committed below */
        bool committer_idle;         /* lock; it sleeps until woken, not until a time */
        bool batch_wanted;           /* lock; writers wait or a table is full */
        bool stopping;               /* lock */
        int error;                   /* lock; of the last batch, 0 after one that succeeded */
        uint64_t retry_at_ns;        /* lock; when to try again after an error */
        _Atomic uint64_t batches;    /* number of the last one written; changed under lock */
        pthread_cond_t committer_wake;
        struct waitlist batch_done; /* lock; durable, error or memory_used changed */
        pthread_t committer;

        struct lock watch_lock;
        struct list_link watches; /* watch_lock */
        pthread_cond_t watch_idle;
        _Atomic unsigned watch_count;
};

static inline struct wb_store *wb_of(struct kv_store *s)
{
        return (struct wb_store *)s;
}

static inline struct wb_txn *wb_txn_of(struct kv_txn *t)
{
        return (struct wb_txn *)t;
}

static inline struct wb_table *wb_active(const struct wb_txn *t)
{
        return t->view->tables[0];
}

/* ---- view.c -------------------------------------------------------------------------------------- */

/* Makes a view of the current tables without the DROP last ones, with a new active table in front if
 * ADD_ACTIVE. Takes references. ENOMEM. */
int wb_view_make_locked(struct wb_store *wb, bool add_active, int drop, struct wb_view **ret);

/* Drops a reference. Returns the number of tables that no view lists any more, in DEAD; free them with
 * wb_tables_free. */
int wb_view_unref_locked(struct wb_store *wb, struct wb_view *v, struct wb_table *dead[WB_TABLES_MAX]);
void wb_tables_free(struct wb_store *wb, struct wb_table *dead[], int n);

/* ---- txn.c, read.c, write.c ---------------------------------------------------------------------- */

int wb_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret);
int wb_commit(struct kv_txn *t);
void wb_end(struct kv_txn *t);

void wb_get_start(struct kv_txn *t, struct kv_read *r);
void wb_get_wait(struct kv_txn *t, struct kv_read *r);
/* Reads KEY at once; the result is in the read. */
struct kv_read wb_get(struct kv_txn *t, struct slice key, unsigned flags);

int wb_set(struct kv_txn *t, struct slice key, struct slice value);
int wb_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret);
int wb_patch(struct kv_txn *t, struct slice key, size_t at, struct slice data);
int wb_clear(struct kv_txn *t, struct slice key);
int wb_clear_range(struct kv_txn *t, struct slice begin, struct slice end);
int wb_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand);

/* ---- reservation.c ------------------------------------------------------------------------------- */

static inline void wb_load_add(struct wb_load *to, const struct wb_load *load)
{
        to->keys += load->keys;
        to->sets += load->sets;
        to->bytes += load->bytes;
        to->largest = load->largest > to->largest ? load->largest : to->largest;
}

/* Before T is acknowledged: reserves space below for T and all that is pending. 0: done; 1: T was written
 * below instead; ERR_RETRY: T must run again when all before it is written below; ENOSPC. With the writer's
 * lock, which is released during the call. */
int wb_reserve_txn_locked(struct wb_store *wb, struct wb_txn *t);

/* ---- range.c ------------------------------------------------------------------------------------- */

void wb_range_start(struct kv_txn *t, struct kv_range *r);
int wb_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value);
void wb_range_end(struct kv_range *r);

/* ---- batch.c ------------------------------------------------------------------------------------- */

/* Writes what the writing transaction T, the only one that is not durable, put into the active table. 1: T is
 * durable; or an error. No batch may be running (asserted). The lock is released during the call. */
int wb_write_through_locked(struct wb_store *wb, struct wb_txn *t);
/* Writes the next batch, if there is one: 0 or its error. The lock is released during the call. */
int wb_batch_run_locked(struct wb_store *wb);

/* ---- committer.c --------------------------------------------------------------------------------- */

/* Everything up to transaction TARGET is durable when this returns 0. */
int wb_sync_to(struct wb_store *wb, uint64_t target);
/* Wakes the committer if it would not look by itself in time. */
void wb_committer_notify_locked(struct wb_store *wb);
/* Makes the committer write a batch as soon as possible. */
void wb_batch_request_locked(struct wb_store *wb);
void *wb_committer(void *wb);

/* ---- watch.c ------------------------------------------------------------------------------------- */

int wb_watch(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret);
void wb_unwatch(struct kv_watch *w);
/* The writing transaction committed: marks the watches on the keys that it touched. With the writer's
 * lock. */
void wb_watch_touched(struct wb_store *wb);
/* T ended: arms its watches, or breaks them. Calls back those that fired; with no lock held. */
void wb_watch_settle(struct wb_store *wb, struct wb_txn *t, bool committed);

#endif

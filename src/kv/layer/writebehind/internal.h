/* SPDX-License-Identifier: MIT */
/* The writebehind layer's parts and what they share.
 *
 *     writers ──► active table ──freeze──► frozen tables ──batch──► store below
 *     readers ◄── view: tables, newest first, and a snapshot of the store below, taken as a pair
 *
 * Locks, in the order in which they are taken:
 *   writer   one writing transaction at a time, from begin to end; freezing takes it too, so that a table
 *            holds whole transactions
 *   lock     everything marked "lock" below; held briefly
 *
 * Versions: each committed transaction gets the next number. A reader begins at the last one published.
 */
#ifndef KV_LAYER_WRITEBEHIND_INTERNAL_H
#define KV_LAYER_WRITEBEHIND_INTERNAL_H

#include "kv/engine.h"
#include "kv/layer/layer.h"
#include "kv/layer/writebehind/memtable.h"

#include <pthread.h>

#define WB_TABLES_MAX 64

/* What is written below: keys once for each table, and the bytes of keys and values. */
struct wb_load {
        uint64_t keys, sets, bytes; /* sets: keys that are not cleared */
        size_t largest;             /* value */
};

/* A memtable and its place in the sequence of transactions. */
struct wb_table {
        unsigned refs; /* lock: views that list it */
        struct memtable *mt;
        uint64_t last;       /* newest transaction in it; set when frozen */
        size_t bytes;        /* of mt, as counted in memory_used; writer, then batch */
        struct wb_load load; /* committed into it and to be written below; writer, then batch */
};

/* What a transaction looks through, newest first: [0] is the active table. Immutable once published. */
struct wb_view {
        unsigned refs; /* lock */
        int n;
        struct wb_table *tables[WB_TABLES_MAX];
};

struct wb_range;

/* A value that was put together for a reader. */
struct wb_scratch {
        struct wb_scratch *next;
        _Alignas(16) uint8_t data[];
};

struct wb_txn {
        struct kv_txn base;
        struct wb_view *view;
        struct kv_txn *below;       /* snapshot of the store below */
        uint64_t number;            /* what it sees; a writer: the number that it will commit as */
        uint64_t oldest_reader;     /* writer: no active reader is below */
        struct wb_txn *prev, *next; /* lock: active transactions, oldest first; or the free list */
        struct wb_range *range;     /* one kept for reuse */
        struct wb_scratch *scratch; /* freed when the transaction ends */
        struct wb_load load;        /* writer: what it adds to its batch */
        uint64_t durable;           /* writer: as of its begin */
        bool committed;             /* wb_commit succeeded */
};

struct wb_watch;

struct wb_store {
        struct kv_store base;
        struct kv_store *below;
        size_t memory_bytes, batch_bytes;
        /* Patched values take more room below than in memory. When the bytes of a table have reached
         * batch_load it is written down; none gets larger than table_load and one transaction;
         * pending_max bounds all. */
        size_t batch_load, table_load, pending_max;
        size_t batch_bytes_below; /* bytes of a batch at most, unless one table has more */
        unsigned age_ms, close_ms;
        uint8_t *sequence; /* key of the batch number; NULL: none */
        size_t sequence_len;

        pthread_mutex_t writer;
        /* Entries that the writing transaction touched, to take them back or to tell watches. */
        struct mt_entry **touched; /* writer */
        size_t touched_n, touched_cap;

        pthread_mutex_t lock;
        struct wb_view *view;           /* lock; the current one */
        uint64_t published;             /* lock; newest committed transaction */
        uint64_t durable;               /* lock; newest transaction written below */
        struct wb_txn *oldest, *newest; /* lock; active transactions */
        struct wb_txn *free_txns;       /* lock */
        size_t memory_used;             /* lock; of all tables that are not freed yet */
        struct wb_load pending;         /* lock; committed and not yet written below */
        struct wb_load budget;          /* lock; pending up to here is certain to find room below */
        struct wb_load frees_budget;    /* lock; the same for what frees room */
        unsigned budget_step;           /* writer; how generously it was granted last time (room.c) */
        uint64_t drain;                 /* lock; no writer begins before this transaction is durable */
        uint64_t active_since_ns;       /* lock; first commit into the active table; 0: it is empty */
        bool batch_running;             /* lock */
        bool committer_idle;            /* lock; it sleeps until it is woken, not for a time */
        bool batch_wanted;              /* lock; writers wait or a table is full */
        bool stopping;                  /* lock */
        int error;                      /* lock; of the last batch, 0 after one that succeeded */
        uint64_t retry_at_ns;           /* lock; when to try again after an error */
        _Atomic uint64_t batches;       /* number of the last one written; changed under lock */
        pthread_cond_t committer_wake;
        pthread_cond_t batch_done; /* durable, error or memory_used changed */
        pthread_t committer;

        pthread_mutex_t watch_lock;
        struct wb_watch *watches; /* watch_lock */
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

/* A view of the current tables without the last DROP ones, with a new active table in front if
 * ADD_ACTIVE; takes references. ENOMEM. Lock held. */
int wb_view_make(const struct wb_view *current, bool add_active, int drop, struct wb_view **ret);

/* Gives a reference back; tables that nobody lists any more are handed out in DEAD (room for
 * WB_TABLES_MAX) to be freed with wb_tables_free. Returns how many. Lock held. */
int wb_view_unref(struct wb_view *v, struct wb_table *dead[WB_TABLES_MAX]);
/* Lock not held. */
void wb_tables_free(struct wb_store *wb, struct wb_table *dead[], int n);

/* ---- txn.c --------------------------------------------------------------------------------------- */

int wb_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret);
int wb_commit(struct kv_txn *t);
void wb_end(struct kv_txn *t);
void wb_get_start(struct kv_txn *t, struct kv_read *r);
void wb_get_wait(struct kv_txn *t, struct kv_read *r);
int wb_set(struct kv_txn *t, struct slice key, struct slice value);
int wb_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret);
int wb_patch(struct kv_txn *t, struct slice key, size_t at, struct slice data);
int wb_clear(struct kv_txn *t, struct slice key);
int wb_clear_range(struct kv_txn *t, struct slice begin, struct slice end);
int wb_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand);

/* ---- room.c -------------------------------------------------------------------------------------- */

static inline void wb_load_add(struct wb_load *to, const struct wb_load *load)
{
        to->keys += load->keys;
        to->sets += load->sets;
        to->bytes += load->bytes;
        to->largest = load->largest > to->largest ? load->largest : to->largest;
}

/* Before T is acknowledged: makes sure that it will find room below, beside all that is pending. 0; 1 if it
 * was written down instead; ERR_RETRY if it is to run again when all before it is written down; ENOSPC.
 * Writer's lock and lock held, the latter dropped meanwhile. */
int wb_room_take(struct wb_store *wb, struct wb_txn *t);

/* ---- range.c ------------------------------------------------------------------------------------- */

void wb_range_start(struct kv_txn *t, struct kv_range *r);
int wb_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value);
void wb_range_end(struct kv_range *r);

/* ---- batch.c ------------------------------------------------------------------------------------- */

/* Waits for the end of a batch. 0, or EINTR or ERR_AWAY: the thread's deadline is at its end. Lock held. */
int wb_wait_batch(struct wb_store *wb);
/* Everything up to transaction TARGET is durable when this returns 0. */
int wb_flush(struct wb_store *wb, uint64_t target);
/* Writes down what the writing transaction T, the only one that is not durable, put into the active table: it
 * is durable when this returns 0. No batch may be running. Lock held, dropped meanwhile. */
int wb_write_through(struct wb_store *wb, struct wb_txn *t);
void *wb_committer(void *wb);

/* ---- watch.c ------------------------------------------------------------------------------------- */

int wb_watch(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret);
void wb_unwatch(struct kv_watch *w);
/* The writing transaction is committed: marks the watches on what it touched. Writer's lock held. */
void wb_watch_touched(struct wb_store *wb);
/* T ended: its own watches are armed, or broken. Calls back what fired; no lock held. */
void wb_watch_settle(struct wb_store *wb, struct wb_txn *t, bool committed);

#endif

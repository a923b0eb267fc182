/* SPDX-License-Identifier: MIT */
/* The store contract from below: what an engine or a layer implements. Only for src/kv.
 *
 * Callers come through front.c, which checks arguments and states. An implementation sees only: keys of at
 * most KV_KEY_MAX bytes, values of at most limits.value_bytes, writes in KV_WRITE transactions, no write
 * while a range is open, and nothing after commit but `end`.
 */
#ifndef KV_ENGINE_H
#define KV_ENGINE_H

#include "kv/kv.h"

/* The space that transactions will need when they are written. */
struct kv_need {
        uint64_t keys;    /* set or cleared */
        uint64_t sets;    /* of these, set */
        uint64_t bytes;   /* of these keys and of the values set */
        size_t largest;   /* value, bytes */
        unsigned commits; /* transactions in which they are written, at most */
        bool frees;       /* on balance they free space: the reserve for KV_RESERVE may be used, too */
};

struct kv_ops {
        const char *name; /* "mem", "lmdb", "fdb", "writebehind", "fault", "stats" */

        int (*close)(struct kv_store *s); /* frees S */
        /* kv_waiting_ns and kv_give_up. NULL: no call waits for the store. */
        uint64_t (*waiting_ns)(struct kv_store *s);
        void (*give_up)(struct kv_store *s);
        int (*sync)(struct kv_store *s);
        int (*space)(struct kv_store *s, struct kv_space *ret);
        /* Reserves space for NEED beside all that is committed, so that its commits cannot fail for lack of
         * space: 0 or ENOSPC. Valid for the next need->commits transactions that write; replaces earlier
         * reservations. Not called in a transaction that frees space. NULL: not supported. */
        int (*reserve)(struct kv_store *s, const struct kv_need *need);

        /* Called after attempt number ATTEMPT (from 0) failed with ERR (conflict, retry, unknown result):
         * waits until another attempt makes sense and, after an unknown result, until no commit is in flight.
         * T is the attempt's transaction, which only `end` follows; NULL if begin failed. 0: try again;
         * negative: fail with that. NULL: the default of retry.c. */
        int (*backoff)(struct kv_store *s, struct kv_txn *t, int err, unsigned attempt);

        /* Fixes the snapshot that the transaction reads, unless KV_LATE. */
        int (*begin)(struct kv_store *s, unsigned flags, struct kv_txn **ret);
        int (*commit)(struct kv_txn *t);
        void (*end)(struct kv_txn *t); /* frees T */
        /* Makes T, which began with KV_BLIND and will not read, conflict with commits after VERSION; a
         * transient error if the store does not remember that far back. NULL: the store has no commit
         * versions and never sets t->version. */
        int (*since)(struct kv_txn *t, kv_version version);

        /* Stores without round trips read in get_start and leave get_wait NULL. Result in r->err and
         * r->value. */
        void (*get_start)(struct kv_txn *t, struct kv_read *r);
        void (*get_wait)(struct kv_txn *t, struct kv_read *r);

        /* r->txn and r->opts are set, r->returned is 0, r->priv NULL. front.c enforces `limit`, too. */
        void (*range_start)(struct kv_txn *t, struct kv_range *r);
        int (*range_next)(struct kv_range *r, struct slice *ret_key, struct slice *ret_value);
        void (*range_end)(struct kv_range *r);

        int (*set)(struct kv_txn *t, struct slice key, struct slice value);
        int (*set_reserve)(struct kv_txn *t, struct slice key, size_t len, void **ret);
        /* NULL: front.c reads, changes and sets the value. */
        int (*patch)(struct kv_txn *t, struct slice key, size_t at, struct slice data);
        int (*clear)(struct kv_txn *t, struct slice key);
        int (*clear_range)(struct kv_txn *t, struct slice begin, struct slice end);
        int (*atomic)(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand);
        /* NULL: transactions that write are serial anyway. */
        int (*conflict_range)(struct kv_txn *t, enum kv_conflict kind, struct slice begin, struct slice end);

        int (*watch)(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret);
        void (*unwatch)(struct kv_watch *w);
};

/* A flag of `begin` beside enum kv_txn_flags: `since` follows. */
#define KV_BLIND (1u << 16)

/* First member of every implementation's store. */
struct kv_store {
        const struct kv_ops *ops;
        struct kv_limits limits;
        struct kv_fence *fence;     /* fence.c; NULL until set */
        struct kv_markers *markers; /* marker.c; NULL until set */
        _Atomic unsigned open_txns;
};

/* First member of every implementation's transaction. kv_begin fills it in, not the implementation's
 * `begin`. */
struct kv_txn {
        struct kv_store *store;
        unsigned flags;
        unsigned open_ranges;
        bool committed;     /* kv_commit was called, successfully or not */
        kv_version version; /* of the commit, if known; set by `commit` */
        size_t written_bytes;
        size_t written_keys; /* counted once per write */
        size_t largest_value;
        struct kv_read *fence_read; /* in flight, until kv_confirm */
};

/* First member of every implementation's watch. */
struct kv_watch {
        struct kv_store *store;
};

/* Writes the result of an atomic operation on the value OLD (old.data NULL: absent) to OUT, which holds the
 * longer of OLD and OPERAND. Returns its length. */
size_t kv_atomic_apply(enum kv_atomic_op op, struct slice old, struct slice operand, uint8_t *out);

#endif

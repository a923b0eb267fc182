/* SPDX-License-Identifier: MIT */
/* The store contract from below: what a engine or a layer implements. Only for src/kv.
 *
 * Callers come through kv.c, which has checked arguments and states, so that an implementation sees:
 * keys of at most KV_KEY_MAX bytes, values of at most limits.value_bytes, writes only in KV_WRITE
 * transactions, no write while a range is open, nothing after commit but `end`.
 */
#ifndef KV_ENGINE_H
#define KV_ENGINE_H

#include "kv/kv.h"

/* What transactions that are to be written will ask of a store. */
struct kv_need {
        uint64_t keys;    /* set or cleared */
        uint64_t sets;    /* of these, set */
        uint64_t bytes;   /* of these keys and of the values set */
        size_t largest;   /* of the values set, bytes */
        unsigned commits; /* in how many transactions they come, at most */
        bool frees;       /* on the whole they free room: what is kept for KV_RESERVE may be used, too */
};

struct kv_ops {
        const char *name; /* "mem", "lmdb", "fdb", "writebehind", "fault", "stats" */

        int (*close)(struct kv_store *s); /* frees S */
        /* kv_waiting_ns and kv_give_up. NULL: nothing is waited for. */
        uint64_t (*waiting_ns)(struct kv_store *s);
        void (*give_up)(struct kv_store *s);
        int (*sync)(struct kv_store *s);
        int (*space)(struct kv_store *s, struct kv_space *ret);
        /* Makes room for NEED beside all that is committed, so that its commit is certain not to fail for
         * lack of space: 0, or ENOSPC. It holds for the next need->commits transactions that write, and not
         * beside what was promised before. Not in a transaction that frees. NULL: cannot promise. */
        int (*reserve)(struct kv_store *s, const struct kv_need *need);

        /* After attempt number ATTEMPT (from 0) failed with ERR (conflict, retry, unknown): waits as long as
         * it takes until it makes sense to try again and, after an unknown result, until nothing is in
         * flight any more. T is the attempt's transaction, which only `end` follows; NULL if none began.
         * 0: try again; negative: give up with that. NULL: kv_run's own back-off. */
        int (*backoff)(struct kv_store *s, struct kv_txn *t, int err, unsigned attempt);

        /* The snapshot that a transaction reads is fixed when begin returns. */
        int (*begin)(struct kv_store *s, unsigned flags, struct kv_txn **ret);
        int (*commit)(struct kv_txn *t);
        void (*end)(struct kv_txn *t); /* frees T */
        /* T, which began with KV_BLIND and will read nothing, conflicts with what was committed after
         * VERSION, or fails with a transient error if that is too long ago to tell. NULL: there are no commit
         * versions, nor is t->version ever set. */
        int (*since)(struct kv_txn *t, kv_version version);

        /* Stores without round trips do the read in get_start and leave get_wait NULL; result in
         * r->err and r->value. */
        void (*get_start)(struct kv_txn *t, struct kv_read *r);
        void (*get_wait)(struct kv_txn *t, struct kv_read *r);

        /* r->txn, r->opts are set, r->returned is 0, r->priv NULL. `limit` is enforced by kv.c too. */
        void (*range_start)(struct kv_txn *t, struct kv_range *r);
        int (*range_next)(struct kv_range *r, struct slice *ret_key, struct slice *ret_value);
        void (*range_end)(struct kv_range *r);

        int (*set)(struct kv_txn *t, struct slice key, struct slice value);
        int (*set_reserve)(struct kv_txn *t, struct slice key, size_t len, void **ret);
        /* NULL: kv.c reads, changes and sets the value. */
        int (*patch)(struct kv_txn *t, struct slice key, size_t at, struct slice data);
        int (*clear)(struct kv_txn *t, struct slice key);
        int (*clear_range)(struct kv_txn *t, struct slice begin, struct slice end);
        int (*atomic)(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand);
        int (*conflict_range)(struct kv_txn *t, enum kv_conflict kind, struct slice begin,
                              struct slice end); /* NULL: transactions that write are serial anyway */

        int (*watch)(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret);
        void (*unwatch)(struct kv_watch *w);
};

/* A flag of `begin` beside enum kv_txn_flags: `since` follows. */
#define KV_BLIND (1u << 16)

struct kv_session; /* fence and markers of kv_run: run.c */

/* First member of every implementation's store. */
struct kv_store {
        const struct kv_ops *ops;
        struct kv_limits limits;
        struct kv_session *session; /* freed by kv_close; NULL until set */
        _Atomic unsigned open_txns;
};

/* First member of every implementation's transaction. `begin` fills in nothing of it: kv.c does. */
struct kv_txn {
        struct kv_store *store;
        unsigned flags;
        unsigned open_ranges;
        bool committed;     /* commit was called, whatever came of it */
        kv_version version; /* of the commit, if it is known; set by `commit` */
        size_t written_bytes;
        size_t written_keys;   /* at least as many as differ */
        size_t largest_value;  /* written */
        struct kv_read *fence; /* kv_run's read of the fence, until it was waited for */
};

/* First member of every implementation's watch. */
struct kv_watch {
        struct kv_store *store;
};

/* Frees the session of kv_run; called by kv_close. Takes NULL. */
void kv_session_free(struct kv_session *session);

/* The result of an atomic operation on the value OLD (old.data NULL: absent), written to OUT, which has
 * room for the longer of both. Returns the length. */
size_t kv_atomic_apply(enum kv_atomic_op op, struct slice old, struct slice operand, uint8_t *out);

#endif

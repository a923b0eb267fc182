/* SPDX-License-Identifier: MIT */
/* The store contract: an ordered, transactional, serializable key-value store.
 *
 * Modelled on FoundationDB, the strictest engine. Keys and values are arbitrary bytes; keys sort bytewise. A
 * transaction reads one snapshot of the store with its own writes on top. It commits only if nothing that it
 * read, or declared with kv_conflict_*, was written by a transaction that committed after the snapshot.
 *
 * Threads: any number of threads may use a store, one at a time a transaction.
 * Lifetimes: a slice that a read returns is valid until the transaction writes again or ends. Slices passed
 * in are copied before the call returns, unless stated otherwise.
 * Errors: negative, see base/err.h. Rules marked "asserted" are checked by front.c; breaking one aborts.
 */
#ifndef KV_KV_H
#define KV_KV_H

#include "base/cleanup.h"
#include "base/deadline.h"
#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kv_store;
struct kv_txn;
struct kv_watch;

/* Every store takes keys and values of these sizes, so that one layout fits all stores. FoundationDB's limit
 * for keys is 10,000 bytes, part of which is the prefix of the file system in its cluster. */
#define KV_KEY_MAX   9900u   /* bytes */
#define KV_VALUE_MAX 100000u /* bytes */

/* Limits and properties of a store, by which callers plan their transactions. */
struct kv_limits {
        size_t key_bytes;      /* at least KV_KEY_MAX */
        size_t value_bytes;    /* at least KV_VALUE_MAX */
        size_t txn_bytes;      /* keys and values written by one transaction; above it commit gives E2BIG */
        size_t txn_plan_bytes; /* what callers should plan for one transaction at most */
        unsigned txn_ms;       /* age at which a transaction fails with ERR_CONFLICT; 0: never */
        size_t clear_keys;     /* existing keys that one kv_clear_range should cover at most */
        bool unknown_results;  /* kv_commit may give ERR_UNKNOWN_RESULT */
        bool remote;           /* a read costs a round trip: start reads together, read ahead */
        size_t range_bytes;    /* most bytes in one round trip of a range; 0: no bound. To read more at
                                * once, start several ranges or gets */
        bool optimistic;       /* transactions that write run concurrently and may conflict */
};

/* Space in the store, in bytes; total = used + free. */
struct kv_space {
        uint64_t total_bytes, used_bytes, free_bytes;
};

/* ---- stores ------------------------------------------------------------------------------------ */

enum kv_open_flags {
        KV_OPEN_CREATE = 1 << 0,    /* create the store if it does not exist */
        KV_OPEN_EXCLUSIVE = 1 << 1, /* be the only writer: EBUSY if another process may write */
        KV_OPEN_RDONLY = 1 << 2,    /* only read; possible beside an exclusive owner */
};

struct kv_open_opts {
        unsigned flags;    /* enum kv_open_flags */
        const char *owner; /* shown to processes that find the store in use: "PID on HOST, mounted at DIR" */
        unsigned wait_ms;  /* time to wait for an owner that is closing the store */
        unsigned connect_ms; /* time to wait for a cluster to answer; 0: default */
        uint64_t max_bytes;  /* upper bound of the store's size (lmdb: mapped address space); 0: default */
};

/* Opens the store at URL: "lmdb:PATH" or a plain path (a directory), or "fdb:[CLUSTER_FILE][?prefix=NAME]".
 * For fdb KV_OPEN_CREATE and KV_OPEN_EXCLUSIVE have no effect: exclusive owners register in the store, above
 * this interface. On success close *RET with kv_close(). On failure TEXT says why in one line. Open after
 * fork(): a store does not survive it.
 * Errors: EINVAL (URL), ENOENT (no such store), EBUSY (in use; TEXT names the owner), EACCES, ENOTDIR,
 * ERR_CORRUPT, ENOSPC, ERR_AWAY (the cluster does not answer), ENOPKG (no client library), ENOTSUP (a
 * version of LMDB that is not supported), ... */
int kv_open(const char *url, const struct kv_open_opts *opts, struct kv_store **ret, struct err_text *text);

/* Waits until everything committed is durable and frees the store, and with a layer the store below it. No
 * transaction may be open (asserted). Takes NULL. Returns the error with which committed data could not be
 * made durable, or 0. If the store does not answer, a thread with a deadline waits until its end; the effect
 * is that of kv_give_up. */
int kv_close(struct kv_store *s);

/* For how many nanoseconds the store has not answered a call that waits for it; the longest of several calls.
 * 0: no call waits, or the store is local. For deciding on kv_give_up. Any thread. */
uint64_t kv_waiting_ns(struct kv_store *s);
/* Stops waiting for the store, permanently: calls that wait, and later ones that would have to, give ERR_AWAY
 * independently of their thread's deadline. Uncommitted changes are lost, which kv_close reports. Any
 * thread, before kv_close. */
void kv_give_up(struct kv_store *s);

const struct kv_limits *kv_limits(const struct kv_store *s);
/* The limits of T's store. */
const struct kv_limits *kv_txn_limits(const struct kv_txn *t);

/* Barrier: on success everything committed before the call is durable. Any thread. */
int kv_sync(struct kv_store *s);

/* Returns used and free space. May be a few seconds old. */
int kv_space(struct kv_store *s, struct kv_space *ret);

/* ---- running transactions ---------------------------------------------------------------------- */

enum kv_txn_flags {
        KV_READ = 0,
        /* The transaction writes. Some stores take the writer's lock in begin. */
        KV_WRITE = 1 << 0,
        /* kv_run: running the body twice has the effect of running it once, so no marker is needed. That
         * includes a second time later: the body reads what it writes, or no other transaction writes it. */
        KV_IDEMPOTENT = 1 << 1,
        /* The transaction frees space: it may use the reserve of a full store. */
        KV_RESERVE = 1 << 2,
        /* The snapshot need not be newer than the last commit through this store, which saves a round trip.
         * Reading: only for the single writer of the store. Writing: what other processes wrote since
         * conflicts, and kv_run runs a body again that wrote nothing or failed. */
        KV_RECENT = 1 << 3,
        /* Reading: the snapshot is fixed when the first read is waited for, which saves a wait. */
        KV_LATE = 1 << 4,
        /* kv_run_since: a commit at *VERSION itself conflicts, too. */
        KV_BEFORE = 1 << 5,
};

/* The body of a transaction: returns >= 0 to commit, or a negative error to discard. It passes errors of kv
 * calls on, from which kv_run decides what to run again. Its only effect outside of the transaction is on
 * *ARG, which it writes anew on each run. A body without KV_WRITE may have one external effect (a reply) as
 * its last act, after kv_confirm; it is not run again afterwards. A body never waits for another
 * transaction. */
typedef int (*kv_body)(struct kv_txn *t, void *arg);

/* Runs BODY in a transaction, and again as long as that may help (conflict, transient failure). The outcome
 * is definite: on >= 0, the body's value, the transaction was committed once; on a negative error it was not.
 * ERR_CONFLICT, ERR_RETRY and ERR_UNKNOWN_RESULT are never returned. After ERR_AWAY alone the outcome is
 * unknown: the thread's deadline ended when a commit had been sent. */
int kv_run(struct kv_store *s, unsigned flags, kv_body body, void *arg);

/* The number of a commit in the history of one store; 0: unknown. */
typedef int64_t kv_version;

/* kv_run for a body with KV_WRITE that may know what it would read from an earlier call, which committed at
 * *VERSION. If the store supports it, the first attempt is blind: it reads nothing (asserted), not even the
 * fence, and conflicts with commits after *VERSION to anything that it declares. So the body must declare
 * everything that it assumes, and what it writes unless no other transaction writes that. All later attempts
 * read. On success *VERSION is that of the commit, at which all still held that the body read or declared; 0:
 * nothing was written, or it is unknown. Other transactions may have committed at the same version, after it.
 * A caller that relies on what that commit only read passes KV_BEFORE next time. For what it wrote KV_BEFORE
 * would conflict with the commit itself: there the caller must see to it that those others conflict with what
 * it wrote. */
int kv_run_since(struct kv_store *s, unsigned flags, kv_version *version, kv_body body, void *arg);
bool kv_is_blind(const struct kv_txn *t);

/* Makes every transaction of kv_run read KEY beside the body's own reads and fail with ERR_FENCED if it is
 * absent. An empty key removes the fence. Call before other threads use the store. ENOMEM. */
int kv_set_fence(struct kv_store *s, struct slice key);

/* Waits for the read of the fence: ERR_FENCED, or an error to pass on like those of reads. For bodies without
 * KV_WRITE, before their external effect. After all others kv_run does it. */
int kv_confirm(struct kv_txn *t);

/* Lets kv_run store markers in a few keys that begin with PREFIX; by them it finds out whether a commit with
 * an unknown result happened. Needed before the first write if limits->unknown_results (asserted). Call
 * before other threads use the store. ENOMEM. */
int kv_set_markers(struct kv_store *s, struct slice prefix);

/* The parts of kv_run, for layers and tests. After kv_commit, also one that failed, only kv_end may follow
 * (asserted). kv_end discards what is not committed; takes NULL. */
int kv_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret);
int kv_commit(struct kv_txn *t);
void kv_end(struct kv_txn *t);
DEFINE_CLEANUP(struct kv_txn, kv_end);
#define _cleanup_txn_ _cleanup_(kv_end_ptr)

/* ---- reading ----------------------------------------------------------------------------------- */

enum kv_read_flags {
        KV_SNAPSHOT = 1 << 0, /* a change of the value by another transaction is no conflict */
        KV_LENGTH = 1 << 1,   /* only the value's length is needed; its data must not be accessed */
};

/* A read in flight, in the caller's memory. Fields are private; stays in place until waited for. */
struct kv_read {
        struct slice key; /* borrowed until kv_get_wait */
        unsigned flags;
        int err;
        struct slice value;
        void *priv;
};

/* Starts a read, so that several are in flight before the first is waited for. Each must be waited for,
 * unless the transaction ends first. */
void kv_get_start(struct kv_txn *t, struct kv_read *r, struct slice key, unsigned flags);
/* Waits for a read. 0 and the value; ENOENT, or an error of the store. */
int kv_get_wait(struct kv_txn *t, struct kv_read *r, struct slice *ret_value);
/* Starts a read and waits for it. */
int kv_get(struct kv_txn *t, struct slice key, unsigned flags, struct slice *ret_value);

enum kv_range_mode {
        KV_ITERATE, /* the caller may stop early: fetch moderately ahead */
        KV_ALL,     /* the caller wants everything up to the limit: fetch at once */
};

struct kv_range_opts {
        struct slice begin, end; /* [begin, end); borrowed until kv_range_end */
        size_t limit;            /* pairs at most; 0: no limit */
        bool reverse;            /* from the end downwards */
        bool snapshot;           /* as KV_SNAPSHOT. Otherwise the range counts as read, gaps included: up to
                                  * the last pair returned, or to its end if that was reached */
        enum kv_range_mode mode;
};

/* A range read in flight, in the caller's memory. Fields are private. */
struct kv_range {
        struct kv_txn *txn;
        struct kv_range_opts opts;
        size_t returned;
        int err;
        void *priv;
};

/* Starts a range read without waiting. The transaction must not write until kv_range_end (asserted). */
void kv_range_start(struct kv_txn *t, struct kv_range *r, const struct kv_range_opts *opts);
/* Returns 1 and the next pair, 0 at the end, or an error. The key is valid until the next call on this range,
 * the value until the transaction writes or ends. */
int kv_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value);
/* No effect on KV_RANGE_NONE, nor the second time. */
void kv_range_end(struct kv_range *r);
/* Ends the range with its scope: `_cleanup_range_ struct kv_range range = KV_RANGE_NONE;`. Declared after the
 * transaction and the memory of its bounds: kv_range_end uses both, and what is declared later ends first. */
#define _cleanup_range_ _cleanup_(kv_range_end)
#define KV_RANGE_NONE       \
        {                   \
                .txn = NULL \
        }

/* ---- writing (only in transactions with KV_WRITE, asserted) ------------------------------------- */

int kv_set(struct kv_txn *t, struct slice key, struct slice value);
/* Sets KEY to a value of LEN bytes that the caller writes to *RET before its next call on the transaction.
 * Saves a copy of large values. */
int kv_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret);
/* Overwrites part of KEY's value with DATA at offset AT. A shorter value is extended with zeros up to AT; an
 * absent key counts as empty. Conflicts as a read and a write of KEY. Some stores keep the change instead of
 * copying the value. */
int kv_patch(struct kv_txn *t, struct slice key, size_t at, struct slice data);
int kv_clear(struct kv_txn *t, struct slice key);
/* Clears [BEGIN, END), in which at most limits->clear_keys keys should exist. */
int kv_clear_range(struct kv_txn *t, struct slice begin, struct slice end);

enum kv_atomic_op {
        /* Little-endian addition modulo 2^(8 * length of the operand). An absent value counts as 0; a shorter
         * one is extended with zeros, a longer one cut to the operand's length. */
        KV_ADD,
        /* The bytewise larger of value and operand; the operand if the key is absent. */
        KV_BYTE_MAX,
};

/* Changes KEY without reading it: two such changes do not conflict. */
int kv_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand);

/* ---- explicit conflicts ------------------------------------------------------------------------- */

enum kv_conflict {
        KV_CONFLICT_READ,  /* as if it had been read */
        KV_CONFLICT_WRITE, /* as if it had been written (only with KV_WRITE, asserted) */
};

int kv_conflict_key(struct kv_txn *t, enum kv_conflict kind, struct slice key);
int kv_conflict_range(struct kv_txn *t, enum kv_conflict kind, struct slice begin, struct slice end);

/* ---- watches ------------------------------------------------------------------------------------ */

/* Called once: with 0 when the key may no longer have the value that the transaction saw (spurious calls
 * occur), or with a negative error when the watch broke, which counts as fired. Runs on any thread that uses
 * the store, with none of the store's locks held, and must not call into the store. */
typedef void (*kv_watch_fn)(int err, void *arg);

/* Watches KEY for changes from the value that this transaction reads. Armed when the transaction commits,
 * read-only ones included; broken with ECANCELED if it does not commit. EMFILE: too many watches. */
int kv_watch(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret);
/* Frees W, fired or not. FN does not run any more when this returns. Takes NULL. */
void kv_unwatch(struct kv_watch *w);

#endif

/* SPDX-License-Identifier: MIT */
/* The store contract: an ordered, transactional, serializable key-value store.
 *
 * Modelled on FoundationDB, the strictest engine that has to fit it. Keys and values are arbitrary
 * bytes; keys sort bytewise. A transaction reads one snapshot of the store plus its own writes, and
 * commits only if nothing that it read (or declared with kv_conflict_*) was written by another
 * transaction that committed since.
 *
 * Threads: a store may be used by any number of threads, a transaction by one at a time.
 * Lifetimes: a slice returned by a read stays valid until the transaction writes again or ends,
 * whichever comes first; slices handed in are copied before the call returns, except where said.
 * Errors: negative, see base/err.h.
 * What each function may be called with is asserted by the front door (kv.c); breaking a rule that is
 * marked "asserted" aborts.
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

/* What every store takes, so that one layout fits all of them. FoundationDB takes keys of 10,000 bytes, of
 * which some are the prefix of the file system in its cluster. */
#define KV_KEY_MAX   9900u   /* bytes */
#define KV_VALUE_MAX 100000u /* bytes */

/* What a store can take and how it behaves: data for those above, who plan by it. */
struct kv_limits {
        size_t key_bytes;      /* at least KV_KEY_MAX */
        size_t value_bytes;    /* at least KV_VALUE_MAX */
        size_t txn_bytes;      /* keys and values written by one transaction; commit gives E2BIG above */
        size_t txn_plan_bytes; /* what a caller should plan for at most in one transaction */
        unsigned txn_ms;       /* age at which a transaction ends in ERR_CONFLICT; 0: none */
        size_t clear_keys;     /* existing keys that one kv_clear_range should cover at most */
        bool unknown_results;  /* kv_commit may give ERR_UNKNOWN_RESULT */
        bool remote;           /* a read costs a round trip: start reads together, read ahead */
        size_t range_bytes;    /* what one round trip of a range brings at most; whoever wants more and
                                  * knows keys between starts several ranges or gets together. 0: no bound */
        bool optimistic;       /* bodies that write may run at the same time and conflict */
};

/* Room in the store. free_bytes is what can still be written; total = used + free. */
struct kv_space {
        uint64_t total_bytes, used_bytes, free_bytes;
};

/* ---- stores ------------------------------------------------------------------------------------ */

enum kv_open_flags {
        KV_OPEN_CREATE = 1 << 0,    /* make the store if there is none */
        KV_OPEN_EXCLUSIVE = 1 << 1, /* nobody else may write: fails with EBUSY if somebody may */
        KV_OPEN_RDONLY = 1 << 2,    /* only read; works beside an exclusive owner */
};

struct kv_open_opts {
        unsigned flags;      /* enum kv_open_flags */
        const char *owner;   /* shown to others who find the store in use: "PID on HOST, mounted at DIR" */
        unsigned wait_ms;    /* how long to wait for an owner who is just going away */
        unsigned connect_ms; /* how long to wait for a cluster to answer; 0: default */
        uint64_t max_bytes;  /* upper bound of the store's size (lmdb: address space mapped); 0: default */
};

/* Opens the store at URL: "lmdb:PATH" or a plain path (a directory), "mem:" (private to the process),
 * "fdb:[CLUSTER_FILE][?prefix=NAME]" (where an exclusive owner is a matter of the layers above, who
 * register in the store: KV_OPEN_CREATE and KV_OPEN_EXCLUSIVE mean nothing). On success *RET is to be closed
 * with kv_close(). On failure TEXT says why in one line.
 * Errors: EINVAL (URL), ENOENT (no such store), EBUSY (in use; TEXT says by whom), EACCES, ENOTDIR,
 * ERR_CORRUPT, ENOSPC, ERR_AWAY (a cluster that does not answer), ENOPKG (no client library for it), ...
 * Open after fork(): a store does not survive it. */
int kv_open(const char *url, const struct kv_open_opts *opts, struct kv_store **ret, struct err_text *text);

/* Waits for everything committed to be durable and frees the store. No transaction may be open
 * (asserted). Takes NULL. A layer closes the store below it. Returns the error, if any, with which
 * the last committed data could not be made durable. A thread with a deadline (below) waits no longer than
 * that for a store that is away; then it is as after kv_give_up. */
int kv_close(struct kv_store *s);

/* For who is about to close a store that may be away: for how many nanoseconds it has not done what somebody
 * waits for (of several, the longest). 0: nobody waits, as for a store that is never away. Any thread. */
uint64_t kv_waiting_ns(struct kv_store *s);
/* From now on nobody waits for S: calls that do, and those to come that would have to, give ERR_AWAY,
 * whatever the deadline of their thread. For good: what could not be committed is lost, which kv_close tells.
 * Any thread, before kv_close. */
void kv_give_up(struct kv_store *s);

const struct kv_limits *kv_limits(const struct kv_store *s);
/* Those of the store that T belongs to. */
const struct kv_limits *kv_txn_limits(const struct kv_txn *t);

/* Barrier: on success everything committed before the call is durable. Any thread. */
int kv_sync(struct kv_store *s);

/* How much room there is. May be a few seconds old. */
int kv_space(struct kv_store *s, struct kv_space *ret);

/* ---- running transactions ---------------------------------------------------------------------- */

enum kv_txn_flags {
        KV_READ = 0,
        KV_WRITE = 1 << 0,      /* the transaction will write: some stores take the writer's lock now */
        KV_IDEMPOTENT = 1 << 1, /* kv_run: running the body twice is the same as once, no marker needed; also
                                 * once more, late: it reads what it writes, or nobody else writes that */
        KV_RESERVE = 1 << 2,    /* the transaction frees room: it may use the reserve of a full store */
        KV_RECENT = 1 << 3,     /* the snapshot need not be newer than the last commit through this store,
                                 * which saves a round trip. To read: for whoever is the only one to
                                 * write. To write: what others wrote since conflicts, and kv_run finds
                                 * out again what was found without writing anything */
        KV_LATE = 1 << 4,       /* to read: the snapshot is fixed when the first read is waited for, not
                                 * before, which saves a wait */
        KV_BEFORE = 1 << 5,     /* kv_run_since: what was committed at the moment itself conflicts, too */
};

/* Runs BODY in a transaction, as often as it takes. A body returns >= 0 to commit, or a negative error
 * to discard; errors of kv calls are passed through, so that kv_run can tell what to run again. It has no
 * effect outside its transaction but on *ARG, which it writes anew on each run; the last act of a body
 * without KV_WRITE may be an external effect (a reply), after kv_confirm: then it is not run again.
 * Bodies never wait for another transaction.
 * The outcome is definite: on return of >= 0 (the body's value) the transaction is committed once;
 * on a negative error it is not. ERR_CONFLICT, ERR_RETRY and ERR_UNKNOWN_RESULT never leave it.
 * Only ERR_AWAY says nothing of the outcome: the thread's deadline (below) ended after a commit was sent. */
typedef int (*kv_body)(struct kv_txn *t, void *arg);
int kv_run(struct kv_store *s, unsigned flags, kv_body body, void *arg);

/* That of a commit, in the history of one store; 0: not known. */
typedef int64_t kv_version;

/* kv_run for a body with KV_WRITE that may know what it would read: what held at *VERSION, when an earlier
 * call committed. Where the store can, its first attempt is blind: it reads nothing (asserted), not even the
 * fence, which stood then, but conflicts with what changed since *VERSION of all that it declares. So it
 * declares whatever it takes for granted, and what it writes unless nobody else writes that. All other
 * attempts read. On success *VERSION is that of the commit (0: nothing was written, or it is not known), at
 * which all still held that the body read or declared. But others may have committed at the same version,
 * behind it: whoever relies on what that commit only read uses KV_BEFORE; whoever relies on what it wrote
 * cannot, and sees to it that those others would have conflicted with that. */
int kv_run_since(struct kv_store *s, unsigned flags, kv_version *version, kv_body body, void *arg);
bool kv_is_blind(const struct kv_txn *t);

/* Every transaction of kv_run reads KEY, beside the body's own reads, and fails with ERR_FENCED if it is
 * absent. Set before other threads use the store; an empty key removes it. */
int kv_set_fence(struct kv_store *s, struct slice key);

/* Where kv_run may put its markers, by which it finds out whether a commit with an unknown result
 * happened: a few keys that begin with PREFIX. Needed once before writing if limits->unknown_results.
 * Set before other threads use the store. */
int kv_set_markers(struct kv_store *s, struct slice prefix);

/* For bodies without KV_WRITE, before their external effect: whether the fence still stands. The wait for it
 * may give a transient error, to be passed through like those of reads. Once only, or kv_run does it. */
int kv_confirm(struct kv_txn *t);

/* The parts of kv_run, for layers and tests. kv_end takes NULL and discards what is not committed.
 * After kv_commit (whatever it returned) only kv_end may follow (asserted). */
int kv_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret);
int kv_commit(struct kv_txn *t);
void kv_end(struct kv_txn *t);
DEFINE_CLEANUP(struct kv_txn, kv_end);
#define _cleanup_txn_ _cleanup_(kv_end_ptr)

/* ---- reading ----------------------------------------------------------------------------------- */

enum kv_read_flags {
        KV_SNAPSHOT = 1 << 0, /* what is read may be changed by others without a conflict */
        KV_LENGTH = 1 << 1,   /* only the value's length is wanted: its data must not be looked at */
};

/* One read in flight; the caller's memory, untouched by it until waited for. */
struct kv_read {
        struct slice key; /* borrowed: must live until kv_get_wait */
        unsigned flags;
        int err;
        struct slice value;
        void *priv;
};

/* Starts a read, so that several can be under way before the first is waited for. Each started read
 * must be waited for, unless the transaction ends first. */
void kv_get_start(struct kv_txn *t, struct kv_read *r, struct slice key, unsigned flags);
/* Waits for it. 0 and the value, or ENOENT, or an error of the store. */
int kv_get_wait(struct kv_txn *t, struct kv_read *r, struct slice *ret_value);
/* Both in one. */
int kv_get(struct kv_txn *t, struct slice key, unsigned flags, struct slice *ret_value);

enum kv_range_mode {
        KV_ITERATE, /* the caller may stop early: fetch moderately ahead */
        KV_ALL,     /* the caller wants everything up to the limit: fetch at once */
};

struct kv_range_opts {
        struct slice begin, end; /* [begin, end); borrowed until kv_range_end */
        size_t limit;            /* pairs at most; 0: no limit */
        bool reverse;            /* from the end downwards */
        bool snapshot;           /* as KV_SNAPSHOT. Otherwise conflicts with what was returned and the
                                  * gaps between, up to the last pair returned or the end reached */
        enum kv_range_mode mode;
};

/* A range read in flight; the caller's memory. Fields are private. */
struct kv_range {
        struct kv_txn *txn;
        struct kv_range_opts opts;
        size_t returned;
        int err;
        void *priv;
};

/* Starts a range read; no wait. The transaction must not write until kv_range_end (asserted). */
void kv_range_start(struct kv_txn *t, struct kv_range *r, const struct kv_range_opts *opts);
/* The next pair: 1 and the pair, 0 at the end, or an error. A returned key is valid until the next call on
 * this range; a value until the transaction writes or ends. */
int kv_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value);
void kv_range_end(struct kv_range *r);
/* Ends the range with its scope. Declare it with KV_RANGE_NONE: ending a range that was not started, or that is
 * ended already, does nothing. */
#define _cleanup_range_ _cleanup_(kv_range_end)
#define KV_RANGE_NONE       \
        {                   \
                .txn = NULL \
        }

/* ---- writing (only in transactions with KV_WRITE, asserted) ------------------------------------- */

int kv_set(struct kv_txn *t, struct slice key, struct slice value);
/* Sets KEY to a value of LEN bytes that the caller fills in through *RET before its next call on the
 * transaction: saves a copy of large values. */
int kv_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret);
/* Overwrites a part of KEY's value: the bytes from AT on become DATA; what it does not have up to there
 * becomes zeros (an absent key counts as empty). Conflicts as a read and a write of KEY. Where it can, a
 * store keeps the change instead of copying the value. */
int kv_patch(struct kv_txn *t, struct slice key, size_t at, struct slice data);
int kv_clear(struct kv_txn *t, struct slice key);
/* Clears [BEGIN, END). Existing keys in it should be at most limits->clear_keys. */
int kv_clear_range(struct kv_txn *t, struct slice begin, struct slice end);

enum kv_atomic_op {
        KV_ADD,      /* little-endian addition modulo 2^(8*len of the operand); absent counts as 0, a
                      * shorter value is extended with zeros, a longer one cut to the operand's length */
        KV_BYTE_MAX, /* the bytewise larger of both; absent: the operand */
};

/* Changes KEY without reading it, so that two such changes do not conflict. */
int kv_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand);

/* ---- explicit conflicts ------------------------------------------------------------------------- */

enum kv_conflict {
        KV_CONFLICT_READ,  /* as if this had been read */
        KV_CONFLICT_WRITE, /* as if this had been written (only with KV_WRITE, asserted) */
};

int kv_conflict_key(struct kv_txn *t, enum kv_conflict kind, struct slice key);
int kv_conflict_range(struct kv_txn *t, enum kv_conflict kind, struct slice begin, struct slice end);

/* ---- watches ------------------------------------------------------------------------------------ */

/* Called once, from any thread that uses the store and with none of its locks held, when the watched key
 * no longer has the value that the transaction saw (0; may be spurious), or when the watch broke
 * (negative: counts as fired). It must not call into the store. */
typedef void (*kv_watch_fn)(int err, void *arg);

/* Watches KEY from the state that this transaction reads; armed when the transaction commits (read-only
 * ones included), broken with ECANCELED if it does not. Free with kv_unwatch, before or after it
 * fired: after kv_unwatch returns FN does not run any more. Too many watches: EMFILE. */
int kv_watch(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret);
void kv_unwatch(struct kv_watch *w);

#endif

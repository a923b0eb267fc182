/* SPDX-License-Identifier: MIT */
/* Inside the FoundationDB engine.
 *
 *     library.c   loads the client library         url.c      parses the URL
 *     fdb.c       open, close, space               txn.c      begin, commit, back-off, end
 *     read.c      gets and ranges                  write.c    writes and conflicts
 *     watch.c     watches                          error.c    error codes
 *     future.c    waiting, giving up               version.c  cached read versions
 *
 * The client works in its network thread and returns futures. It calls a future's callback in that thread, or
 * at once in the thread that sets it: callbacks here only store results and wake threads. The store's lock is
 * the only one, and callbacks take it: so it is released for calls of the client that may call back at once.
 */
#ifndef KV_FDB_INTERNAL_H
#define KV_FDB_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "kv/engine.h"
#include "kv/fdb/capi.h"
#include "kv/fdb/url.h"
#include "kv/fdb/version.h"

#include <stdatomic.h>

/* A key with its prefix; the end of a range that is one key has one byte more. */
#define FDB_KEY_MAX (FDB_PREFIX_MAX + KV_KEY_MAX + 1u)

/* A wait for the cluster. */
struct fdb_waiting {
        struct list_link link; /* in s->waiting */
        uint64_t since_ns;
        FDBFuture *future; /* fdb_give_up cancels it; NULL: it signals WAITER */
        struct waiter *waiter;
        bool woken; /* WAITER is signalled */
};

struct fdb_store {
        struct kv_store base;
        const struct fdb_api *api;
        FDBDatabase *db;
        struct fdb_url url;
        bool rdonly;
        atomic_bool given_up;
        /* Since when every transaction has failed, after FAILING_ATTEMPT attempts; 0: the last one
         * committed. */
        _Atomic uint64_t failing_since_ns;

        struct lock lock;          /* protects what follows */
        pthread_cond_t changed;    /* a count fell, a watch fired or a version came */
        unsigned detached_commits; /* sent, and their threads do not wait any more */
        unsigned watches;          /* for which the client may still call back */
        struct list_link waiting;  /* struct fdb_waiting */
        bool abandoned;            /* kv_close returned before the store was idle; it is freed when idle */
        struct fdb_versions versions;
        struct kv_space space; /* as of space_at_ns; 0: never */
        uint64_t space_at_ns;
};

struct fdb_kept {
        FDBFuture *future;
        bool is_get;
};

struct fdb_txn {
        struct kv_txn base;
        FDBTransaction *tr; /* NULL: not needed yet, or a detached commit owns it */
        int64_t version;    /* cached read version; 0: a new one */
        fdb_error_t failed; /* the error that fdb_backoff passes to on_error; 0: none */
        bool writes;        /* a commit has something to send */
        bool committed;

        struct fdb_kept *kept; /* futures of reads, whose memory the returned slices point to */
        size_t n_kept, cap_kept;
        size_t awaited; /* the first AWAITED of them need no wait any more */

        FDBFuture *late; /* KV_LATE: the read version, not waited for yet; NULL: none */
        uint64_t late_sent_ns;

        bool has_watches;         /* kv_watch was called */
        struct list_link watches; /* s->lock; struct fdb_watch, pending until the transaction ends */

        /* The value that is being filled in (kv_set_reserve). */
        uint8_t *reserved; /* the key, then the value */
        size_t reserved_key_len, reserved_len;
};

static inline struct fdb_store *fdb_store_of(const struct fdb_txn *t)
{
        return (struct fdb_store *)t->base.store;
}

static inline const struct fdb_api *fdb_api_of(const struct fdb_txn *t)
{
        return fdb_store_of(t)->api;
}

/* Writes KEY with the store's prefix to BUF (FDB_KEY_MAX bytes). Returns the length. */
static inline int fdb_key(const struct fdb_store *s, struct slice key, uint8_t *buf)
{
        memcpy(buf, s->url.prefix, s->url.prefix_len);
        if (key.len > 0)
                memcpy(buf + s->url.prefix_len, key.data, key.len);
        return (int)(s->url.prefix_len + key.len);
}

/* ---- error.c ------------------------------------------------------------------------------------- */

/* The error of any call except a commit. */
int fdb_error(const struct fdb_api *api, fdb_error_t e);
/* The error of a commit that was sent: ERR_UNKNOWN_RESULT unless it certainly did not happen. */
int fdb_commit_error(const struct fdb_api *api, fdb_error_t e);
/* fdb_error, and stores E in T for its back-off. ERR_AWAY if fdb_give_up cancelled the call. */
int fdb_failed(struct fdb_txn *t, fdb_error_t e);

/* ---- future.c ------------------------------------------------------------------------------------ */

/* Waits until F is ready. If MODE or fdb_give_up ends the wait, F is cancelled: EINTR or ERR_AWAY. */
int fdb_wait(struct fdb_store *s, FDBFuture *f, enum wait_mode mode);
/* Waits for all started gets of T at once, cancellable: they arrive together, and one wake-up for each would
 * cost more than most of them take. */
int fdb_wait_gets(struct fdb_txn *t);

/* Registers W, whose FUTURE or WAITER is set, for fdb_waiting_ns and fdb_give_up. ERR_AWAY after
 * fdb_give_up. */
int fdb_waiting_begin(struct fdb_store *s, struct fdb_waiting *w);
void fdb_waiting_end_locked(struct fdb_store *s, struct fdb_waiting *w);

uint64_t fdb_waiting_ns(struct kv_store *s);
void fdb_give_up(struct kv_store *s);

/* ---- fdb.c --------------------------------------------------------------------------------------- */

/* Releases the lock after a count fell: wakes the threads that wait for that, and frees an abandoned store
 * that is idle now. */
void fdb_release_idle_locked(struct fdb_store *s);

/* ---- txn.c --------------------------------------------------------------------------------------- */

int fdb_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret);
int fdb_commit(struct kv_txn *t);
void fdb_end(struct kv_txn *t);
int fdb_since(struct kv_txn *t, kv_version version);
int fdb_backoff(struct kv_store *s, struct kv_txn *t, int err, unsigned attempt);
/* Creates t->tr if there is none yet. */
int fdb_ensure_tr(struct fdb_txn *t);
/* Keeps F, of a get or a range, until T ends. ENOMEM: F is destroyed. */
int fdb_keep(struct fdb_txn *t, FDBFuture *f, bool is_get);
/* Stores T's read version in the cache if KV_LATE requested one and it has arrived. */
void fdb_cache_late_version(struct fdb_txn *t);

/* ---- read.c, write.c ----------------------------------------------------------------------------- */

void fdb_get_start(struct kv_txn *t, struct kv_read *r);
void fdb_get_wait(struct kv_txn *t, struct kv_read *r);
void fdb_range_start(struct kv_txn *t, struct kv_range *r);
int fdb_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value);
void fdb_range_end(struct kv_range *r);

int fdb_set(struct kv_txn *t, struct slice key, struct slice value);
int fdb_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret);
int fdb_clear(struct kv_txn *t, struct slice key);
int fdb_clear_range(struct kv_txn *t, struct slice begin, struct slice end);
int fdb_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand);
int fdb_conflict_range(struct kv_txn *t, enum kv_conflict kind, struct slice begin, struct slice end);
/* Writes the value that was filled in since kv_set_reserve: each other call on T begins with this. */
void fdb_write_reserved(struct fdb_txn *t);

/* ---- watch.c ------------------------------------------------------------------------------------- */

#define FDB_WATCHES_MAX 100000u

int fdb_watch(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret);
void fdb_unwatch(struct kv_watch *w);
/* Ends T's watches as pending ones: arms them if ERR is 0, else calls their functions with ERR. */
void fdb_watches_settle(struct fdb_txn *t, int err);

#endif

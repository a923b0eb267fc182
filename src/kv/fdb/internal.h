/* SPDX-License-Identifier: MIT */
/* Inside the FoundationDB engine.
 *
 *     library.c   the client library      url.c      what the URL says
 *     fdb.c       open, close, space      txn.c      begin, commit, back-off, end
 *     read.c      gets and ranges         write.c    writes and conflicts
 *     watch.c     watches                 error.c    codes
 *     future.c    waiting, giving up      version.c  snapshots that are at hand
 *
 * The client does everything in its network thread and hands out futures. A future's callback runs in that
 * thread (or at once in the one that sets it): callbacks here only note something and wake somebody.
 */
#ifndef KV_FDB_INTERNAL_H
#define KV_FDB_INTERNAL_H

#include "base/list.h"
#include "kv/engine.h"
#include "kv/fdb/capi.h"
#include "kv/fdb/url.h"

#include <pthread.h>
#include <stdatomic.h>

/* A key with its prefix; the end of a range that is one key has one byte more. */
#define FDB_KEY_MAX (FDB_PREFIX_MAX + KV_KEY_MAX + 1u)

struct fdb_watch;

/* Somebody who waits for the cluster. */
struct fdb_waiting {
        struct list_link link; /* in s->waiting */
        uint64_t since_ns;
        FDBFuture *future; /* which fdb_give_up cancels; NULL: it wakes WAITER, who sees to the rest */
        struct waiter *waiter;
        bool woken; /* WAITER was, by whomever */
};

struct fdb_store {
        struct kv_store base;
        const struct fdb_api *api;
        FDBDatabase *db;
        struct fdb_url url;
        bool rdonly;
        atomic_bool given_up;
        /* Since when transactions fail again and again, without one that does not; 0: they do not. */
        _Atomic uint64_t failing_since_ns;

        pthread_mutex_t lock;     /* protects what follows */
        pthread_cond_t quiet;     /* one of the counts fell to 0 */
        unsigned commits_alone;   /* on their way without a thread that waits for them */
        unsigned watches;         /* that the client may still call back for */
        struct list_link waiting; /* struct fdb_waiting */
        bool left_behind;         /* closed before it was quiet: to be freed when it is */

        /* version.c */
        int64_t committed;         /* newest version of a commit of our own */
        int64_t recent;            /* newest version known to be committed, not below that; 0: none */
        uint64_t recent_at_ns;     /* what was committed before that is in it */
        uint64_t recent_since_ns;  /* what was asked for earlier does not count */
        uint64_t doubted_until_ns; /* not for writers */
        bool refreshing;           /* a newer one is being fetched: then the next three are not for others */
        uint64_t refresh_sent_ns;
        FDBTransaction *refresh_tr;
        FDBFuture *refresh_future;

        struct kv_space space; /* as of space_at_ns; 0: never */
        uint64_t space_at_ns;
};

struct fdb_kept {
        FDBFuture *future;
        bool is_get;
};

struct fdb_txn {
        struct kv_txn base;
        FDBTransaction *tr; /* NULL: not needed yet, or a commit that goes on alone has it */
        int64_t version;    /* what it reads, if that was at hand; 0: a new one */
        fdb_error_t failed; /* the error that on_error is to be told; 0: none */
        bool writes;        /* a commit has something to send */
        bool committed;

        struct fdb_kept *kept; /* of reads: their memory is what was handed out */
        size_t n_kept, cap_kept;
        size_t awaited; /* so many of them need no wait any more */

        FDBFuture *late; /* its version, which nobody waited for; NULL: none */
        uint64_t late_sent_ns;

        struct fdb_watch *watches; /* armed at commit */

        /* A value that is being filled in (kv_set_reserve). */
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

/* KEY behind the store's prefix, in BUF (FDB_KEY_MAX bytes). Returns the length. */
static inline int fdb_key(const struct fdb_store *s, struct slice key, uint8_t *buf)
{
        memcpy(buf, s->url.prefix, s->url.prefix_len);
        if (key.len > 0)
                memcpy(buf + s->url.prefix_len, key.data, key.len);
        return (int)(s->url.prefix_len + key.len);
}

/* ---- error.c ------------------------------------------------------------------------------------- */

/* What a call but commit failed with. */
int fdb_error(const struct fdb_api *api, fdb_error_t e);
/* The same for a commit that was sent: ERR_UNKNOWN_RESULT unless it is certain that nothing was done. */
int fdb_commit_error(const struct fdb_api *api, fdb_error_t e);
/* fdb_error, and T remembers it for its back-off. What fdb_give_up cancelled: ERR_AWAY. */
int fdb_failed(struct fdb_txn *t, fdb_error_t e);

/* ---- future.c ------------------------------------------------------------------------------------ */

/* Waits until F is ready, or UNTIL or fdb_give_up ends that: then F is cancelled and EINTR or ERR_AWAY. */
int fdb_wait(struct fdb_store *s, FDBFuture *f, enum wait_mode until);
/* The same for all gets of T that are under way, unless cancelled: their round is over when the last one is
 * there, and to be woken for each of them takes longer than most of them. */
int fdb_wait_gets(struct fdb_txn *t);

/* W, with how to end it set, waits from now on; ERR_AWAY after fdb_give_up. */
int fdb_waiting_begin(struct fdb_store *s, struct fdb_waiting *w);
/* Lock held. */
void fdb_waiting_end(struct fdb_waiting *w);

uint64_t fdb_waiting_ns(struct kv_store *s);
void fdb_give_up(struct kv_store *s);

/* ---- fdb.c --------------------------------------------------------------------------------------- */

/* One of the counts may have fallen to 0: tells who waits for that, and frees a store that was left behind.
 * Lock held, dropped. */
void fdb_quiet_and_unlock(struct fdb_store *s);

/* ---- txn.c --------------------------------------------------------------------------------------- */

int fdb_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret);
int fdb_commit(struct kv_txn *t);
void fdb_end(struct kv_txn *t);
int fdb_since(struct kv_txn *t, kv_version version);
int fdb_backoff(struct kv_store *s, struct kv_txn *t, int err, unsigned attempt);
/* Makes the client's transaction if there is none yet. */
int fdb_need(struct fdb_txn *t, struct fdb_store *s);
/* Keeps F, of a get or a range, until T ends; on ENOMEM it is destroyed. */
int fdb_keep(struct fdb_txn *t, FDBFuture *f, bool is_get);
/* Takes note of T's version if it came by itself. */
void fdb_version_came(struct fdb_txn *t);

/* ---- version.c ----------------------------------------------------------------------------------- */

/* A version that is not older than the last commit through S, without a round trip if one was lately. */
int fdb_version_recent(struct fdb_store *s, int64_t *ret);
/* The same for a writer, without waiting at all; 0: there is none. */
int64_t fdb_version_at_hand(struct fdb_store *s);
/* A writer that had one of these met a conflict. */
void fdb_version_doubt(struct fdb_store *s);
/* A transaction committed as VERSION. SENT_NS is from before it was sent. */
void fdb_version_committed(struct fdb_store *s, int64_t version, uint64_t sent_ns);
/* VERSION was fetched; 0: nobody knows what a commit did. SENT_NS as above. */
void fdb_version_note(struct fdb_store *s, int64_t version, uint64_t sent_ns);
/* When no transaction can begin any more: ends what is being fetched, soon. */
void fdb_version_stop(struct fdb_store *s);
/* Before the store is freed; nothing is being fetched. */
void fdb_version_forget(struct fdb_store *s);
uint64_t fdb_now_ns(void);

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
/* What was filled in since kv_set_reserve becomes a write: before each other call on T. */
void fdb_flush_reserved(struct fdb_txn *t);

/* ---- watch.c ------------------------------------------------------------------------------------- */

#define FDB_WATCHES_MAX 100000u

int fdb_watch(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret);
void fdb_unwatch(struct kv_watch *w);
/* T ends: its watches are armed if it committed, or broken with ERR. */
void fdb_watches_settle(struct fdb_txn *t, int err);

#endif

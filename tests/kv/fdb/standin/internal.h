/* SPDX-License-Identifier: MIT */
/* Inside the stand-in: futures and the network thread (network.c), transactions (transaction.c), read
 * versions (version.c), the rest of the API and the controls (api.c). */
#ifndef STANDIN_INTERNAL_H
#define STANDIN_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "base/rng.h"
#include "kv/engine.h"
#include "kv/fdb/capi.h"
#include "standin.h"

#include <stdatomic.h>

#define EXPORT __attribute__((visibility("default")))

/* Each function has the type under which the engine calls it. */
#define FUNCTION(name) EXPORT __typeof__(*((struct fdb_api *)0)->name) fdb_##name
FUNCTION(get_error);
FUNCTION(error_predicate);
FUNCTION(select_api_version_impl);
FUNCTION(get_max_api_version);
FUNCTION(get_client_version);
FUNCTION(setup_network);
FUNCTION(run_network);
FUNCTION(stop_network);
FUNCTION(future_cancel);
FUNCTION(future_destroy);
FUNCTION(future_is_ready);
FUNCTION(future_set_callback);
FUNCTION(future_get_error);
FUNCTION(future_get_int64);
FUNCTION(future_get_value);
FUNCTION(future_get_keyvalue_array);
FUNCTION(create_database);
FUNCTION(database_destroy);
FUNCTION(database_set_option);
FUNCTION(database_create_transaction);
FUNCTION(transaction_destroy);
FUNCTION(transaction_set_read_version);
FUNCTION(transaction_get_read_version);
FUNCTION(transaction_get);
FUNCTION(transaction_get_range);
FUNCTION(transaction_get_estimated_range_size_bytes);
FUNCTION(transaction_set);
FUNCTION(transaction_atomic_op);
FUNCTION(transaction_clear);
FUNCTION(transaction_clear_range);
FUNCTION(transaction_add_conflict_range);
FUNCTION(transaction_watch);
FUNCTION(transaction_commit);
FUNCTION(transaction_get_committed_version);
FUNCTION(transaction_on_error);

struct cluster {
        struct list_link link; /* in standin.clusters */
        char *file;
        struct kv_store *store;

        struct lock lock;
        struct list_link anchors; /* struct anchor, oldest first */
        unsigned versions_returned;
};

/* Keeps a version in the store for some seconds after it was returned, so that transactions can begin at
 * it. */
struct anchor {
        struct list_link link;
        struct kv_txn *txn;
        int64_t version;
        uint64_t since_ns;
};

/* Returns the version that AT reads (NULL: the newest) and keeps it. */
int64_t version_keep(struct cluster *c, struct kv_txn *at);
/* A transaction at VERSION; NULL: the version is too old. */
struct kv_txn *begin_at(struct cluster *c, int64_t version);

struct FDB_database {
        struct cluster *cluster;
        int64_t max_watches;
        _Atomic int64_t watches;
};

struct FDB_future {
        unsigned refs; /* standin.lock, as all fields up to the results */
        bool ready, cancelled;
        fdb_error_t err;
        FDBCallback callback;
        void *callback_arg;
        bool is_watch, watch_done;

        /* Results, written before READY is set. */
        int64_t number;
        bool present;
        uint8_t *data;
        int data_len;
        FDBKeyValue *kv;
        int kv_n;
        bool more;

        struct kv_watch *watch;
        FDBDatabase *watch_db;

        /* Runs in the network thread when the future is due, and makes it ready; NULL: it only becomes
         * ready. */
        void (*act)(FDBFuture *f);
        FDBTransaction *tr;
        struct cluster *cluster;
        struct kv_txn *late; /* a commit that happens after it was reported as failed */
};

/* State of the library. */
extern struct standin {
        struct lock lock;
        pthread_cond_t wake;
        struct rng rng;
        struct standin_faults faults;
        struct standin_counts counts;
        bool away, locked, stopping;
        struct list_link clusters; /* struct cluster */
        struct list_link tasks;    /* struct task, in order of time */
} standin;

/* The faults that are set now. This and all that follows: any thread. */
struct standin_faults faults(void);
/* True with this probability. */
bool happens(unsigned ppm);
unsigned random_below(unsigned n);

FDBFuture *future_new(void);
/* Makes F ready, once; later calls do nothing. */
void future_finish(FDBFuture *f, fdb_error_t err);
/* Has the network thread run f->act (or finish F with f->err) in US microseconds; holds a reference until
 * then. ALWAYS: also while the cluster is away. */
void future_post(FDBFuture *f, unsigned us, bool always);
/* Returns F, which becomes ready at once or soon, with ERR or with the results in it. */
FDBFuture *future_answer(FDBFuture *f, fdb_error_t err);
void future_unref(FDBFuture *f);

void transaction_unref(FDBTransaction *t);
/* The cluster of a file; the first call makes it. */
struct cluster *cluster_of(const char *file);

#endif

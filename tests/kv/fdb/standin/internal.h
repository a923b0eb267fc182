/* SPDX-License-Identifier: MIT */
/* Inside the stand-in: futures and the network thread (network.c), transactions (transaction.c), the rest of
 * the API and the controls (api.c). */
#ifndef STANDIN_INTERNAL_H
#define STANDIN_INTERNAL_H

#include "base/rng.h"
#include "kv/engine.h"
#include "kv/fdb/capi.h"
#include "standin.h"

#include <pthread.h>
#include <stdatomic.h>

#define EXPORT __attribute__((visibility("default")))

/* Each function has the type under which the backend calls it. */
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
        struct cluster *next;
        char *file;
        struct kv_store *store;

        pthread_mutex_t lock;
        struct anchor *anchors; /* newest first */
        unsigned handed_out;
};

/* A version that was handed out may be asked for again for some seconds: until then this transaction keeps it
 * in the store. */
struct anchor {
        struct anchor *next;
        struct kv_txn *txn;
        int64_t version;
        uint64_t since_ns;
};

/* The version that AT reads (NULL: the newest), which can be begun at from now on. */
int64_t version_keep(struct cluster *c, struct kv_txn *at);
/* A transaction at VERSION, NULL: too old. */
struct kv_txn *begin_at(struct cluster *c, int64_t version);
uint64_t now_ns(void);

struct FDB_database {
        struct cluster *cluster;
        int64_t max_watches;
        _Atomic int64_t watches;
};

struct FDB_future {
        unsigned refs; /* standin.lock, as all up to the results */
        bool ready, cancelled;
        fdb_error_t err;
        FDBCallback callback;
        void *callback_arg;
        bool is_watch, watch_done;

        /* Results, written before it is ready. */
        int64_t number;
        bool present;
        uint8_t *data;
        int data_len;
        FDBKeyValue *kv;
        int kv_n;
        bool more;

        struct kv_watch *watch;
        FDBDatabase *watch_db;

        /* What the network thread does when it is due, which makes it ready; NULL: nothing more than that. */
        void (*act)(FDBFuture *f);
        FDBTransaction *tr;
        struct cluster *cluster;
        struct kv_txn *late; /* a commit that is told as failed before it takes place */
};

/* State of the library. */
extern struct standin {
        pthread_mutex_t lock;
        pthread_cond_t wake;
        struct rng rng;
        struct standin_faults faults;
        struct standin_counts counts;
        bool away, locked, stopping;
        struct cluster *clusters;
        struct task *tasks; /* in order of their time */
} standin;

/* The faults as they are set now. Any thread, as all that follows. */
struct standin_faults faults(void);
/* Whether something with this probability happens now. */
bool happens(unsigned ppm);
unsigned random_below(unsigned n);

FDBFuture *future_new(void);
/* Makes F ready, once; later calls do nothing. */
void future_finish(FDBFuture *f, fdb_error_t err);
/* F's act (or its end with f->err) in the network thread, after some microseconds. Takes a reference
 * meanwhile. ALWAYS: also while the cluster is away. */
void future_post(FDBFuture *f, unsigned us, bool always);
/* A future that is (or will soon be) ready with ERR, or with the results that are in it. */
FDBFuture *future_answer(FDBFuture *f, fdb_error_t err);
void future_unref(FDBFuture *f);

void transaction_unref(FDBTransaction *t);
struct cluster *cluster_of(const char *file);

#endif

/* SPDX-License-Identifier: MIT */
/* Read versions kept from earlier transactions (KV_RECENT), which save a round trip to the cluster. */
#ifndef KV_FDB_VERSION_H
#define KV_FDB_VERSION_H

#include "kv/fdb/capi.h"

#include <stdbool.h>
#include <stdint.h>

struct fdb_store;

/* All under the store's lock. Times are thread_now_ns. */
struct fdb_versions {
        int64_t committed;            /* the newest commit through this store */
        int64_t recent;               /* the newest version known, not below COMMITTED; 0: none */
        uint64_t recent_at_ns;        /* RECENT includes all that was committed before then */
        uint64_t valid_from_ns;       /* versions requested earlier are ignored */
        uint64_t writers_excluded_ns; /* writers get no cached version until then */
        bool fetching;                /* the three fields that follow belong to the fetch */
        uint64_t fetch_sent_ns;
        FDBTransaction *fetch_tr;
        FDBFuture *fetch_future;
};

/* Returns a version that is not older than the last commit through S; waits a short time for one to be
 * fetched. ERR_RETRY: there is none. Each fdb_version function takes the store's lock. */
int fdb_version_recent(struct fdb_store *s, int64_t *ret);
/* The same for a writer, without waiting; 0: none. */
int64_t fdb_version_for_writer(struct fdb_store *s);
/* A writer with a cached version conflicted: others write the same keys, so that new versions serve better
 * for a short time. */
void fdb_version_conflicted(struct fdb_store *s);
/* A transaction committed at VERSION; it was sent after SENT_NS. */
void fdb_version_committed(struct fdb_store *s, int64_t version, uint64_t sent_ns);
/* VERSION was fetched, in a request sent after SENT_NS. */
void fdb_version_fetched(struct fdb_store *s, int64_t version, uint64_t sent_ns);
/* A commit has an unknown outcome: versions requested before now may be older than it. */
void fdb_version_invalidate(struct fdb_store *s);
/* Cancels the fetch, which then ends soon. No transaction may begin any more. */
void fdb_version_cancel(struct fdb_store *s);
/* Frees what the last fetch left. No fetch is running. */
void fdb_version_free(struct fdb_store *s);

#endif

/* SPDX-License-Identifier: MIT */
/* The store's directory, its lock, and the check of its data file before LMDB uses it. */
#ifndef KV_LMDB_DIR_H
#define KV_LMDB_DIR_H

#include "kv/kv.h"

#include <lmdb.h>

#define LMDB_DATA  "data.mdb"
#define LMDB_LOCKS "lock.mdb"

struct lmdb_store;

struct lmdb_lock {
        int fd;        /* -1: none */
        bool unlocked; /* this process only reads and cannot write LMDB's lock file */
};

/* ---- dir.c --------------------------------------------------------------------------------------- */

/* Opens the directory, takes the store's lock and opens the data file; with KV_OPEN_CREATE it makes what is
 * missing. Fills in path, dir_fd, data_fd and lock. lmdb_dir_close is to be called in any case. */
int lmdb_dir_open(struct lmdb_store *s, const char *path, const struct kv_open_opts *opts,
                  struct err_text *text);
void lmdb_dir_close(struct lmdb_store *s);

/* Checks, with the environment open, that it is a store of this program. An empty database becomes one if it
 * may be written. */
int lmdb_marker_check(struct lmdb_store *s, struct err_text *text);
/* Writes the marker again, so that TXN commits without a change of contents. Returns 0 or LMDB's error. */
int lmdb_marker_touch(MDB_txn *txn);

/* ---- lock.c -------------------------------------------------------------------------------------- */

/* Takes the store's lock as OPTS says, waiting opts->wait_ms at most. EBUSY: TEXT names the owner. */
int lmdb_lock_take(int dir_fd, const char *path, const struct kv_open_opts *opts, struct lmdb_lock *ret,
                   struct err_text *text);
void lmdb_lock_release(struct lmdb_lock *lock);
/* Whether another process may be writing now. */
bool lmdb_lock_has_writers(const struct lmdb_lock *lock);
/* Begins or ends (ON false) making data.mdb, which one process at a time may do. */
int lmdb_lock_create(const struct lmdb_lock *lock, bool on);

/* ---- check.c ------------------------------------------------------------------------------------- */

/* Checks the structure of the file before LMDB maps it: LMDB trusts page numbers, lengths and offsets, and
 * would read outside of the file or abort on wrong ones. Checks the headers, and MAX_PAGES pages of each tree
 * at most (0: all); all of them if the file is shorter than its header says, which is normal only for free
 * pages at its end. ERR_CORRUPT with TEXT. */
int lmdb_check_file(int fd, const char *path, uint64_t max_pages, struct err_text *text);

#endif

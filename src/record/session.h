/* SPDX-License-Identifier: MIT */
/* The session table: a mount's entry, 'p' PID, written once at registration, and its status, 'p' 'l' PID,
 * which the mount itself keeps changing; the markers of its transactions lie behind the status. A mount
 * exists as long as its entry does. Functions for a whole store are in record/session_table.h. */
#ifndef RECORD_SESSION_H
#define RECORD_SESSION_H

#include "format/format.h"
#include "kv/kv.h"

/* A mount's row in the table. */
struct rec_session {
        uint8_t pid[FMT_PID_SIZE];
        bool damaged;             /* ENTRY cannot be decoded, and is empty */
        struct fmt_process entry; /* slices: valid as long as what they were decoded into */
        uint64_t heartbeat;       /* of the status; rec_session_each only */
};

/* ---- one mount ---------------------------------------------------------------------------------- */

int rec_session_set(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE], const struct fmt_process *entry);
/* Whether the entry exists: 1 or 0. FLAGS: KV_SNAPSHOT or 0. */
int rec_session_exists(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE], unsigned flags);
/* Clears the entry, the status and the markers. */
int rec_session_clear(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE]);
/* As kv_watch, on the entry. */
int rec_session_watch(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE], kv_watch_fn fn, void *arg,
                      struct kv_watch **ret);

int rec_status_set(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE], const struct fmt_status *status);
/* Reads the status with conflict. ENOENT, ERR_CORRUPT, or an error of the store. */
int rec_status_get(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE], struct fmt_status *ret);
/* Makes the transaction conflict with those that read the status: with evictions. */
int rec_status_disturb(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE]);

/* ---- keys that a store uses itself -------------------------------------------------------------- */

/* Makes every transaction of STORE depend on the entry (kv_set_fence), and keeps its markers with the status
 * (kv_set_markers). */
int rec_session_fence(struct kv_store *store, const uint8_t pid[FMT_PID_SIZE]);
/* The entry's key, for the fence of a layer. */
void rec_session_fence_key(const uint8_t pid[FMT_PID_SIZE], struct fmt_key *ret);
/* A key of the mount's own for the number of a write-behind overlay's last batch. It is cleared with the
 * status. */
void rec_session_batch_key(const uint8_t pid[FMT_PID_SIZE], struct fmt_key *ret);

/* ---- all mounts --------------------------------------------------------------------------------- */

/* Iterates over the entries of all mounts. The transaction must not write until rec_sessions_end. */
struct rec_sessions {
        struct fmt_key begin[2], end[2]; /* the entries lie on both sides of the statuses */
        struct kv_range range[2];
        unsigned half;
};

/* Starts the iteration. It conflicts with every registration and its end, unless SNAPSHOT. */
void rec_sessions_start(struct kv_txn *t, struct rec_sessions *r, bool snapshot);
/* Returns 1 and the next mount (its entry's texts in SCRATCH), 0 at the end, or an error of the store. */
int rec_sessions_next(struct rec_sessions *r, struct fmt_scratch *scratch, struct rec_session *ret);
void rec_sessions_end(struct rec_sessions *r);
#define _cleanup_sessions_ _cleanup_(rec_sessions_end)

/* Whether no mount but PID (NULL: no mount at all) is registered: 1 or 0. If 1, the transaction conflicts
 * with every registration. */
int rec_session_is_only(struct kv_txn *t, const uint8_t *pid);

#endif

/* SPDX-License-Identifier: MIT */
/* The session table of a whole store: listing, evicting and clearing, each in separate transactions. Any
 * thread. */
#ifndef RECORD_SESSION_TABLE_H
#define RECORD_SESSION_TABLE_H

#include "record/session.h"

/* Called for each mount; SESSION is valid during the call. A result other than 0 ends the listing. */
typedef int (*rec_session_fn)(const struct rec_session *session, void *arg);

/* Calls FN for all mounts that one transaction saw, after that transaction. Returns 0, FN's result, ENOMEM,
 * or an error of the store. */
int rec_session_each(struct kv_store *store, rec_session_fn fn, void *arg);

/* Ends the session PID: once this returns 0, the mount cannot change anything. With SEEN, only if its
 * heartbeat still is that number: EBUSY otherwise. ENOENT: there is no such session; a status left behind is
 * cleared. */
int rec_session_evict(struct kv_store *store, const uint8_t pid[FMT_PID_SIZE], const uint64_t *seen);

/* Clears the whole table. Only for a store that the caller has exclusively by other means, where every entry
 * belongs to a mount that has ended. */
int rec_session_clear_all(struct kv_store *store);

/* Commits a transaction that changes nothing, to find out whether the store can be written to. */
int rec_probe_write(struct kv_store *store);

#endif

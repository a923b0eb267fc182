/* SPDX-License-Identifier: MIT */
/* The table of mounts, under 'p': who may write to a store that several can have open. Not needed by who
 * has the store to himself (fs_open without a session). All functions: any thread. */
#ifndef RECORD_SESSION_H
#define RECORD_SESSION_H

#include "format/format.h"
#include "kv/kv.h"

/* A mount as the table has it. */
struct rec_mount {
        uint8_t pid[FMT_PID_SIZE];
        bool damaged;             /* ENTRY cannot be read, and is empty */
        struct fmt_process entry; /* its texts are valid during the callback */
        uint64_t heartbeat;       /* of its status; rec_mounts only */
};

/* Called for each mount. Other than 0 ends the walk and becomes its result. */
typedef int (*rec_mount_fn)(const struct rec_mount *m, void *arg);

/* All mounts of the file system in STORE, as one transaction saw them. ENOMEM, or an error of the store. */
int rec_mounts(struct kv_store *store, rec_mount_fn fn, void *arg);

/* Ends the registration of the mount PID: from the moment this returns 0, it cannot change anything any
 * more, whatever it was doing. With SEEN, only if its heartbeat is still that: EBUSY otherwise. ENOENT:
 * there is no such mount; what may be left of its status is gone too. */
int rec_evict(struct kv_store *store, const uint8_t pid[FMT_PID_SIZE], const uint64_t *seen);

/* Commits something that changes nothing: whether the store can be written to. */
int rec_probe_write(struct kv_store *store);

/* Clears the whole table, for who has the store to himself by other means: whoever stands there is gone. */
int rec_registry_clear(struct kv_store *store);

/* ---- for src/fs --------------------------------------------------------------------------------- */

/* Both halves of the table being read. Not to be written while it is open. */
struct rec_registry_read {
        struct fmt_key begin[2], end[2];
        struct kv_range range[2];
        unsigned half;
};

/* Starts reading the table: with a conflict against anybody who registers or goes, unless SNAPSHOT. */
void rec_registry_start(struct kv_txn *t, struct rec_registry_read *r, bool snapshot);
/* 1 and the next mount (its entry in SCRATCH), 0 at the end, or an error. */
int rec_registry_next(struct rec_registry_read *r, struct fmt_scratch *scratch, struct rec_mount *ret);
void rec_registry_end(struct rec_registry_read *r);

/* 1 if no other mount than PID is registered, 0 if one is; it conflicts with one that registers meanwhile. */
int rec_registry_alone(struct kv_txn *t, const uint8_t pid[FMT_PID_SIZE]);

#endif

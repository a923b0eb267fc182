/* SPDX-License-Identifier: MIT */
/* The state of a session. Private to session. */
#ifndef FS_SESSION_INTERNAL_H
#define FS_SESSION_INTERNAL_H

#include "base/lock.h"
#include "fs/session/session.h"

/* How long a heartbeat, and unregistering, waits for a store that is away: an unmount has to end. */
#define SESSION_TIMEOUT_MS 10000u

struct fs_session {
        struct kv_store *store;
        struct fs_session_opts opts;
        const struct clock *clock;
        uint8_t pid[FMT_PID_SIZE];
        uint64_t ino_first, ino_end; /* the numbers of the registration that are not taken yet */
        uint64_t epoch;              /* acknowledged */
        atomic_bool lost;

        pthread_t thread;
        uint64_t heartbeat;     /* only the thread uses these two while it runs */
        struct kv_watch *watch; /* of the mount's own entry; NULL: none */

        struct lock lock; /* protects what follows */
        pthread_cond_t wake;
        bool stop;
        bool fired; /* the watch */
};

/* ---- registration.c ----------------------------------------------------------------------------- */

/* Clears the entries of mounts that have ended, and writes the entry and the status of S. Errors with
 * TEXT. */
int session_register(struct fs_session *s, struct err_text *text);

/* ---- heartbeat.c -------------------------------------------------------------------------------- */

/* Starts the thread of the heartbeats. */
int session_heartbeat_start(struct fs_session *s);
/* Ends the thread and the watch of the entry. */
void session_heartbeat_stop(struct fs_session *s);

/* ---- gone.c ------------------------------------------------------------------------------------- */

/* Whether TEXT is OWN, and known at all. */
bool session_same_text(struct slice text, const char *own);

/* As fs_mount_is_gone, with IS_GONE for processes of this machine; NULL: process_is_gone. */
bool session_is_gone(const struct fmt_process *entry, const struct process_id *self, bool local,
                     bool (*is_gone)(const struct fmt_process *));

#endif

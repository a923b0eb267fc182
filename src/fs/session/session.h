/* SPDX-License-Identifier: MIT */
/* A mount's session in a store that it shares with others: its entry in the session table (record/session.h),
 * which every transaction of the mount reads, and its status, which a thread keeps fresh by heartbeats.
 *
 * A mount registers before anything else and unregisters after everything else. Once its entry is gone
 * (evicted), each of its transactions gives ERR_FENCED: what it had under way was committed before the
 * eviction, or not at all. */
#ifndef FS_SESSION_SESSION_H
#define FS_SESSION_SESSION_H

#include "base/clock.h"
#include "base/err.h"
#include "base/process.h"
#include "format/format.h"
#include "kv/kv.h"

struct fs_session;

struct fs_session_opts {
        const char *store; /* its name, for messages */
        const char *mountpoint;
        bool exclusive;         /* no other mount beside this one */
        struct process_id self; /* the process that registers */
        /* Whether the process that made the entry M, on this machine, has certainly ended. NULL:
         * process_is_gone */
        bool (*is_gone)(const struct fmt_process *m);
        const struct clock *clock; /* NULL: clock_system */
        unsigned heartbeat_ms;     /* 0: FS_HEARTBEAT_MS */
        unsigned wait_ms;          /* how long to wait for a mount on this machine that may be ending */
};

/* Milliseconds between two heartbeats. */
#define FS_HEARTBEAT_MS 10000u

/* Registers a mount in STORE, which stays the caller's and must not be in use yet: it gets its fence and its
 * markers. Entries of mounts on this machine whose process has ended are cleared first. Errors with TEXT:
 * EBUSY if another mount is in the way, ERR_NO_FS, ERR_NEWER, ERR_CORRUPT, or an error of the store. */
int fs_session_open(struct kv_store *store, const struct fs_session_opts *opts, struct fs_session **ret,
                    struct err_text *text);

/* Unregisters and frees S. To be called after the last transaction of the mount and before the store is
 * closed. Takes NULL. KEEP: leaves the entry for others to clear, because some changes could not be written
 * and may still be retried. */
int fs_session_close(struct fs_session *s, bool keep);

bool fs_session_exclusive(const struct fs_session *s);
const uint8_t *fs_session_pid(const struct fs_session *s);

/* Whether this mount was evicted. Once it was, it stays so. Any thread. */
bool fs_session_lost(const struct fs_session *s);
/* Records that a transaction gave ERR_FENCED. Any thread. */
void fs_session_lose(struct fs_session *s);

/* The key of the mount's entry, for a layer that checks the fence itself. */
void fs_session_fence_key(const struct fs_session *s, struct fmt_key *ret);
/* A key of the mount's own, for the number of the last batch of a write-behind overlay. */
void fs_session_batch_key(const struct fs_session *s, struct fmt_key *ret);

/* Takes the inode numbers that came with the registration, [first, end). Only the first call gets any. */
void fs_session_take_numbers(struct fs_session *s, uint64_t *ret_first, uint64_t *ret_end);
/* The keys of these inodes: ranges [begin, end) that are empty until the mount makes the first one. */
#define FS_FRESH_RANGES 4u
void fs_session_fresh(const struct fs_session *s, struct fmt_key begin[FS_FRESH_RANGES],
                      struct fmt_key end[FS_FRESH_RANGES]);

/* Whether the mount that made ENTRY has certainly ended, as far as this machine can know. LOCAL: only this
 * machine can use the store. */
bool fs_mount_is_gone(const struct fmt_process *entry, const struct process_id *self, bool local);

#endif

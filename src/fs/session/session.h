/* SPDX-License-Identifier: MIT */
/* A mount's registration in the store that it shares with others: its entry under 'p', which every
 * transaction of the mount reads, and its status under 'p' 'l', which a thread of the session keeps fresh.
 *
 * Whoever mounts registers before anything else and unregisters after everything else. A mount whose entry
 * was taken away (evicted) gets ERR_FENCED from every transaction: what it was doing at that moment
 * happened before, or not at all. */
#ifndef FS_SESSION_SESSION_H
#define FS_SESSION_SESSION_H

#include "base/clock.h"
#include "base/err.h"
#include "base/process.h"
#include "format/format.h"
#include "kv/kv.h"
#include "record/session.h"

#include <stdatomic.h>

struct fs_session_opts {
        const char *store; /* its name, for messages */
        const char *mountpoint;
        bool exclusive;         /* no other mount beside this one */
        struct process_id self; /* who registers */
        /* Whether the process that made the entry M, on this machine, is certainly gone. NULL:
         * process_is_gone */
        bool (*is_gone)(const struct fmt_process *m);
        const struct clock *clock; /* NULL: clock_system */
        unsigned heartbeat_ms;     /* 0: FS_HEARTBEAT_MS */
        unsigned wait_ms; /* how long to wait for a mount on this machine that may be just going away */
};

/* Between two heartbeats: milliseconds. */
#define FS_HEARTBEAT_MS 10000u

struct fs_session;

/* Registers a mount in STORE, which stays the caller's and is to be used by nobody else yet: it gets its
 * fence and its markers. Entries of mounts on this machine whose process is gone are cleared first. Errors
 * with TEXT: EBUSY if another mount is in the way, ERR_NO_FS, ERR_NEWER, ERR_CORRUPT, or of the store. */
int fs_session_open(struct kv_store *store, const struct fs_session_opts *opts, struct fs_session **ret,
                    struct err_text *text);

/* Unregisters, when everything is done and before the store is closed, after the last transaction of the
 * mount, and frees S. Takes NULL. KEEP: leaves the entry to be cleared by others, because something could
 * not be written and may still be tried. */
int fs_session_close(struct fs_session *s, bool keep);

bool fs_session_exclusive(const struct fs_session *s);
const uint8_t *fs_session_pid(const struct fs_session *s);

/* A key of the mount's own, for the number of the last batch of a writebehind between this store and the
 * file system. */
void fs_session_batch_key(const struct fs_session *s, struct fmt_key *ret);

/* The inode numbers that came with the registration, [first, end): whoever takes them has them alone, and
 * the next one gets none. */
void fs_session_take_numbers(struct fs_session *s, uint64_t *ret_first, uint64_t *ret_end);

/* The keys of these inodes: ranges [begin, end) in which there is nothing before the first one is made. */
#define FS_FRESH_RANGES 4
void fs_session_fresh(const struct fs_session *s, struct fmt_key begin[FS_FRESH_RANGES],
                      struct fmt_key end[FS_FRESH_RANGES]);

/* Whether this mount was evicted. Once it was, it stays so. */
bool fs_session_lost(const struct fs_session *s);
/* A transaction met ERR_FENCED. */
void fs_session_lose(struct fs_session *s);

/* Whether the mount that made ENTRY is certainly not there any more, as far as this machine can tell.
 * LOCAL: the store is one that only this machine can use. */
bool fs_mount_is_gone(const struct fmt_process *entry, const struct process_id *self, bool local);

#endif

/* SPDX-License-Identifier: MIT */
/* Running transactions of a mount. A read-only mount gives EROFS to those that write, an evicted one
 * ERR_FENCED to all. A full store gets space from what was deleted before. docs/ARCHITECTURE.md, "Retries",
 * says which layer runs what again. */
#ifndef FS_RUN_H
#define FS_RUN_H

#include "fs/state.h"

/* Whether this mount was evicted. After that no call may change anything, or show what a layer still
 * holds. */
static inline bool fs_is_fenced(const struct fs *fs)
{
        return fs->session && fs_session_lost(fs->session);
}

/* Returns R, the result of a transaction, and records an eviction that it reports. */
static inline int fs_check_fence(struct fs *fs, int r)
{
        if (r == -ERR_FENCED && fs->session)
                fs_session_lose(fs->session);
        return r;
}

/* Runs a body that only reads. */
int fs_run_read(struct fs *fs, kv_body body, void *arg);

/* Runs a body that writes. Its first attempt may use an existing snapshot; if it writes nothing, it is run
 * again with a new one. FLAGS: KV_IDEMPOTENT, KV_RESERVE. */
int fs_run_write(struct fs *fs, unsigned flags, kv_body body, void *arg);

/* The same for a body that often finds nothing to write: with a new snapshot at once. */
int fs_run_maybe_write(struct fs *fs, unsigned flags, kv_body body, void *arg);

/* Runs a body that writes and may know what it would read (kv_run_since). FLAGS: also KV_RECENT,
 * KV_BEFORE. */
int fs_run_since(struct fs *fs, unsigned flags, kv_version *version, kv_body body, void *arg);

#endif

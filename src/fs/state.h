/* SPDX-License-Identifier: MIT */
/* What the files of src/fs share: the mount's state, and how bodies are run. Nobody else includes it. */
#ifndef FS_STATE_H
#define FS_STATE_H

#include "format/format.h"
#include "fs/fs.h"
#include "fs/session/session.h"

#include <pthread.h>

#define FS_SIZE_MAX ((uint64_t)INT64_MAX) /* bytes of a file: what off_t can say */
#define FS_LINK_MAX (UINT32_MAX / 2)

struct fs_hints;      /* hints.h */
struct fs_inode;      /* inode.h */
struct fs_inode_read; /* inode.h */
struct fs_inuse;      /* inuse.h */
struct fs_collector;  /* collect.h */
struct writeback;     /* writeback.h */
struct readahead;     /* readahead.h */

/* Inode numbers that this mount took from the store, of which it has used so many. */
struct fs_numbers {
        pthread_mutex_t lock;
        uint64_t first, count, used;
};

/* When there was last no room to be made (room.c). */
struct fs_reclaim {
        pthread_mutex_t lock;
        uint64_t none_until_ns, none_generation;
};

struct fs {
        struct kv_store *store;
        const struct kv_limits *limits;
        const struct clock *clock;
        bool rdonly;
        enum fs_atime atime;
        struct fs_session *session; /* NULL: the store is ours alone */
        bool shared;                /* other mounts may be registered beside this one */
        uint32_t block_size;        /* bytes */
        uint8_t uuid[16];
        struct fs_numbers numbers;
        struct fs_reclaim room;
        struct fs_inuse *inuse;
        struct fs_collector *collector; /* NULL: read-only */
        struct writeback *writeback;    /* NULL: each write is a transaction */
        struct fs_hints *hints;         /* NULL: a local store */
        struct readahead *readahead;    /* NULL: nothing is read ahead */
};

static inline struct timespec fs_now(const struct fs *fs)
{
        return fs->clock->now(fs->clock);
}

static inline bool fs_time_before(struct timespec a, struct timespec b)
{
        return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

/* After an eviction, no call may do anything, nor show what an overlay still holds. */
static inline bool fs_is_fenced(const struct fs *fs)
{
        return fs->session && fs_session_lost(fs->session);
}

/* Passes the result of a transaction on, and notes an eviction. */
static inline int fs_check_fence(struct fs *fs, int r)
{
        if (r == -ERR_FENCED && fs->session)
                fs_session_lose(fs->session);
        return r;
}

/* A body that only reads. */
static inline int fs_run_read(struct fs *fs, kv_body body, void *arg)
{
        return fs_is_fenced(fs) ? -ERR_FENCED
                                : fs_check_fence(fs, kv_run(fs->store, KV_READ | KV_LATE, body, arg));
}

/* Runs a body again that found the store full, once there is room from what was deleted before (room.c). */
int fs_run_after_reclaim(struct fs *fs, unsigned flags, kv_body body, void *arg);

/* A body that writes and may know what it would read (kv_run_since). FLAGS: KV_IDEMPOTENT, KV_RESERVE,
 * KV_RECENT. */
static inline int fs_run_since(struct fs *fs, unsigned flags, kv_version *version, kv_body body, void *arg)
{
        int r;

        if (fs->rdonly || fs_is_fenced(fs))
                return fs->rdonly ? -EROFS : -ERR_FENCED;
        r = fs_check_fence(fs, kv_run_since(fs->store, KV_WRITE | flags, version, body, arg));
        return r == -ENOSPC && !(flags & KV_RESERVE) ? fs_run_after_reclaim(fs, flags, body, arg) : r;
}

/* A body that may write, but often finds nothing to. FLAGS: KV_IDEMPOTENT, KV_RESERVE. */
static inline int fs_run_maybe_write(struct fs *fs, unsigned flags, kv_body body, void *arg)
{
        kv_version unknown = 0;

        return fs_run_since(fs, flags, &unknown, body, arg);
}

/* A body that writes. It begins with a snapshot that is at hand, and is run again with a new one if it writes
 * nothing after all. */
static inline int fs_run_write(struct fs *fs, unsigned flags, kv_body body, void *arg)
{
        return fs_run_maybe_write(fs, flags | KV_RECENT, body, arg);
}

/* The metadata block. FLAGS: KV_SNAPSHOT or 0. ERR_NO_FS, ERR_NEWER (with version and features filled in),
 * ERR_CORRUPT, or an error of the store. */
int fs_meta_read(struct kv_txn *t, unsigned flags, struct fmt_scratch *scratch, struct fmt_meta *ret);
/* The text for such an error R, met when reading WHAT; returns R. */
int fs_meta_error(int r, const struct fmt_meta *meta, const char *what, struct err_text *text);

/* ---- inode numbers (numbers.c) ------------------------------------------------------------------ */

/* Begins with the numbers that came with the session, if there is one. */
void fs_numbers_init(struct fs *fs);
/* A fresh inode number, never handed out before. */
int fs_number_take(struct fs *fs, uint64_t *ret);
/* Takes a range of numbers from the store, [first, end). */
int fs_numbers_take_range(struct kv_txn *t, const struct kv_limits *limits, uint64_t *ret_first,
                          uint64_t *ret_end);

/* Adds N to the counter 'M' WHICH. */
int fs_counter_add(struct kv_txn *t, char which, int64_t n);

/* ---- names (name.c) ----------------------------------------------------------------------------- */

/* 0, ENAMETOOLONG, or EINVAL for what no directory can hold ("." and ".." too). */
int fs_name_check(struct slice name);

/* A directory entry being read. */
struct fs_dirent_read {
        struct fmt_key key;
        struct kv_read read;
};

void fs_dirent_start(struct kv_txn *t, struct fs_dirent_read *r, uint64_t dir, struct slice name);
/* 0, ENOENT, ERR_CORRUPT, or an error of the store. */
int fs_dirent_wait(struct kv_txn *t, struct fs_dirent_read *r, struct fmt_dirent *ret);
int fs_dirent_set(struct kv_txn *t, uint64_t dir, struct slice name, uint64_t ino, uint32_t mode);
int fs_dirent_clear(struct kv_txn *t, uint64_t dir, struct slice name);

/* Why DIR holds no entry: ENOTDIR if it is no directory, else ENOENT. */
int fs_dirent_missing(struct fs *fs, struct kv_txn *t, uint64_t dir);
/* The same of a directory whose record is being read. */
int fs_dirent_missing_wait(struct kv_txn *t, struct fs_inode_read *dir);

/* ---- access times (atime.c) --------------------------------------------------------------------- */

/* Whether reading INODE (loaded with its times) now changes its access time under the mount's policy. */
bool fs_atime_due(const struct fs *fs, const struct fs_inode *inode, struct timespec now);
/* Sets it, in a transaction of its own. Errors are ignored: the read itself succeeded. */
void fs_atime_set(struct fs *fs, uint64_t ino, struct timespec now);

#endif

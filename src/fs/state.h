/* SPDX-License-Identifier: MIT */
/* The state of a mounted file system. Private to src/fs. */
#ifndef FS_STATE_H
#define FS_STATE_H

#include "base/lock.h"
#include "format/format.h"
#include "fs/fs.h"
#include "fs/session/session.h"

struct fs_gc;
struct fs_hints;
struct fs_inuse;
struct readahead;
struct writeback;

/* Inode numbers that this mount took from the store (inode/numbers.c). */
struct fs_numbers {
        struct lock lock; /* protects all fields */
        uint64_t first, count, used;
};

/* The last time that no space could be made in a full store (run.c). */
struct fs_reclaim {
        struct lock lock;                   /* one thread makes space at a time */
        uint64_t none_until_ns, none_freed; /* not tried again before this time or another count of FREED */
        _Atomic uint64_t freed;             /* transactions of this mount that freed space */
};

struct fs {
        /* Set by fs_open, and but for two constant. */
        struct kv_store *store;
        const struct kv_limits *limits;
        const struct clock *clock;
        _Atomic bool rdonly; /* fs_remount changes these two */
        _Atomic(enum fs_atime) atime;
        bool remountable;           /* fs_remount may make it writable: the store is */
        struct fs_session *session; /* NULL: no other mount writes to the store */
        bool shared;                /* other mounts may be registered beside this one */
        uint32_t block_size;        /* bytes */
        uint8_t uuid[16];

        /* The state of each folder. */
        struct fs_numbers numbers;
        struct fs_reclaim reclaim;
        struct fs_inuse *inuse;
        struct fs_hints *hints;      /* NULL: a local store */
        struct fs_gc *gc;            /* NULL: read-only and not remountable */
        struct writeback *writeback; /* NULL: each write is a transaction */
        struct readahead *readahead; /* NULL: nothing is read ahead */
};

static inline struct timespec fs_now(const struct fs *fs)
{
        return fs->clock->now(fs->clock);
}

#endif

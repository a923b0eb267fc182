/* SPDX-License-Identifier: MIT */
/* The state of a mounted file system, which all rooms of src/fs share. Private to src/fs. */
#ifndef FS_STATE_H
#define FS_STATE_H

#include "format/format.h"
#include "fs/fs.h"
#include "fs/session/session.h"

#include <pthread.h>
#include <stdatomic.h>

struct fs_gc;
struct fs_hints;
struct fs_inuse;
struct readahead;
struct writeback;

/* Inode numbers that this mount took from the store, of which it has used so many. */
struct fs_numbers {
        pthread_mutex_t lock;
        uint64_t first, count, used;
};

/* When it was last found that no space can be made (run.c). */
struct fs_reclaim {
        pthread_mutex_t lock;
        uint64_t none_until_ns, none_generation;
};

struct fs {
        struct kv_store *store;
        const struct kv_limits *limits;
        const struct clock *clock;
        _Atomic bool rdonly; /* fs_remount changes these two */
        _Atomic(enum fs_atime) atime;
        bool remountable;           /* fs_remount may make it writable; the store is */
        struct fs_session *session; /* NULL: the store is ours alone */
        bool shared;                /* other mounts may be registered beside this one */
        uint32_t block_size;        /* bytes */
        uint8_t uuid[16];
        struct fs_numbers numbers;
        struct fs_reclaim reclaim;
        struct fs_inuse *inuse;
        struct fs_gc *gc;            /* NULL: not remountable */
        struct writeback *writeback; /* NULL: each write is a transaction */
        struct fs_hints *hints;      /* NULL: a local store */
        struct readahead *readahead; /* NULL: nothing is read ahead */
};

static inline struct timespec fs_now(const struct fs *fs)
{
        return fs->clock->now(fs->clock);
}

#endif

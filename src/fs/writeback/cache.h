/* SPDX-License-Identifier: MIT */
/* The write-back cache of a mount: its limits, its threads and its entries. */
#ifndef FS_WRITEBACK_CACHE_H
#define FS_WRITEBACK_CACHE_H

#include "base/list.h"
#include "base/lock.h"
#include "base/waitlist.h"
#include "fs/writeback/writeback.h"

#include <stdatomic.h>

#define WRITEBACK_BUCKETS 1024u /* a power of two */

struct writeback_entry;

struct writeback {
        struct fs *fs;
        size_t inode_bytes, total_bytes; /* limits */
        size_t block_bytes;              /* memory of one block */
        unsigned age_ms;
        uint8_t pid[FMT_PID_SIZE]; /* names the writer in intent records */
        _Atomic uint64_t writing;  /* the number of the last flush */
        _Atomic uint64_t epoch;    /* grows with each commit and each cut */
        struct pool *workers;
        pthread_t timer;

        struct lock lock;      /* protects what follows */
        struct waitlist space; /* space was given back, or a flush failed */
        pthread_cond_t tick;   /* for the timer */
        struct writeback_entry *buckets[WRITEBACK_BUCKETS];
        struct list_link entries; /* the oldest first */
        size_t n_entries, bytes;
        uint64_t freed_retired; /* the largest `retired` of entries that were freed */
        uint64_t failures;      /* of flushes */
        int last_failure;
        bool stop;
};

static inline uint64_t writeback_now_ns(const struct writeback *wb)
{
        return wb->fs->clock->monotonic_ns(wb->fs->clock);
}

#endif

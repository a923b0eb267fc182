/* SPDX-License-Identifier: MIT */
/* A batch of one inode while it is committed. */
#ifndef FS_WRITEBACK_COMMIT_STATE_H
#define FS_WRITEBACK_COMMIT_STATE_H

#include "base/pool.h"
#include "fs/writeback/batch.h"

/* How a batch changes while it is committed: it grows at its end, so that a file which is written from the
 * beginning to the end is one flush without pauses, and blocks that are part of the file leave it. Called
 * from any thread, one call at a time; between the calls the batch does not change. */
struct flush_feed {
        void *arg;
        /* Adds blocks that were written behind the batch. False: there are none, or too few. */
        bool (*more)(void *arg);
        /* Removes the first N blocks. */
        void (*done)(void *arg, size_t n);
        size_t step_blocks; /* how many committed blocks are worth a step of the size */
};

/* Names the flush in its intent record. */
struct flush_writer {
        uint8_t pid[FMT_PID_SIZE];
        uint64_t writing; /* a number never used before by that pid */
};

struct flush_commit {
        struct fs *fs;
        struct pool *workers;
        uint64_t ino;
        const struct writeback_batch *batch;
        struct flush_feed feed;
        struct flush_writer writer;
        bool in_order; /* one transaction after the other, because other mounts extend the file too */

        bool contended; /* result: another mount disturbed it */

        /* Private to the files that include this header. */
        struct extent_change change; /* that of the batch when it last grew */
        bool intent;                 /* blocks lie behind the size: an intent record is written */
        /* The blocks before inside_end lie within the size, those from outside_begin on behind it. Between
         * them is the block with the end of the file, if it is dirty. */
        size_t inside_end, outside_begin;
        bool was_empty;
        /* The inode's record as this flush last committed it, and the version of that commit: the next step
         * starts from it unless another mount has changed it. */
        struct fmt_inode record;
        kv_version record_at;
};

#endif

/* SPDX-License-Identifier: MIT */
/* The write-back cache's state of one inode, kept while it has dirty blocks and for some time afterwards. */
#ifndef FS_WRITEBACK_ENTRY_H
#define FS_WRITEBACK_ENTRY_H

#include "base/list.h"
#include "base/lock.h"
#include "base/pool.h"
#include "base/waitlist.h"
#include "fs/writeback/batch.h"
#include "fs/writeback/flush_state.h"
#include "fs/writeback/writeback.h"

/* Whether a thread of the cache has been asked for a flush. */
enum flush_request {
        FLUSH_NOT_REQUESTED,
        FLUSH_QUEUED,          /* the job is submitted, and holds a reference */
        FLUSH_REQUESTED_AGAIN, /* the attempt under way queues it when it ends */
};

/* Its own lock comes first, the cache's second. */
struct writeback_entry {
        struct writeback *cache;
        uint64_t ino;

        /* Protected by the cache's lock. */
        struct writeback_entry *next_in_bucket;
        struct list_link link; /* in cache->entries */
        unsigned refs;
        size_t bytes;            /* of the budget that its blocks take */
        uint64_t dirty_since_ns; /* when it became dirty, or was last tried to flush; 0: clean */
        enum flush_request request;
        struct pool_job job;

        /* Written under both locks, read under either. */
        enum flush_state state;
        int error;        /* why the last attempt failed; 0: it did not */
        uint64_t retired; /* the cache's epoch when blocks were last committed or cut */

        struct lock lock;        /* protects what follows */
        struct waitlist flushed; /* the end of an attempt, or a cut */
        bool checked;            /* the inode is known to be a regular file */
        /* During an attempt only the attempt changes the frozen batch. */
        struct writeback_batch dirty, frozen;
        /* The dirty batch has a number; all with numbers below batches_done are committed or dropped. */
        uint64_t batch, batches_done;
        uint64_t attempts; /* that have ended */
        int last_result;   /* of the last of them */
        int lost;          /* why dirty data was dropped; 0: none was, or it was reported */
        uint64_t in_order_until_ns;
};

/* A reference to the entry of INO; NULL: there is none. */
struct writeback_entry *entry_get(struct writeback *wb, uint64_t ino);
/* The same, but makes the entry if there is none. NULL: no memory. */
struct writeback_entry *entry_make(struct writeback *wb, uint64_t ino);
/* Gives a reference back. */
void entry_put(struct writeback_entry *e);
/* Frees all entries, when there are no references any more. */
void entries_free(struct writeback *wb);
/* Whether an entry that was freed may have been committed since MARK. */
bool entries_freed_since(struct writeback *wb, fs_writeback_mark mark);

/* Performs a transition, which the table of flush_state.h must have and the batches must fit (asserted).
 * ERROR: why the attempt failed, for FLUSH_FAILING. Keeps the error while attempts are under way; any other
 * state has none. Under the entry's lock; takes the cache's, so that either lock suffices to look at the
 * state. */
void entry_set_state_locked(struct writeback_entry *e, enum flush_state to, int error);

#endif

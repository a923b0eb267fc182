/* SPDX-License-Identifier: MIT */
/* Schedules flushes of an inode: when, on which thread, and what happens to the batches afterwards. */
#ifndef FS_WRITEBACK_FLUSH_H
#define FS_WRITEBACK_FLUSH_H

#include <stdbool.h>
#include <stdint.h>

struct writeback;
struct writeback_entry;

/* Which thread commits. */
enum flush_thread {
        FLUSH_SMALL_HERE, /* the caller's if one or two transactions are enough: it can stop at each of them
                           * when it is interrupted; else one of the cache's, and the caller waits */
        FLUSH_ELSEWHERE,  /* one of the cache's, and the caller waits */
};

/* Commits all blocks that are dirty now; releases E's lock while it waits. 0; EINTR, ERR_AWAY: the flush
 * goes on or can be repeated; or why an attempt failed. */
int flush_locked(struct writeback_entry *e, enum flush_thread thread);

/* Whether trying again cannot help: the inode or the mount is gone, or damaged. */
bool flush_is_final(int r);

/* Has E, or all entries, flushed soon by a thread of the cache: all complete blocks, and the last one too if
 * there are few or a thread waits. While an attempt is under way, its end starts the next one: a job waiting
 * for a thread would make that attempt end early, and then find nothing to do. Under the cache's lock. */
void flush_request_locked(struct writeback_entry *e);
void flush_request_all_locked(struct writeback *wb);

#endif

/* SPDX-License-Identifier: MIT */
/* Threads that run transactions beside the caller's, because kv_run waits for each: several in flight are
 * what makes a store behind a network fast. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool;

/* COUNT threads, of which all but the first begin when there is something for them to do. NULL: no memory,
 * or not even one thread. */
struct pool *pool_new(unsigned count);
/* Runs what was submitted, ends the threads. Takes NULL. */
void pool_free(struct pool *w);

/* Runs FN(ARG, I) for all I below N, on the caller's thread and those that are idle, and returns when all
 * have returned: 0, or the first negative result, after which no more are begun. May be called by a job or
 * from within another such call: who waits only waits for what is already running. */
int pool_each(struct pool *w, size_t n, int (*fn)(void *arg, size_t i), void *arg);

/* Something to be done on another thread: part of a struct of the caller's, who keeps it until FN is
 * called. */
struct pool_job {
        void (*fn)(struct pool_job *job);
        struct pool_job *next;
};

void pool_submit(struct pool *w, struct pool_job *job);
/* Whether a job waits for a thread: who could go on for ever should come to an end. */
bool pool_has_queued(struct pool *w);

#endif

/* SPDX-License-Identifier: MIT */
/* A pool of threads for work that waits: kv_run waits for each of its transactions, so several threads keep
 * several transactions in flight, which hides the latency of a remote store. All functions: any thread. */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>

struct pool;

/* A pool of at most COUNT threads. One starts at once, the others when there is work for them. NULL: no
 * memory, or no thread could be started. */
struct pool *pool_new(unsigned count);
/* Runs the jobs that are queued, then ends the threads. Takes NULL. */
void pool_free(struct pool *p);

/* Runs FN(ARG, I) for each I below N, on the caller's thread and on idle threads of the pool, and returns
 * when all calls have returned. 0, or the first negative result; after that no more calls are begun. May be
 * called from a job or from FN: it waits only for calls that are running already, so it cannot deadlock. */
int pool_each(struct pool *p, size_t n, int (*fn)(void *arg, size_t i), void *arg);

/* A job for one thread of the pool: embedded in a struct of the caller's, which stays valid until FN is
 * called. */
struct pool_job {
        void (*fn)(struct pool_job *job);
        struct list_link link; /* private */
};

void pool_submit(struct pool *p, struct pool_job *job);
/* Whether a job waits for a thread. A job that runs for long should then return. */
bool pool_has_queued(struct pool *p);

#endif

/* Threads that run transactions beside the caller's, because kv_run waits for each: several in flight are
 * what makes a store behind a network fast. */
#ifndef FS_WORKERS_H
#define FS_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

struct fs_workers;

/* COUNT threads, of which all but the first begin when there is something for them to do. NULL: no memory,
 * or not even one thread. */
struct fs_workers *fs_workers_new(unsigned count);
/* Runs what was submitted, ends the threads. Takes NULL. */
void fs_workers_free(struct fs_workers *w);

/* Runs FN(ARG, I) for all I below N, on the caller's thread and those that are idle, and returns when all
 * have returned: 0, or the first negative result, after which no more are begun. May be called by a job or
 * from within another such call: who waits only waits for what is already running. */
int fs_workers_each(struct fs_workers *w, size_t n, int (*fn)(void *arg, size_t i), void *arg);

/* Something to be done on another thread: part of a struct of the caller's, who keeps it until FN is
 * called. */
struct fs_job {
        void (*fn)(struct fs_job *job);
        struct fs_job *next;
};

void fs_workers_submit(struct fs_workers *w, struct fs_job *job);
/* Whether a job waits for a thread: who could go on for ever should come to an end. */
bool fs_workers_wanted(struct fs_workers *w);

#endif

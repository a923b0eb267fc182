/* SPDX-License-Identifier: MIT */
/* Scheduling class and CPU affinity of threads. */
#ifndef FUSE_TRANSPORT_SCHED_H
#define FUSE_TRANSPORT_SCHED_H

#include <stdbool.h>
#include <sys/types.h>

enum fuse_sched_class {
        FUSE_SCHED_NORMAL, /* SCHED_OTHER with a short slice, so that the thread runs soon after a wake-up */
        FUSE_SCHED_IDLE,   /* SCHED_IDLE: runs only when nothing else wants the CPU */
};

/* Moves thread TID (0: the calling one) to a class. On an error (EPERM: see fuse_sched_may_return) it
 * stays where it was. */
int fuse_sched_set(pid_t tid, enum fuse_sched_class class);

/* Whether a thread may leave the idle class again: root may, and users with RLIMIT_NICE of 20 or more.
 * Tries it in a separate thread. */
bool fuse_sched_may_return(void);

/* Binds the calling thread to CPU; no effect if it may not run there. */
void fuse_sched_pin(unsigned cpu);

/* Lets the calling thread run on the CPUs of the process's first thread, which is never pinned. */
void fuse_sched_unpin(void);

#endif

/* SPDX-License-Identifier: MIT */
/* In which scheduling class the threads of rings run.
 *
 * A caller and the thread that serves it take turns on one CPU. A thread of the normal class makes the
 * scheduler move the caller, when it is woken, to another CPU that is idle (and halted): each request then
 * pays for waking that one up. A thread of SCHED_IDLE leaves the caller where it is, but does not run at
 * all while anything else wants that CPU. So it is idle class by day and normal class under load, and each
 * CPU is judged by itself, by a thread of the idle class that does nothing but say how soon it ran: its
 * canary. A CPU that serves nothing is not judged, and rests in the normal class: nobody would notice that
 * the next request finds it under load.
 *
 * The numbers are in docs/DESIGN.md.
 */
#ifndef FUSE_TRANSPORT_RING_SCHED_H
#define FUSE_TRANSPORT_RING_SCHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum fuse_sched_class {
        FUSE_SCHED_NORMAL, /* with a short slice, so that it runs soon after it is woken */
        FUSE_SCHED_IDLE,
};

/* Puts thread TID (0: the calling one) into a class. Errors (EPERM: see fuse_sched_may_return) leave it where
 * it was. */
int fuse_sched_set(pid_t tid, enum fuse_sched_class class);

/* Keeps the calling thread on CPU; without effect if it may not run there. */
void fuse_sched_pin(unsigned cpu);

/* Lets the calling thread run wherever the process's first thread, which nobody pins, may run now. */
void fuse_sched_unpin(void);

/* Whether a thread of the idle class may come back from there: root may, and others with a limit of
 * RLIMIT_NICE of 20 or more. Tries it out. */
bool fuse_sched_may_return(void);

/* ---- judging CPUs ----------------------------------------------------------------------------------- */

/* What is thought of a CPU. */
struct fuse_sched_verdict {
        enum fuse_sched_class class;
        unsigned soon_row; /* answers in a row that came soon enough for the class */
        unsigned needed;   /* so many end the normal class */
        unsigned least;    /* of them */
};

/* MAY_RETURN as fuse_sched_may_return says. */
void fuse_sched_verdict_init(struct fuse_sched_verdict *v, bool may_return);

/* Looks at the canary after a tick: whether it ANSWERED, and if so how long it took to run. True if that
 * changes the class. One late answer ends the idle class; the normal class ends after several in a row that
 * came soon, and after more of them each time that this proves wrong within a second. */
bool fuse_sched_judge(struct fuse_sched_verdict *v, bool answered, int64_t delay_ns);

/* Nothing is served any more. True if that changes the class. */
bool fuse_sched_rest(struct fuse_sched_verdict *v);

struct fuse_sched;

/* Told when a CPU's class changes; from a thread of its own. */
typedef void (*fuse_sched_change_fn)(void *arg, unsigned cpu, enum fuse_sched_class class);

/* Judges N_CPUS of them, all of which begin in the normal class. MAY_RETURN as fuse_sched_may_return says. */
int fuse_sched_new(unsigned n_cpus, bool may_return, fuse_sched_change_fn change, void *arg,
                   struct fuse_sched **ret);
/* Takes NULL. No change is told any more when it returns. */
void fuse_sched_free(struct fuse_sched *s);

/* A request was served on CPU: it is worth judging. Cheap. Any thread. */
void fuse_sched_note(struct fuse_sched *s, unsigned cpu);

#endif

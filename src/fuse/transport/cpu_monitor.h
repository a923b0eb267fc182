/* SPDX-License-Identifier: MIT */
/* Chooses the scheduling class of ring threads for each CPU.
 *
 * A caller and the thread that serves it take turns on one CPU. If that thread has the normal class, the
 * scheduler moves the caller at its wake-up to another CPU, which is idle and halted, and each request
 * pays for waking that CPU. A thread of the idle class leaves the caller where it is, but does not run
 * while anything else wants the CPU. So ring threads have the idle class while their CPU has time, and the
 * normal class under load.
 *
 * Each CPU is measured by a canary: a thread of the idle class, pinned to the CPU, that only records how
 * soon it ran after it was woken. A CPU that serves no requests is not measured and has the normal class,
 * since a load would be noticed only after the next request had waited for it.
 *
 * docs/DESIGN.md has the measurements.
 */
#ifndef FUSE_TRANSPORT_CPU_MONITOR_H
#define FUSE_TRANSPORT_CPU_MONITOR_H

#include "fuse/transport/sched.h"

#include <stdint.h>

/* ---- the rule ---------------------------------------------------------------------------------------- */

/* The class of a CPU, and the measurements since it changed. */
struct fuse_cpu_state {
        enum fuse_sched_class class;
        unsigned n_prompt;       /* consecutive samples that were prompt enough for the class */
        unsigned n_required;     /* prompt samples that end the normal class */
        unsigned n_required_min; /* the least value of n_required */
};

/* MAY_RETURN: the result of fuse_sched_may_return. */
void fuse_cpu_state_init(struct fuse_cpu_state *s, bool may_return);

/* Evaluates the canary after a tick: whether it has ANSWERED, and if so DELAY_NS after its wake-up. True
 * if the class changes. One late answer ends the idle class. Several prompt ones in a row end the normal
 * class; their number doubles each time the idle class ends early, and is reset when it has lasted a
 * second. */
bool fuse_cpu_state_sample(struct fuse_cpu_state *s, bool answered, int64_t delay_ns);

/* Returns to the normal class, as the CPU serves no requests. True if the class changes. */
bool fuse_cpu_state_quiet(struct fuse_cpu_state *s);

/* ---- the threads that measure -------------------------------------------------------------------------- */

struct fuse_cpu_monitor;

/* Called when the class of a CPU changes, in a thread of the monitor. */
typedef void (*fuse_cpu_change_fn)(void *arg, unsigned cpu, enum fuse_sched_class class);

/* Starts measuring N_CPUS CPUs, all of which begin with the normal class. MAY_RETURN: the result of
 * fuse_sched_may_return. */
int fuse_cpu_monitor_new(unsigned n_cpus, bool may_return, fuse_cpu_change_fn change, void *arg,
                         struct fuse_cpu_monitor **ret);
/* No change is reported once this has returned. Takes NULL. */
void fuse_cpu_monitor_free(struct fuse_cpu_monitor *m);

/* Records that a request was served on CPU. Cheap. Any thread. */
void fuse_cpu_monitor_count(struct fuse_cpu_monitor *m, unsigned cpu);

#endif

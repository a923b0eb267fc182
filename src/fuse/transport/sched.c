/* SPDX-License-Identifier: MIT */
#include "fuse/transport/sched.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How long a thread runs before the scheduler prefers others. A request takes much less. A thread with a
 * short slice is preferred at its wake-up (Linux 6.12). */
#define SLICE_NS UINT64_C(100000)

/* The kernel supports no more. */
#define CPUS_MAX 8192u

/* The argument of sched_setattr(2), for which the C library has no function. */
struct attributes {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
};

int fuse_sched_set(pid_t tid, enum fuse_sched_class class)
{
        struct attributes a = {
                .size = sizeof(a),
                .policy = class == FUSE_SCHED_IDLE ? SCHED_IDLE : SCHED_OTHER,
                .runtime_ns = SLICE_NS,
        };

        return syscall(SYS_sched_setattr, tid, &a, 0) < 0 ? -errno : 0;
}

static void *try_return(void *arg)
{
        bool *may = arg;

        *may = fuse_sched_set(0, FUSE_SCHED_IDLE) == 0 && fuse_sched_set(0, FUSE_SCHED_NORMAL) == 0;
        return NULL;
}

bool fuse_sched_may_return(void)
{
        pthread_t thread;
        bool may = false;

        if (pthread_create(&thread, NULL, try_return, &may) != 0)
                return false;
        pthread_join(thread, NULL);
        return may;
}

void fuse_sched_pin(unsigned cpu)
{
        cpu_set_t *set = CPU_ALLOC(cpu + 1);
        size_t size = CPU_ALLOC_SIZE(cpu + 1);

        if (!set)
                return;
        CPU_ZERO_S(size, set);
        CPU_SET_S(cpu, size, set);
        sched_setaffinity(0, size, set);
        CPU_FREE(set);
}

void fuse_sched_unpin(void)
{
        cpu_set_t sets[CPUS_MAX / CPU_SETSIZE];

        /* Read each time: cpusets and taskset(1) can change it while the mount lives. */
        if (sched_getaffinity(getpid(), sizeof(sets), sets) == 0)
                sched_setaffinity(0, sizeof(sets), sets);
}

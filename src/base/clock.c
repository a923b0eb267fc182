/* SPDX-License-Identifier: MIT */
#include "base/clock.h"

static struct timespec system_now(const struct clock *c)
{
        struct timespec t;

        (void)c;
        /* Not CLOCK_REALTIME_COARSE: two changes within one of its ticks would get the same mtime, and
         * make(1) and git compare nanoseconds. */
        clock_gettime(CLOCK_REALTIME, &t);
        return t;
}

static uint64_t system_monotonic_ns(const struct clock *c)
{
        struct timespec t;

        (void)c;
        clock_gettime(CLOCK_BOOTTIME, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

const struct clock clock_system = { .now = system_now, .monotonic_ns = system_monotonic_ns };

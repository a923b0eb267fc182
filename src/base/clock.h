/* SPDX-License-Identifier: MIT */
/* Time as a parameter: libraries take a `const struct clock *`, so that tests can drive it. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct clock {
        /* Wall-clock time, for time stamps of files. Any thread. */
        struct timespec (*now)(const struct clock *c);
        /* Nanoseconds since a fixed point in time. Never goes back; includes time in which the machine was
         * suspended (CLOCK_BOOTTIME). Any thread. */
        uint64_t (*monotonic_ns)(const struct clock *c);
};

static inline bool time_before(struct timespec a, struct timespec b)
{
        return a.tv_sec != b.tv_sec ? a.tv_sec < b.tv_sec : a.tv_nsec < b.tv_nsec;
}

/* The clocks of the machine. */
extern const struct clock clock_system;

#endif

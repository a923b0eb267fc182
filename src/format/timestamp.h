/* SPDX-License-Identifier: MIT */
/* Times as stored: seconds, and nanoseconds below 1e9. */
#ifndef FORMAT_TIMESTAMP_H
#define FORMAT_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

_Static_assert(sizeof(time_t) == sizeof(int64_t), "stored seconds have 64 bits");

static inline bool fmt_timestamp_valid(struct timespec t)
{
        return t.tv_nsec >= 0 && t.tv_nsec < 1000000000;
}

/* False if NSEC is out of range. */
static inline bool fmt_timestamp_make(int64_t sec, uint32_t nsec, struct timespec *ret)
{
        if (nsec >= 1000000000)
                return false;
        *ret = (struct timespec){ .tv_sec = sec, .tv_nsec = nsec };
        return true;
}

#endif

/* SPDX-License-Identifier: MIT */
/* The values that atomic operations of the store change: counters (addition) and times (byte-max). */
#include "format/bytes.h"
#include "format/format.h"
#include "format/timestamp.h"

#include <assert.h>

void fmt_counter_encode(int64_t n, uint8_t out[8])
{
        put_le64(out, (uint64_t)n);
}

int fmt_counter_decode(struct slice value, int64_t *ret)
{
        if (value.len != sizeof(*ret))
                return -ERR_CORRUPT;
        *ret = (int64_t)get_le64(value.data);
        return 0;
}

/* Flipping the sign bit adds 2^63, so that times before 1970 sort first. */
#define SIGN_BIT (UINT64_C(1) << 63)

void fmt_time_encode(struct timespec t, uint8_t out[FMT_TIME_SIZE])
{
        assert(fmt_timestamp_valid(t));
        put_be64(out, (uint64_t)t.tv_sec ^ SIGN_BIT);
        put_be32(out + 8, (uint32_t)t.tv_nsec);
}

int fmt_time_decode(struct slice value, struct timespec *ret)
{
        if (value.len != FMT_TIME_SIZE)
                return -ERR_CORRUPT;
        if (!fmt_timestamp_make((int64_t)(get_be64(value.data) ^ SIGN_BIT), get_be32(value.data + 8), ret))
                return -ERR_CORRUPT;
        return 0;
}

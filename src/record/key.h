/* SPDX-License-Identifier: MIT */
/* Ranges of keys with a common prefix. Private to record. */
#ifndef RECORD_KEY_H
#define RECORD_KEY_H

#include "format/format.h"

/* The smallest pid: the first key of a range over the keys of all mounts. */
static const uint8_t rec_pid_first[FMT_PID_SIZE];

/* Sets END to the first key behind all that begin with PREFIX, whose first byte is not 0xff. */
static inline void rec_key_prefix_end(const struct fmt_key *prefix, struct fmt_key *end)
{
        *end = *prefix;
        while (end->data[end->len - 1] == 0xff)
                end->len--;
        end->data[end->len - 1]++;
}

#endif

/* SPDX-License-Identifier: MIT */
/* A line of text in the caller's memory. Text that does not fit is left out. */
#ifndef FORMAT_LINE_H
#define FORMAT_LINE_H

#include "base/slice.h"

#include <time.h>

struct line {
        char *out;
        size_t len, cap; /* len < cap, out[len] is the final zero */
};

/* Starts a line in memory of CAP > 0 bytes, with the final zero. */
void fmt_line_start(struct line *l, char *out, size_t cap);
void fmt_line_add(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Adds the first MAX bytes of S in quotes, and "..." if there are more. Escapes are those of C, but \xNN
 * always has two digits. */
void fmt_line_quoted(struct line *l, struct slice s, size_t max);
void fmt_line_hex(struct line *l, const uint8_t *data, size_t len);
/* Adds T in UTC as in ISO 8601; for years beyond gmtime(3), or beyond four digits, "@seconds.nanoseconds". */
void fmt_line_time(struct line *l, struct timespec t);

#endif

/* SPDX-License-Identifier: MIT */
/* One line of text in the caller's memory; what does not fit is left out. */
#ifndef FORMAT_LINE_H
#define FORMAT_LINE_H

#include "base/slice.h"

#include <time.h>

struct line {
        char *out;
        size_t len, cap; /* len < cap, out[len] is the final zero */
};

/* Room for CAP > 0 bytes with the final zero. */
void fmt_line_start(struct line *l, char *out, size_t cap);
void fmt_line_add(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* S in quotes, as in C but for \xNN (always two digits), the first MAX bytes and "..." if there are more. */
void fmt_line_quoted(struct line *l, struct slice s, size_t max);
void fmt_line_hex(struct line *l, const uint8_t *data, size_t len);
/* In UTC as in ISO 8601; for years beyond gmtime(3), or beyond four digits, "@seconds.nanoseconds". */
void fmt_line_time(struct line *l, struct timespec t);

#endif

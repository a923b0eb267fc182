/* SPDX-License-Identifier: MIT */
#include "format/line.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

void fmt_line_start(struct line *l, char *out, size_t cap)
{
        assert(cap > 0);
        out[0] = '\0';
        *l = (struct line){ .out = out, .cap = cap };
}

void fmt_line_add(struct line *l, const char *format, ...)
{
        size_t space = l->cap - l->len;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(l->out + l->len, space, format, ap);
        va_end(ap);
        assert(n >= 0);
        l->len += (size_t)n < space ? (size_t)n : space - 1;
}

static void add_escaped(struct line *l, uint8_t c)
{
        if (c == '"' || c == '\\')
                fmt_line_add(l, "\\%c", c);
        else if (c >= ' ' && c <= '~')
                fmt_line_add(l, "%c", c);
        else
                fmt_line_add(l, "\\x%02x", c);
}

void fmt_line_quoted(struct line *l, struct slice s, size_t max)
{
        size_t n = s.len < max ? s.len : max;

        fmt_line_add(l, "\"");
        for (size_t i = 0; i < n; i++)
                add_escaped(l, s.data[i]);
        fmt_line_add(l, s.len > max ? "\"..." : "\"");
}

void fmt_line_hex(struct line *l, const uint8_t *data, size_t len)
{
        for (size_t i = 0; i < len; i++)
                fmt_line_add(l, "%02x", data[i]);
}

void fmt_line_time(struct line *l, struct timespec t)
{
        char text[32];
        struct tm tm;

        if (!gmtime_r(&t.tv_sec, &tm) || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900) {
                fmt_line_add(l, "@%" PRId64 ".%09ld", (int64_t)t.tv_sec, t.tv_nsec);
                return;
        }
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
        fmt_line_add(l, "%s.%09ldZ", text, t.tv_nsec);
}

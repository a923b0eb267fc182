/* SPDX-License-Identifier: MIT */
/* A borrowed sequence of bytes. The function that returns one documents how long it stays valid. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
        const uint8_t *data;
        size_t len;
};

static inline struct slice slice_of(const void *data, size_t len)
{
        return (struct slice){ .data = data, .len = len };
}

static inline struct slice slice_str(const char *s)
{
        return slice_of(s, strlen(s));
}

/* Compares bytewise; a prefix sorts before the longer slice. This is the order of keys in every store.
 * Returns <0, 0 or >0. */
static inline int slice_cmp(struct slice a, struct slice b)
{
        size_t n = a.len < b.len ? a.len : b.len;
        int r = n > 0 ? memcmp(a.data, b.data, n) : 0;

        return r != 0 ? r : (a.len > b.len) - (a.len < b.len);
}

static inline bool slice_eq(struct slice a, struct slice b)
{
        return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_starts_with(struct slice s, struct slice prefix)
{
        return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

#endif

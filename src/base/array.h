/* SPDX-License-Identifier: MIT */
/* Growable arrays: the owner keeps a pointer, a count and a capacity (size_t) in its own struct. */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include <stddef.h>

/* Makes room for N elements in the array *ITEMS, whose capacity is *CAP: at least doubles it if it is too
 * small. 0 or ENOMEM, with the array unchanged. Free it with free(). */
#define array_reserve(items, cap, n) array_reserve_(items, cap, n, sizeof(**(items)))

int array_grow_(void *items, size_t *cap, size_t n, size_t size);

static inline int array_reserve_(void *items, size_t *cap, size_t n, size_t size)
{
        return n <= *cap ? 0 : array_grow_(items, cap, n, size);
}

#endif

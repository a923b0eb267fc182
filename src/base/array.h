/* SPDX-License-Identifier: MIT */
/* Growable arrays: the owner keeps a pointer, a count and a capacity (size_t) in its own struct. */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include <stddef.h>

/* Ensures that the array *ITEMS, of capacity *CAP, has space for N elements; grows it to at least twice its
 * size. 0 or ENOMEM, with the array unchanged. The owner frees it with free(). */
#define array_reserve(items, cap, n) array_reserve_(items, cap, n, sizeof(**(items)))

int array_grow_(void *items, size_t *cap, size_t n, size_t size);

static inline int array_reserve_(void *items, size_t *cap, size_t n, size_t size)
{
        return n <= *cap ? 0 : array_grow_(items, cap, n, size);
}

#endif

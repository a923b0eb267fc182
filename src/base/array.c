/* SPDX-License-Identifier: MIT */
#include "base/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CAP_MIN 16u

int array_grow_(void *items, size_t *cap, size_t n, size_t size)
{
        size_t grown = *cap > 0 ? 2 * *cap : CAP_MIN;
        void *p;

        if (grown < n)
                grown = n;
        memcpy(&p, items, sizeof(p)); /* ITEMS points to a pointer of another type */
        p = reallocarray(p, grown, size);
        if (!p)
                return -ENOMEM;
        memcpy(items, &p, sizeof(p));
        *cap = grown;
        return 0;
}

/* SPDX-License-Identifier: MIT */
/* Cleanup at the end of a scope, as in systemd. Destructors take NULL and partly initialized objects. */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

#define DEFINE_CLEANUP(type, function)              \
        static inline void function##_ptr(type **p) \
        {                                           \
                if (*p)                             \
                        function(*p);               \
        }                                           \
        struct function##_swallow_semicolon_

static inline void free_ptr(void *p)
{
        free(*(void **)p);
}

static inline void close_ptr(int *fd)
{
        if (*fd >= 0)
                close(*fd);
}

static inline void fclose_ptr(FILE **f)
{
        if (*f)
                fclose(*f);
}

#define _cleanup_free_   _cleanup_(free_ptr)
#define _cleanup_close_  _cleanup_(close_ptr)
#define _cleanup_fclose_ _cleanup_(fclose_ptr)

/* Moves the value out of a variable that has a cleanup: `*ret = steal_ptr(x);`. */
#define steal_ptr(p)                      \
        ({                                \
                __typeof__(p) *p_ = &(p); \
                __typeof__(p) v_ = *p_;   \
                *p_ = NULL;               \
                v_;                       \
        })

static inline int steal_fd(int *fd)
{
        int v = *fd;
        *fd = -1;
        return v;
}

#endif

/* SPDX-License-Identifier: MIT */
/* Waiting for a word in memory to change. */
#ifndef BASE_FUTEX_H
#define BASE_FUTEX_H

#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Sleeps while *WORD is VALUE, until woken; may return for no reason. TIMEOUT, relative, may be NULL. */
static inline void futex_wait(atomic_int *word, int value, const struct timespec *timeout)
{
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, timeout, NULL, 0);
}

static inline void futex_wake(atomic_int *word)
{
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#endif

/* SPDX-License-Identifier: MIT */
/* Waiting for a word of this process's memory to change. WORD points to an aligned atomic of 32 bits. */
#ifndef BASE_FUTEX_H
#define BASE_FUTEX_H

#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Sleeps while *WORD is VALUE, until woken or until UNTIL (CLOCK_MONOTONIC; NULL: no end). Spurious wake-ups
 * occur. */
static inline void futex_wait(const void *word, uint32_t value, const struct timespec *until)
{
        syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
}

/* Wakes one thread. */
static inline void futex_wake(const void *word)
{
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

#endif

/* SPDX-License-Identifier: MIT */
/* Deadlines and cancellation: what bounds the time that a thread waits for something remote.
 *
 * A deadline belongs to a thread, not to a call: passing it through every layer would make it a parameter of
 * nearly every function, for the few that wait. The thread that serves a request begins one, everything that
 * the request waits for respects it, and another thread may cancel it (a signal to the application).
 *
 * While a deadline is in force, waits end early:
 *
 * - cancelled: with EINTR. Code that must not be cancelled (a commit is on its way) masks cancellation.
 * - expired: with ERR_AWAY, always.
 *
 * Without a deadline a thread waits until the event comes.
 */
#ifndef BASE_DEADLINE_H
#define BASE_DEADLINE_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* The caller's memory; fields are private. */
struct deadline {
        uint64_t until_ns;     /* CLOCK_MONOTONIC; 0: never expires */
        bool cancel_masked;    /* cancellation is ignored for now */
        _Atomic uint32_t word; /* the futex on which the thread sleeps */
};

/* Puts D in force for the calling thread, until deadline_end. TIMEOUT_MS 0: never expires, but can be
 * cancelled. A thread has at most one deadline (asserted). */
void deadline_begin(struct deadline *d, unsigned timeout_ms);
void deadline_end(struct deadline *d);
/* Cancels D, for good. Any thread; the caller guarantees that D is in force. */
void deadline_cancel(struct deadline *d);

/* Replaces the thread's deadline by D (NULL: none), for a call with another timeout. Returns the
 * previous one, to be put back the same way. */
struct deadline *deadline_swap(struct deadline *d);
/* Ignores cancellation from now on (MASKED), or respects it again. Without a deadline: no effect. */
void deadline_mask_cancel(bool masked);
/* Whether the thread has a deadline. */
bool deadline_is_set(void);
/* 0, EINTR if the thread's deadline is cancelled, ERR_AWAY if it has expired. */
int deadline_check(void);
/* Sleeps NS nanoseconds. 0, or EINTR or ERR_AWAY as above. */
int deadline_sleep(uint64_t ns);

/* One-shot event: one thread waits, another signals it. */
struct waiter {
        _Atomic uint32_t own;
        _Atomic uint32_t *word; /* OWN, or the deadline's: a thread waits for one event at a time */
};

/* Reasons to end a wait early. */
enum wait_mode {
        WAIT_CANCELLABLE,   /* cancellation, unless masked, and expiry */
        WAIT_TIMED,         /* expiry only */
        WAIT_UNCONDITIONAL, /* nothing */
};

/* By the thread that is going to wait. */
void waiter_init(struct waiter *w);
/* Signals the event. Any thread, once. After the signal *W is only used as the address of a futex, so the
 * woken thread may free it. */
void waiter_wake(struct waiter *w);
/* Waits for the event. 0 once signalled; EINTR or ERR_AWAY: it is not signalled yet, and still will be. */
int waiter_wait(struct waiter *w, enum wait_mode mode);

#endif

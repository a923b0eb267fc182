/* SPDX-License-Identifier: MIT */
/* A thread sleeps on one word (a futex) for everything that may wake it: the event that it waits for, and the
 * cancellation. Each sets a bit, so neither can be missed between the check and the sleep.
 */
#include "base/deadline.h"

#include <assert.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WOKEN     1u
#define CANCELLED 2u

#define NS_PER_S 1000000000u

/* The calling thread's deadline. */
static _Thread_local struct deadline *mine;

static uint64_t now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Sleeps until WORD is no longer VALUE, it was woken, or UNTIL_NS (0: no end). May return for nothing. */
static void futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
        const struct timespec until = { .tv_sec = (time_t)(until_ns / NS_PER_S),
                                        .tv_nsec = (long)(until_ns % NS_PER_S) };

        syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, until_ns > 0 ? &until : NULL, NULL,
                FUTEX_BITSET_MATCH_ANY);
}

static void set_bit_and_wake(_Atomic uint32_t *word, uint32_t bit)
{
        atomic_fetch_or(word, bit);
        /* Who woke up by himself may have freed the word already; then this wakes nobody, or somebody who
         * looks again. */
        syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void deadline_begin(struct deadline *p, unsigned timeout_ms)
{
        assert(!mine);
        p->until_ns = timeout_ms > 0 ? now_ns() + timeout_ms * UINT64_C(1000000) : 0;
        p->cancel_masked = false;
        atomic_store(&p->word, 0);
        mine = p;
}

void deadline_end(struct deadline *p)
{
        assert(mine == p);
        mine = NULL;
}

void deadline_cancel(struct deadline *p)
{
        set_bit_and_wake(&p->word, CANCELLED);
}

struct deadline *deadline_swap(struct deadline *p)
{
        struct deadline *before = mine;

        mine = p;
        return before;
}

void deadline_mask_cancel(bool cancel_masked)
{
        if (mine)
                mine->cancel_masked = cancel_masked;
}

void waiter_init(struct waiter *w)
{
        atomic_store(&w->own, 0);
        w->word = mine ? &mine->word : &w->own;
}

void waiter_wake(struct waiter *w)
{
        set_bit_and_wake(w->word, WOKEN);
}

/* Why a wait should end that ends with UNTIL_NS: 0 if it should not. */
static int reason_to_end(uint32_t bits, bool hears, uint64_t until_ns)
{
        if (hears && (bits & CANCELLED))
                return -EINTR;
        return until_ns > 0 && now_ns() >= until_ns ? -ERR_AWAY : 0;
}

int waiter_wait(struct waiter *w, enum wait_mode until)
{
        uint64_t until_ns = mine && until != WAIT_UNCONDITIONAL ? mine->until_ns : 0;
        bool hears = mine && until == WAIT_CANCELLABLE && !mine->cancel_masked;

        for (;;) {
                uint32_t bits = atomic_load(w->word);
                int r;

                if (bits & WOKEN) {
                        atomic_fetch_and(w->word, ~WOKEN);
                        return 0;
                }
                r = reason_to_end(bits, hears, until_ns);
                if (r < 0)
                        return r;
                futex_wait(w->word, bits, until_ns);
        }
}

bool deadline_is_set(void)
{
        return mine != NULL;
}

int deadline_check(void)
{
        return mine ? reason_to_end(atomic_load(&mine->word), !mine->cancel_masked, mine->until_ns) : 0;
}

int deadline_sleep(uint64_t ns)
{
        uint64_t end_ns = now_ns() + ns, until_ns = mine ? mine->until_ns : 0;
        uint64_t wake_ns = until_ns > 0 && until_ns < end_ns ? until_ns : end_ns;
        _Atomic uint32_t nothing = 0, *word = mine ? &mine->word : &nothing;

        for (;;) {
                uint32_t bits = atomic_load(word);
                int r = reason_to_end(bits, mine && !mine->cancel_masked, until_ns);

                if (r < 0)
                        return r;
                if (now_ns() >= end_ns)
                        return 0;
                futex_wait(word, bits, wake_ns);
        }
}

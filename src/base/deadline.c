/* SPDX-License-Identifier: MIT */
/* A thread sleeps on one futex for everything that may wake it: the event that it waits for, and
 * cancellation. Each sets a bit of the word, so neither is missed between the check and the sleep. */
#include "base/deadline.h"

#include "base/futex.h"
#include "base/thread.h"

#include <assert.h>
#include <stdatomic.h>

#define WOKEN     1u
#define CANCELLED 2u

#define NS_PER_S 1000000000u

/* The calling thread's deadline. */
static _Thread_local struct deadline *mine;

/* UNTIL_NS 0: no end. */
static void sleep_while(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
        const struct timespec until = { .tv_sec = (time_t)(until_ns / NS_PER_S),
                                        .tv_nsec = (long)(until_ns % NS_PER_S) };

        futex_wait(word, value, until_ns > 0 ? &until : NULL);
}

static void set_bit_and_wake(_Atomic uint32_t *word, uint32_t bit)
{
        atomic_fetch_or(word, bit);
        /* A thread that saw the bit without sleeping may have freed the word already. Waking then has no
         * effect, or is a spurious wake-up of the current user of the address. */
        futex_wake(word);
}

void deadline_begin(struct deadline *d, unsigned timeout_ms)
{
        assert(!mine);
        d->until_ns = timeout_ms > 0 ? thread_now_ns() + timeout_ms * UINT64_C(1000000) : 0;
        d->cancel_masked = false;
        atomic_store(&d->word, 0);
        mine = d;
}

void deadline_end(struct deadline *d)
{
        assert(mine == d);
        mine = NULL;
}

void deadline_cancel(struct deadline *d)
{
        set_bit_and_wake(&d->word, CANCELLED);
}

struct deadline *deadline_swap(struct deadline *d)
{
        struct deadline *before = mine;

        mine = d;
        return before;
}

void deadline_mask_cancel(bool masked)
{
        if (mine)
                mine->cancel_masked = masked;
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

/* EINTR or ERR_AWAY if a wait must end, 0 if it may go on. UNTIL_NS 0: it never expires. */
static int check_wait(uint32_t bits, bool cancellable, uint64_t until_ns)
{
        if (cancellable && (bits & CANCELLED))
                return -EINTR;
        return until_ns > 0 && thread_now_ns() >= until_ns ? -ERR_AWAY : 0;
}

int waiter_wait(struct waiter *w, enum wait_mode mode)
{
        uint64_t until_ns = mine && mode != WAIT_UNCONDITIONAL ? mine->until_ns : 0;
        bool cancellable = mine && mode == WAIT_CANCELLABLE && !mine->cancel_masked;

        for (;;) {
                uint32_t bits = atomic_load(w->word);
                int r;

                if (bits & WOKEN) {
                        atomic_fetch_and(w->word, ~WOKEN);
                        return 0;
                }
                r = check_wait(bits, cancellable, until_ns);
                if (r < 0)
                        return r;
                sleep_while(w->word, bits, until_ns);
        }
}

bool deadline_is_set(void)
{
        return mine != NULL;
}

int deadline_check(void)
{
        return mine ? check_wait(atomic_load(&mine->word), !mine->cancel_masked, mine->until_ns) : 0;
}

int deadline_sleep(uint64_t ns)
{
        uint64_t end_ns = thread_now_ns() + ns, until_ns = mine ? mine->until_ns : 0;
        uint64_t wake_ns = until_ns > 0 && until_ns < end_ns ? until_ns : end_ns;
        _Atomic uint32_t never_set = 0, *word = mine ? &mine->word : &never_set;

        for (;;) {
                uint32_t bits = atomic_load(word);
                int r = check_wait(bits, mine && !mine->cancel_masked, until_ns);

                if (r < 0)
                        return r;
                if (thread_now_ns() >= end_ns)
                        return 0;
                sleep_while(word, bits, wake_ns);
        }
}

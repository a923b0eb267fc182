/* SPDX-License-Identifier: MIT */
#include "base/waitlist.h"

struct waitlist_entry {
        struct waitlist_entry *next;
        struct waiter waiter;
        bool woken;
};

int waitlist_wait(struct waitlist *l, struct lock *lock)
{
        struct waitlist_entry w = { .next = l->first };
        int r;

        lock_assert_held(lock);
        waiter_init(&w.waiter);
        l->first = &w;
        lock_release(lock);
        r = waiter_wait(&w.waiter, WAIT_CANCELLABLE);
        lock_acquire(lock);
        if (w.woken) {
                /* The signal must not be left for the thread's next wait: both use the deadline's futex. */
                if (r < 0)
                        waiter_wait(&w.waiter, WAIT_UNCONDITIONAL);
                return 0;
        }
        for (struct waitlist_entry **at = &l->first; *at; at = &(*at)->next)
                if (*at == &w) {
                        *at = w.next;
                        break;
                }
        return r;
}

void waitlist_wake_all(struct waitlist *l)
{
        struct waitlist_entry *w = l->first;

        /* An entry lives until its thread has the lock again, so the links can be followed. */
        for (l->first = NULL; w; w = w->next) {
                w->woken = true;
                waiter_wake(&w->waiter);
        }
}

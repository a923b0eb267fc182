/* SPDX-License-Identifier: MIT */
#include "base/waitlist.h"

struct waitlist_entry {
        struct waitlist_entry *next;
        struct waiter waiter;
        bool woken;
};

int waitlist_wait(struct waitlist *l, pthread_mutex_t *lock)
{
        struct waitlist_entry w = { .next = l->first };
        int r;

        waiter_init(&w.waiter);
        l->first = &w;
        pthread_mutex_unlock(lock);
        r = waiter_wait(&w.waiter, WAIT_CANCELLABLE);
        pthread_mutex_lock(lock);
        if (w.woken) {
                /* What wakes a thread must not be left for its next wait. */
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

        /* They stay where they are until they have the lock. */
        for (l->first = NULL; w; w = w->next) {
                w->woken = true;
                waiter_wake(&w->waiter);
        }
}

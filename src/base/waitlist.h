/* SPDX-License-Identifier: MIT */
/* A condition variable whose waits end with the thread's deadline (base/deadline.h). */
#ifndef BASE_WAITLIST_H
#define BASE_WAITLIST_H

#include "base/deadline.h"
#include "base/lock.h"

#include <stdbool.h>

struct waitlist_entry;

/* Zeros: no thread waits. One lock protects the list and the condition; the caller holds it in every call. */
struct waitlist {
        struct waitlist_entry *first;
};

/* Waits until woken; LOCK is released during the wait. 0: woken; EINTR, ERR_AWAY: cancelled or expired. Never
 * wakes spuriously. */
int waitlist_wait(struct waitlist *l, struct lock *lock);
/* Wakes all threads that wait. */
void waitlist_wake_all(struct waitlist *l);
/* Whether a thread waits. */
static inline bool waitlist_is_waited_for(const struct waitlist *l)
{
        return l->first != NULL;
}

#endif

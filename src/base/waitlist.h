/* SPDX-License-Identifier: MIT */
/* Waiting for something under a lock, as with a condition variable, but only as long as the thread's
 * deadline lasts (kv.h). Without a deadline: for ever. */
#ifndef BASE_WAITLIST_H
#define BASE_WAITLIST_H

#include "base/deadline.h"

#include <pthread.h>
#include <stdbool.h>

struct waitlist_entry;

/* Zeros: nobody waits. */
struct waitlist {
        struct waitlist_entry *first;
};

/* Waits, with LOCK released meanwhile. 0: woken; EINTR, ERR_AWAY: the deadline is at its end. */
int waitlist_wait(struct waitlist *l, pthread_mutex_t *lock);
/* Wakes all. Under the lock. */
void waitlist_wake_all(struct waitlist *l);
/* Whether anybody waits. Under the lock. */
static inline bool waitlist_is_waited_for(const struct waitlist *l)
{
        return l->first != NULL;
}

#endif

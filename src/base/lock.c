/* SPDX-License-Identifier: MIT */
#include "base/lock.h"

#include <time.h>

#define NS_PER_S UINT64_C(1000000000)

#ifdef ASHLAR_CHECK_LOCKS
_Thread_local char lock_thread_;
#endif

void lock_init(struct lock *l)
{
        pthread_mutex_init(&l->mutex, NULL);
        lock_set_owner_(l, NULL);
}

void lock_destroy(struct lock *l)
{
        lock_assert_not_held(l);
        pthread_mutex_destroy(&l->mutex);
}

bool lock_acquire_within(struct lock *l, uint64_t ns)
{
        struct timespec until;

        /* The clock of pthread_mutex_timedlock. */
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += (time_t)((ns + (uint64_t)until.tv_nsec) / NS_PER_S);
        until.tv_nsec = (long)((ns + (uint64_t)until.tv_nsec) % NS_PER_S);
        if (pthread_mutex_timedlock(&l->mutex, &until) != 0)
                return false;
        lock_set_owner_(l, &lock_thread_);
        return true;
}

void lock_wait(struct lock *l, pthread_cond_t *cond)
{
        lock_assert_held(l);
        lock_set_owner_(l, NULL);
        pthread_cond_wait(cond, &l->mutex);
        lock_set_owner_(l, &lock_thread_);
}

bool lock_wait_until(struct lock *l, pthread_cond_t *cond, const struct timespec *until)
{
        int r;

        lock_assert_held(l);
        lock_set_owner_(l, NULL);
        r = pthread_cond_timedwait(cond, &l->mutex, until);
        lock_set_owner_(l, &lock_thread_);
        return r == 0;
}

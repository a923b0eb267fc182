/* SPDX-License-Identifier: MIT */
#include "base/lock.h"

#ifndef NDEBUG
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

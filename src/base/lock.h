/* SPDX-License-Identifier: MIT */
/* Mutexes that are released by scope and know their owner.
 *
 *     LOCK_GUARD(&queue->lock);     released when the scope ends, on every path
 *
 * A function that needs a lock held ends in `_locked` and begins with lock_assert_held(). Builds for
 * debugging (meson's buildtype debug, and all sanitizers) keep the owner and check it; others do not, because
 * the owner costs a cache line more in small tables and a store with each lock. All functions: any thread.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include "base/cleanup.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lock {
        pthread_mutex_t mutex;
#ifdef ASHLAR_CHECK_LOCKS
        _Atomic(const void *) owner; /* an address that only the owning thread has; NULL: not held */
#endif
};

/* For static locks. The owner begins as NULL. */
#define LOCK_INIT                                  \
        {                                          \
                .mutex = PTHREAD_MUTEX_INITIALIZER \
        }

void lock_init(struct lock *l);
void lock_destroy(struct lock *l);

/* Waits for COND; L is released during the wait. Spurious wake-ups occur, as with pthread. */
void lock_wait(struct lock *l, pthread_cond_t *cond);
/* The same until UNTIL, which thread_deadline gives for a COND of thread_cond_init. False: the time is
 * over. */
bool lock_wait_until(struct lock *l, pthread_cond_t *cond, const struct timespec *until);

#ifdef ASHLAR_CHECK_LOCKS
extern _Thread_local char lock_thread_;

static inline void lock_set_owner_(struct lock *l, const void *owner)
{
        atomic_store_explicit(&l->owner, owner, memory_order_relaxed);
}

static inline bool lock_is_mine_(const struct lock *l)
{
        return atomic_load_explicit(&((struct lock *)l)->owner, memory_order_relaxed) == &lock_thread_;
}

#define lock_assert_held(l)     assert(lock_is_mine_(l))
#define lock_assert_not_held(l) assert(!lock_is_mine_(l))
#else
#define lock_set_owner_(l, o)   ((void)0)
#define lock_assert_held(l)     ((void)0)
#define lock_assert_not_held(l) ((void)0)
#endif

static inline void lock_acquire(struct lock *l)
{
        lock_assert_not_held(l);
        pthread_mutex_lock(&l->mutex);
        lock_set_owner_(l, &lock_thread_);
}

/* False: another thread holds L. */
static inline bool lock_try_acquire(struct lock *l)
{
        lock_assert_not_held(l);
        if (pthread_mutex_trylock(&l->mutex) != 0)
                return false;
        lock_set_owner_(l, &lock_thread_);
        return true;
}

/* Waits NS nanoseconds at most. False: another thread, or the caller itself, held it all that time. */
bool lock_acquire_within(struct lock *l, uint64_t ns);

static inline void lock_release(struct lock *l)
{
        lock_assert_held(l);
        lock_set_owner_(l, NULL);
        pthread_mutex_unlock(&l->mutex);
}

static inline struct lock *lock_guard_enter_(struct lock *l)
{
        lock_acquire(l);
        return l;
}

static inline void lock_guard_leave_(struct lock **l)
{
        lock_release(*l);
}

#define LOCK_GUARD_NAME2_(line) lock_guard_##line
#define LOCK_GUARD_NAME_(line)  LOCK_GUARD_NAME2_(line)
/* Holds L until the end of the scope. */
#define LOCK_GUARD(l)                                                                                  \
        _cleanup_(lock_guard_leave_) __attribute__((unused)) struct lock *LOCK_GUARD_NAME_(__LINE__) = \
                lock_guard_enter_(l)

#endif

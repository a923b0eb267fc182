/* SPDX-License-Identifier: MIT */
#include "base/thread.h"

#include <signal.h>

#define NS_PER_S UINT64_C(1000000000)

int thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg)
{
        sigset_t all, former;
        int r;

        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &former);
        r = pthread_create(ret, NULL, fn, arg);
        pthread_sigmask(SIG_SETMASK, &former, NULL);
        return -r;
}

void thread_cond_init(pthread_cond_t *cond)
{
        pthread_condattr_t attr;

        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(cond, &attr);
        pthread_condattr_destroy(&attr);
}

uint64_t thread_now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

struct timespec thread_deadline(uint64_t ns)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_sec += (time_t)(ns / NS_PER_S);
        t.tv_nsec += (long)(ns % NS_PER_S);
        if (t.tv_nsec >= (long)NS_PER_S) {
                t.tv_nsec -= (long)NS_PER_S;
                t.tv_sec++;
        }
        return t;
}

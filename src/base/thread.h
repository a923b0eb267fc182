/* SPDX-License-Identifier: MIT */
/* Threads of the libraries, and conditions that are waited for until a point in time. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Starts a thread that blocks all signals: these are handled by the program's own threads. 0 or a negative
 * errno. */
int thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg);

/* Initializes a condition whose waits end at times of thread_deadline. */
void thread_cond_init(pthread_cond_t *cond);

/* CLOCK_MONOTONIC, in nanoseconds. */
uint64_t thread_now_ns(void);

/* The time NS nanoseconds from now (CLOCK_MONOTONIC). */
struct timespec thread_deadline(uint64_t ns);

#endif

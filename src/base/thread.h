/* SPDX-License-Identifier: MIT */
/* Threads of the libraries' own, and conditions that are waited for with a deadline. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Starts a thread that gets no signals: these are for the program's own threads. 0 or the error. */
int thread_start(pthread_t *ret, void *(*fn)(void *arg), void *arg);

/* A condition whose deadlines are of thread_deadline. */
void thread_cond_init(pthread_cond_t *cond);

/* CLOCK_MONOTONIC. */
uint64_t thread_now_ns(void);

/* In NS nanoseconds, by CLOCK_MONOTONIC. */
struct timespec thread_deadline(uint64_t ns);

#endif

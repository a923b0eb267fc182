/* SPDX-License-Identifier: MIT */
#include "base/pool.h"

#include "base/thread.h"

#include <stdlib.h>

/* One pool_each, on its caller's stack. Linked while calls of it are left to be begun. */
struct batch {
        struct batch *next;
        int (*fn)(void *arg, size_t i);
        void *arg;
        size_t n, begun, running;
        int result;
        pthread_cond_t done;
};

struct pool {
        unsigned count;
        pthread_t *threads;
        pthread_mutex_t lock; /* protects what follows */
        pthread_cond_t wake;
        unsigned started, idle; /* idle: not counting those that were called */
        unsigned calls;         /* to idle threads, not heard yet */
        struct batch *batches;
        struct pool_job *first, **last;
        bool stop;
};

/* Runs one call of B. Under the lock, which is released meanwhile. */
static void run_one(struct pool *w, struct batch *b)
{
        size_t i = b->begun++;
        int r;

        if (b->begun == b->n) {
                struct batch **at = &w->batches;

                while (*at != b)
                        at = &(*at)->next;
                *at = b->next;
        }
        b->running++;
        pthread_mutex_unlock(&w->lock);
        r = b->fn(b->arg, i);
        pthread_mutex_lock(&w->lock);
        b->running--;
        if (r < 0 && b->result >= 0)
                b->result = r;
        if (b->running == 0)
                pthread_cond_signal(&b->done);
}

static void run_job(struct pool *w)
{
        struct pool_job *job = w->first;

        w->first = job->next;
        if (!w->first)
                w->last = &w->first;
        pthread_mutex_unlock(&w->lock);
        job->fn(job);
        pthread_mutex_lock(&w->lock);
}

static void *worker_main(void *arg)
{
        struct pool *w = arg;

        pthread_mutex_lock(&w->lock);
        for (;;) {
                /* Parts of what somebody waits for come before what is still to be begun. */
                if (w->batches) {
                        struct batch *b = w->batches;

                        if (b->result >= 0) {
                                run_one(w, b);
                        } else {
                                w->batches = b->next;
                                b->begun = b->n;
                        }
                } else if (w->first) {
                        run_job(w);
                } else if (w->stop) {
                        break;
                } else {
                        w->idle++;
                        while (w->calls == 0 && !w->stop)
                                pthread_cond_wait(&w->wake, &w->lock);
                        if (w->calls > 0)
                                w->calls--;
                        else
                                w->idle--;
                }
        }
        pthread_mutex_unlock(&w->lock);
        return NULL;
}

/* Under the lock: N more things are to be done. */
static void wake(struct pool *w, size_t n)
{
        for (; n > 0 && w->idle > 0; n--) {
                w->idle--;
                w->calls++;
                pthread_cond_signal(&w->wake);
        }
        /* Where no more can be started, those that are there do it. */
        for (; n > 0 && w->started < w->count; n--, w->started++)
                if (thread_start(&w->threads[w->started], worker_main, w) < 0)
                        return;
}

int pool_each(struct pool *w, size_t n, int (*fn)(void *arg, size_t i), void *arg)
{
        struct batch b = { .fn = fn, .arg = arg, .n = n };

        if (n == 0)
                return 0;
        if (n == 1)
                return fn(arg, 0);
        pthread_cond_init(&b.done, NULL);
        pthread_mutex_lock(&w->lock);
        b.next = w->batches;
        w->batches = &b;
        wake(w, n - 1);
        while (b.begun < b.n && b.result >= 0)
                run_one(w, &b);
        if (b.begun < b.n) {
                struct batch **at = &w->batches;

                while (*at != &b)
                        at = &(*at)->next;
                *at = b.next;
                b.begun = b.n;
        }
        while (b.running > 0)
                pthread_cond_wait(&b.done, &w->lock);
        pthread_mutex_unlock(&w->lock);
        pthread_cond_destroy(&b.done);
        return b.result;
}

void pool_submit(struct pool *w, struct pool_job *job)
{
        pthread_mutex_lock(&w->lock);
        job->next = NULL;
        *w->last = job;
        w->last = &job->next;
        wake(w, 1);
        pthread_mutex_unlock(&w->lock);
}

bool pool_has_queued(struct pool *w)
{
        bool wanted;

        pthread_mutex_lock(&w->lock);
        wanted = w->first != NULL;
        pthread_mutex_unlock(&w->lock);
        return wanted;
}

void pool_free(struct pool *w)
{
        if (!w)
                return;
        pthread_mutex_lock(&w->lock);
        w->stop = true;
        pthread_cond_broadcast(&w->wake);
        pthread_mutex_unlock(&w->lock);
        for (unsigned i = 0; i < w->started; i++)
                pthread_join(w->threads[i], NULL);
        pthread_cond_destroy(&w->wake);
        pthread_mutex_destroy(&w->lock);
        free(w->threads);
        free(w);
}

struct pool *pool_new(unsigned count)
{
        struct pool *w = calloc(1, sizeof(*w));

        if (!w)
                return NULL;
        w->count = count;
        w->threads = calloc(count, sizeof(*w->threads));
        if (!w->threads) {
                free(w);
                return NULL;
        }
        pthread_mutex_init(&w->lock, NULL);
        pthread_cond_init(&w->wake, NULL);
        w->last = &w->first;
        pthread_mutex_lock(&w->lock);
        wake(w, 1);
        pthread_mutex_unlock(&w->lock);
        if (w->started == 0) {
                pool_free(w);
                return NULL;
        }
        return w;
}

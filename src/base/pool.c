/* SPDX-License-Identifier: MIT */
#include "base/pool.h"

#include "base/lock.h"
#include "base/thread.h"

#include <stdlib.h>

/* One call of pool_each, on its caller's stack; linked while it has calls that are not begun. */
struct each {
        struct list_link link;
        int (*fn)(void *arg, size_t i);
        void *arg;
        size_t n, begun, running;
        int result;
        pthread_cond_t done;
};

struct pool {
        unsigned count;
        pthread_t *threads;

        struct lock lock; /* protects what follows */
        pthread_cond_t wake;
        unsigned started;
        unsigned idle;    /* threads that wait and were not signalled */
        unsigned signals; /* sent to idle threads and not yet received */
        struct list_link eaches;
        struct list_link jobs;
        bool stop;
};

/* Begins no more calls of E. */
static void each_close_locked(struct pool *p, struct each *e)
{
        lock_assert_held(&p->lock);
        list_remove(&e->link);
        e->begun = e->n;
}

/* Runs the next call of E; the lock is released during the call. */
static void each_run_one_locked(struct pool *p, struct each *e)
{
        size_t i = e->begun++;
        int r;

        lock_assert_held(&p->lock);
        if (e->begun == e->n)
                each_close_locked(p, e);
        e->running++;
        lock_release(&p->lock);
        r = e->fn(e->arg, i);
        lock_acquire(&p->lock);
        e->running--;
        if (r < 0 && e->result >= 0)
                e->result = r;
        if (e->running == 0)
                pthread_cond_signal(&e->done);
}

static void wait_for_work_locked(struct pool *p)
{
        p->idle++;
        while (p->signals == 0 && !p->stop)
                lock_wait(&p->lock, &p->wake);
        if (p->signals > 0)
                p->signals--;
        else
                p->idle--;
}

static void *worker_main(void *arg)
{
        struct pool *p = arg;
        LOCK_GUARD(&p->lock);

        for (;;) {
                /* A thread waits for the calls of pool_each: they come before jobs. */
                struct each *e = list_first(&p->eaches, struct each, link);
                struct pool_job *job = e ? NULL : list_pop(&p->jobs, struct pool_job, link);

                if (e && e->result < 0) {
                        each_close_locked(p, e);
                } else if (e) {
                        each_run_one_locked(p, e);
                } else if (job) {
                        lock_release(&p->lock);
                        job->fn(job);
                        lock_acquire(&p->lock);
                } else if (p->stop) {
                        return NULL;
                } else {
                        wait_for_work_locked(p);
                }
        }
}

/* Wakes or starts threads for N calls. If no thread can be started, the running ones make them. */
static void wake_locked(struct pool *p, size_t n)
{
        lock_assert_held(&p->lock);
        for (; n > 0 && p->idle > 0; n--) {
                p->idle--;
                p->signals++;
                pthread_cond_signal(&p->wake);
        }
        for (; n > 0 && p->started < p->count; n--, p->started++)
                if (thread_start(&p->threads[p->started], worker_main, p) < 0)
                        return;
}

int pool_each(struct pool *p, size_t n, int (*fn)(void *arg, size_t i), void *arg)
{
        struct each e = { .fn = fn, .arg = arg, .n = n };

        if (n == 0)
                return 0;
        if (n == 1)
                return fn(arg, 0);
        pthread_cond_init(&e.done, NULL);
        lock_acquire(&p->lock);
        list_prepend(&p->eaches, &e.link);
        wake_locked(p, n - 1);
        while (e.begun < e.n && e.result >= 0)
                each_run_one_locked(p, &e);
        if (e.begun < e.n)
                each_close_locked(p, &e);
        while (e.running > 0)
                lock_wait(&p->lock, &e.done);
        lock_release(&p->lock);
        pthread_cond_destroy(&e.done);
        return e.result;
}

void pool_submit(struct pool *p, struct pool_job *job)
{
        LOCK_GUARD(&p->lock);

        list_append(&p->jobs, &job->link);
        wake_locked(p, 1);
}

bool pool_has_queued(struct pool *p)
{
        LOCK_GUARD(&p->lock);

        return !list_empty(&p->jobs);
}

void pool_free(struct pool *p)
{
        if (!p)
                return;
        lock_acquire(&p->lock);
        p->stop = true;
        pthread_cond_broadcast(&p->wake);
        lock_release(&p->lock);
        for (unsigned i = 0; i < p->started; i++)
                pthread_join(p->threads[i], NULL);
        pthread_cond_destroy(&p->wake);
        lock_destroy(&p->lock);
        free(p->threads);
        free(p);
}

struct pool *pool_new(unsigned count)
{
        struct pool *p = calloc(1, sizeof(*p));

        if (!p)
                return NULL;
        p->count = count;
        p->threads = calloc(count, sizeof(*p->threads));
        if (!p->threads) {
                free(p);
                return NULL;
        }
        lock_init(&p->lock);
        pthread_cond_init(&p->wake, NULL);
        list_init(&p->eaches);
        list_init(&p->jobs);
        lock_acquire(&p->lock);
        wake_locked(p, 1);
        lock_release(&p->lock);
        if (p->started == 0) {
                pool_free(p);
                return NULL;
        }
        return p;
}

/* SPDX-License-Identifier: MIT */
/* Futures, and the thread that completes them. */
#include "internal.h"

#include <stdlib.h>
#include <time.h>

struct standin standin = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct task {
        struct task *next;
        uint64_t due_ns;
        bool always;
        FDBFuture *f;
        void (*act)(FDBFuture *f);
};

uint64_t now_ns(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

struct standin_faults faults(void)
{
        struct standin_faults f;

        pthread_mutex_lock(&standin.lock);
        f = standin.faults;
        pthread_mutex_unlock(&standin.lock);
        return f;
}

bool happens(unsigned ppm)
{
        return ppm > 0 && random_below(1000000) < ppm;
}

unsigned random_below(unsigned n)
{
        unsigned r;

        pthread_mutex_lock(&standin.lock);
        r = (unsigned)rng_below(&standin.rng, n);
        pthread_mutex_unlock(&standin.lock);
        return r;
}

/* ---- futures ------------------------------------------------------------------------------------- */

FDBFuture *future_new(void)
{
        FDBFuture *f = calloc(1, sizeof(*f));

        f->refs = 1;
        pthread_mutex_lock(&standin.lock);
        standin.counts.futures++;
        pthread_mutex_unlock(&standin.lock);
        return f;
}

static void future_free(FDBFuture *f)
{
        if (f->tr)
                transaction_unref(f->tr);
        free(f->data);
        free(f->kv);
        free(f);
}

void future_unref(FDBFuture *f)
{
        bool last;

        pthread_mutex_lock(&standin.lock);
        last = --f->refs == 0;
        if (last) {
                standin.counts.futures--;
                standin.counts.watches -= f->is_watch;
        }
        pthread_mutex_unlock(&standin.lock);
        if (last)
                future_free(f);
}

void future_finish(FDBFuture *f, fdb_error_t err)
{
        FDBCallback callback;

        pthread_mutex_lock(&standin.lock);
        if (f->ready) {
                pthread_mutex_unlock(&standin.lock);
                return;
        }
        f->err = err;
        f->ready = true;
        callback = f->callback;
        f->callback = NULL;
        pthread_mutex_unlock(&standin.lock);
        if (callback)
                callback(f, f->callback_arg);
}

static void finish_as_is(FDBFuture *f)
{
        future_finish(f, f->err);
}

/* Lock held. */
static void post_locked(FDBFuture *f, void (*act)(FDBFuture *f), unsigned us, bool always)
{
        struct task *t = calloc(1, sizeof(*t)), **p;

        f->refs++;
        *t = (struct task){ .due_ns = now_ns() + us * UINT64_C(1000), .always = always, .f = f, .act = act };
        for (p = &standin.tasks; *p && (*p)->due_ns <= t->due_ns; p = &(*p)->next)
                continue;
        t->next = *p;
        *p = t;
        pthread_cond_signal(&standin.wake);
}

void future_post(FDBFuture *f, unsigned us, bool always)
{
        pthread_mutex_lock(&standin.lock);
        post_locked(f, f->act ? f->act : finish_as_is, us, always);
        pthread_mutex_unlock(&standin.lock);
}

FDBFuture *future_answer(FDBFuture *f, fdb_error_t err)
{
        struct standin_faults now = faults();
        unsigned how = random_below(16);
        bool at_once; /* some are ready from the beginning */

        f->err = err;
        f->act = NULL;
        pthread_mutex_lock(&standin.lock);
        at_once = f->ready = how < 10 && !standin.away;
        pthread_mutex_unlock(&standin.lock);
        if (!at_once)
                future_post(f, happens(now.slow_ppm) ? now.slow_us : how == 15 ? 100 : 0, false);
        return f;
}

/* ---- cancelling ---------------------------------------------------------------------------------- */

/* In the network thread, as the library does it. */
static void do_cancel(FDBFuture *f)
{
        bool drop = false;

        if (f->watch) {
                kv_unwatch(f->watch); /* from here on it does not fire */
                f->watch = NULL;
                pthread_mutex_lock(&standin.lock);
                drop = !f->watch_done;
                f->watch_done = true;
                pthread_mutex_unlock(&standin.lock);
                atomic_fetch_sub(&f->watch_db->watches, 1);
        }
        future_finish(f, FDB_OPERATION_CANCELLED);
        if (drop)
                future_unref(f);
}

static void cancel(FDBFuture *f)
{
        pthread_mutex_lock(&standin.lock);
        /* A fired watch still has to be taken from the store below. */
        if (!f->cancelled && (!f->ready || f->is_watch)) {
                f->cancelled = true;
                post_locked(f, do_cancel, 0, true);
        }
        pthread_mutex_unlock(&standin.lock);
}

EXPORT void fdb_future_cancel(FDBFuture *f)
{
        cancel(f);
}

EXPORT void fdb_future_destroy(FDBFuture *f)
{
        cancel(f);
        future_unref(f);
}

EXPORT fdb_bool_t fdb_future_is_ready(FDBFuture *f)
{
        bool ready;

        pthread_mutex_lock(&standin.lock);
        ready = f->ready;
        pthread_mutex_unlock(&standin.lock);
        return ready;
}

EXPORT fdb_error_t fdb_future_set_callback(FDBFuture *f, FDBCallback callback, void *arg)
{
        bool ready;

        pthread_mutex_lock(&standin.lock);
        ready = f->ready;
        if (!ready) {
                f->callback = callback;
                f->callback_arg = arg;
        }
        pthread_mutex_unlock(&standin.lock);
        if (ready)
                callback(f, arg);
        return 0;
}

EXPORT fdb_error_t fdb_future_get_error(FDBFuture *f)
{
        fdb_error_t e;

        pthread_mutex_lock(&standin.lock);
        e = f->ready ? f->err : 2015;
        pthread_mutex_unlock(&standin.lock);
        return e;
}

EXPORT fdb_error_t fdb_future_get_int64(FDBFuture *f, int64_t *out)
{
        fdb_error_t e = fdb_future_get_error(f);

        if (!e)
                *out = f->number;
        return e;
}

EXPORT fdb_error_t fdb_future_get_value(FDBFuture *f, fdb_bool_t *out_present, const uint8_t **out_value,
                                        int *out_length)
{
        fdb_error_t e = fdb_future_get_error(f);

        if (!e) {
                *out_present = f->present;
                *out_value = f->data;
                *out_length = f->data_len;
        }
        return e;
}

EXPORT fdb_error_t fdb_future_get_keyvalue_array(FDBFuture *f, const FDBKeyValue **out_kv, int *out_count,
                                                 fdb_bool_t *out_more)
{
        fdb_error_t e = fdb_future_get_error(f);

        if (!e) {
                *out_kv = f->kv;
                *out_count = f->kv_n;
                *out_more = f->more;
        }
        return e;
}

/* ---- the thread ---------------------------------------------------------------------------------- */

/* The first task that may run; *RET_WAIT_NS is how long none is due. Lock held. */
static struct task **next_task(uint64_t *ret_wait_ns)
{
        uint64_t now = now_ns();

        *ret_wait_ns = 1000000000;
        for (struct task **p = &standin.tasks; *p; p = &(*p)->next) {
                if (standin.away && !(*p)->always)
                        continue;
                if ((*p)->due_ns <= now)
                        return p;
                *ret_wait_ns = (*p)->due_ns - now;
                break;
        }
        return NULL;
}

static void sleep_ns(uint64_t ns)
{
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        ns += (uint64_t)until.tv_nsec;
        until.tv_sec += (time_t)(ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        pthread_cond_timedwait(&standin.wake, &standin.lock, &until);
}

EXPORT fdb_error_t fdb_setup_network(void)
{
        pthread_condattr_t monotonic;

        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&standin.wake, &monotonic);
        pthread_condattr_destroy(&monotonic);
        rng_seed(&standin.rng, 1);
        return 0;
}

EXPORT fdb_error_t fdb_run_network(void)
{
        pthread_mutex_lock(&standin.lock);
        while (!standin.stopping) {
                uint64_t wait_ns;
                struct task **p = next_task(&wait_ns), *t;

                if (!p) {
                        sleep_ns(wait_ns);
                        continue;
                }
                t = *p;
                *p = t->next;
                pthread_mutex_unlock(&standin.lock);
                t->act(t->f);
                future_unref(t->f);
                free(t);
                pthread_mutex_lock(&standin.lock);
        }
        pthread_mutex_unlock(&standin.lock);
        return 0;
}

EXPORT fdb_error_t fdb_stop_network(void)
{
        pthread_mutex_lock(&standin.lock);
        standin.stopping = true;
        pthread_cond_signal(&standin.wake);
        pthread_mutex_unlock(&standin.lock);
        return 0;
}

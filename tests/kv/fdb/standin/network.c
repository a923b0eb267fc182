/* SPDX-License-Identifier: MIT */
/* Futures, and the thread that completes them. */
#include "internal.h"

#include "base/thread.h"

#include <stdlib.h>

struct standin standin = {
        .lock = LOCK_INIT,
        .clusters = { &standin.clusters, &standin.clusters },
        .tasks = { &standin.tasks, &standin.tasks },
};

struct task {
        struct list_link link;
        uint64_t due_ns;
        bool always;
        FDBFuture *f;
        void (*act)(FDBFuture *f);
};

struct standin_faults faults(void)
{
        LOCK_GUARD(&standin.lock);
        return standin.faults;
}

bool happens(unsigned ppm)
{
        return ppm > 0 && random_below(1000000) < ppm;
}

unsigned random_below(unsigned n)
{
        LOCK_GUARD(&standin.lock);
        return (unsigned)rng_below(&standin.rng, n);
}

/* ---- futures ------------------------------------------------------------------------------------- */

FDBFuture *future_new(void)
{
        FDBFuture *f = calloc(1, sizeof(*f));

        f->refs = 1;
        lock_acquire(&standin.lock);
        standin.counts.futures++;
        lock_release(&standin.lock);
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

        lock_acquire(&standin.lock);
        last = --f->refs == 0;
        if (last) {
                standin.counts.futures--;
                standin.counts.watches -= f->is_watch;
        }
        lock_release(&standin.lock);
        if (last)
                future_free(f);
}

void future_finish(FDBFuture *f, fdb_error_t err)
{
        FDBCallback callback;

        lock_acquire(&standin.lock);
        if (f->ready) {
                lock_release(&standin.lock);
                return;
        }
        f->err = err;
        f->ready = true;
        callback = f->callback;
        f->callback = NULL;
        lock_release(&standin.lock);
        if (callback)
                callback(f, f->callback_arg);
}

static void finish_as_is(FDBFuture *f)
{
        future_finish(f, f->err);
}

static void post_locked(FDBFuture *f, void (*act)(FDBFuture *f), unsigned us, bool always)
{
        struct task *t = calloc(1, sizeof(*t)), *later;

        lock_assert_held(&standin.lock);
        f->refs++;
        *t = (struct task){
                .due_ns = thread_now_ns() + us * UINT64_C(1000), .always = always, .f = f, .act = act
        };
        list_each(later, &standin.tasks, link)
                if (later->due_ns > t->due_ns)
                        break;
        list_insert_before(&later->link, &t->link);
        pthread_cond_signal(&standin.wake);
}

void future_post(FDBFuture *f, unsigned us, bool always)
{
        LOCK_GUARD(&standin.lock);
        post_locked(f, f->act ? f->act : finish_as_is, us, always);
}

FDBFuture *future_answer(FDBFuture *f, fdb_error_t err)
{
        struct standin_faults now = faults();
        unsigned how = random_below(16);
        bool at_once;

        f->err = err;
        f->act = NULL;
        /* Some futures are ready when the client returns them. */
        lock_acquire(&standin.lock);
        at_once = f->ready = how < 10 && !standin.away;
        lock_release(&standin.lock);
        if (!at_once)
                future_post(f, happens(now.slow_ppm) ? now.slow_us : how == 15 ? 100 : 0, false);
        return f;
}

/* ---- cancelling ---------------------------------------------------------------------------------- */

/* Runs in the network thread, as in the library. */
static void do_cancel(FDBFuture *f)
{
        bool drop = false;

        if (f->watch) {
                kv_unwatch(f->watch); /* it does not fire any more */
                f->watch = NULL;
                lock_acquire(&standin.lock);
                drop = !f->watch_done;
                f->watch_done = true;
                lock_release(&standin.lock);
                atomic_fetch_sub(&f->watch_db->watches, 1);
        }
        future_finish(f, FDB_OPERATION_CANCELLED);
        if (drop)
                future_unref(f);
}

static void cancel(FDBFuture *f)
{
        LOCK_GUARD(&standin.lock);
        /* A watch that fired must still be removed from the store below. */
        if (!f->cancelled && (!f->ready || f->is_watch)) {
                f->cancelled = true;
                post_locked(f, do_cancel, 0, true);
        }
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
        LOCK_GUARD(&standin.lock);
        return f->ready;
}

EXPORT fdb_error_t fdb_future_set_callback(FDBFuture *f, FDBCallback callback, void *arg)
{
        bool ready;

        lock_acquire(&standin.lock);
        ready = f->ready;
        if (!ready) {
                f->callback = callback;
                f->callback_arg = arg;
        }
        lock_release(&standin.lock);
        if (ready)
                callback(f, arg);
        return 0;
}

EXPORT fdb_error_t fdb_future_get_error(FDBFuture *f)
{
        LOCK_GUARD(&standin.lock);
        return f->ready ? f->err : 2015;
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

/* Removes and returns the first task that may run. NULL: there is none before *RET_WAIT_NS. */
static struct task *take_task_locked(uint64_t *ret_wait_ns)
{
        uint64_t now = thread_now_ns();
        struct task *t;

        lock_assert_held(&standin.lock);
        *ret_wait_ns = 1000000000;
        list_each(t, &standin.tasks, link) {
                if (standin.away && !t->always)
                        continue;
                if (t->due_ns <= now) {
                        list_remove(&t->link);
                        return t;
                }
                *ret_wait_ns = t->due_ns - now;
                break;
        }
        return NULL;
}

EXPORT fdb_error_t fdb_setup_network(void)
{
        thread_cond_init(&standin.wake);
        rng_seed(&standin.rng, 1);
        return 0;
}

EXPORT fdb_error_t fdb_run_network(void)
{
        lock_acquire(&standin.lock);
        while (!standin.stopping) {
                uint64_t wait_ns;
                struct task *t = take_task_locked(&wait_ns);

                if (!t) {
                        struct timespec until = thread_deadline(wait_ns);

                        lock_wait_until(&standin.lock, &standin.wake, &until);
                        continue;
                }
                lock_release(&standin.lock);
                t->act(t->f);
                future_unref(t->f);
                free(t);
                lock_acquire(&standin.lock);
        }
        lock_release(&standin.lock);
        return 0;
}

EXPORT fdb_error_t fdb_stop_network(void)
{
        LOCK_GUARD(&standin.lock);
        standin.stopping = true;
        pthread_cond_signal(&standin.wake);
        return 0;
}

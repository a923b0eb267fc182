/* SPDX-License-Identifier: MIT */
/* Schedules batches: when they are written and by which thread: the committer thread after some time or on
 * request, or the callers of kv_sync, which saves them two thread switches; callers that come while a batch
 * is running share the next one. */
#include "kv/layer/writebehind/internal.h"

#include "base/log.h"
#include "base/thread.h"

#define RETRY_MS 1000u /* after a batch that failed */

/* How long the committer may sleep; 0: not at all, UINT64_MAX: until it is woken. */
static uint64_t sleep_ns_locked(const struct wb_store *wb)
{
        uint64_t now = clock_system.monotonic_ns(&clock_system), due;

        lock_assert_held(&wb->lock);
        if (wb->error == -ERR_FENCED || wb->batch_running)
                return UINT64_MAX;
        if (wb->error < 0)
                due = wb->retry_at_ns;
        else if (wb->batch_wanted || wb->view->n > 1)
                due = now;
        else if (wb->active_since_ns == 0)
                return UINT64_MAX;
        else
                due = wb->active_since_ns + (uint64_t)wb->age_ms * 1000000;
        return due > now ? due - now : 0;
}

/* Logs changes of the outcome: the committer has no caller to return an error to. */
static void log_change(int before, int now)
{
        if (now == before || now == -ERR_AWAY)
                return; /* after kv_give_up the caller of kv_close reports what is lost */
        if (now == -ERR_FENCED)
                log_error("%s; what was not written yet is lost", err_str(now));
        else if (now < 0)
                log_error("cannot write to the store: %s; what was acknowledged is kept and tried again",
                          err_str(now));
        else if (before < 0)
                log_info("writing to the store works again");
}

void wb_committer_notify_locked(struct wb_store *wb)
{
        if (wb->committer_idle && sleep_ns_locked(wb) != UINT64_MAX)
                pthread_cond_signal(&wb->committer_wake);
}

/* Runs a batch, keeps its error and wakes all threads that wait for it. */
static int run_batch_locked(struct wb_store *wb)
{
        int r = wb_batch_run_locked(wb);

        log_change(wb->error, r);
        if (wb->error != -ERR_FENCED)
                wb->error = r < 0 ? r : 0;
        wb->retry_at_ns = clock_system.monotonic_ns(&clock_system) + (uint64_t)RETRY_MS * 1000000;
        waitlist_wake_all(&wb->batch_done);
        if (r < 0)
                pthread_cond_signal(&wb->committer_wake);
        else
                wb_committer_notify_locked(wb);
        return r;
}

void wb_batch_request_locked(struct wb_store *wb)
{
        lock_assert_held(&wb->lock);
        if (wb->batch_wanted)
                return;
        wb->batch_wanted = true;
        pthread_cond_signal(&wb->committer_wake);
}

/* Leaves the next batch to the committer and waits for its end. */
static int wait_for_committer_locked(struct wb_store *wb)
{
        if (wb->error < 0)
                return wb->error;
        wb_batch_request_locked(wb);
        return waitlist_wait(&wb->batch_done, &wb->lock);
}

int wb_sync_to(struct wb_store *wb, uint64_t target)
{
        /* A batch serves all callers: it must not end with the deadline of one of them. */
        bool leave_to_committer = deadline_is_set() && wb->below->limits.remote;
        LOCK_GUARD(&wb->lock);

        while (wb->durable < target) {
                int r;

                if (wb->error == -ERR_FENCED)
                        r = wb->error;
                else if (wb->batch_running)
                        r = waitlist_wait(&wb->batch_done, &wb->lock);
                else if (leave_to_committer)
                        r = wait_for_committer_locked(wb);
                else
                        r = run_batch_locked(wb);
                if (r < 0)
                        return r;
        }
        return 0;
}

void *wb_committer(void *arg)
{
        struct wb_store *wb = arg;
        LOCK_GUARD(&wb->lock);

        while (!wb->stopping) {
                uint64_t ns = sleep_ns_locked(wb);

                if (ns == UINT64_MAX) {
                        wb->committer_idle = true;
                        lock_wait(&wb->lock, &wb->committer_wake);
                        wb->committer_idle = false;
                } else if (ns > 0) {
                        const struct timespec until = thread_deadline(ns);

                        lock_wait_until(&wb->lock, &wb->committer_wake, &until);
                } else {
                        run_batch_locked(wb);
                }
        }
        return NULL;
}

/* SPDX-License-Identifier: MIT */
/* Batches: freezes the active table and writes the frozen ones below, in order, one batch at a time,
 * each in one transaction. Run by the committer thread, and by callers of kv_sync themselves: that saves
 * them two switches of threads, and those who come meanwhile share the next batch. */
#include "kv/layer/writebehind/lookup.h"

#include "base/log.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#define RETRY_MS 1000u /* after a batch that failed */

/* Whether the active table is worth closing: something was committed into it, or memory is held there by what
 * was not (values of undone transactions, which a reader may still have been passing, stay with it). */
static bool is_worth_freezing(const struct wb_store *wb)
{
        return wb->active_since_ns != 0 || wb->view->tables[0]->bytes > wb->batch_bytes / 2;
}

/* Closes the active table, if it is worth it and there is room for another one. */
static int freeze(struct wb_store *wb)
{
        struct wb_table *dead[WB_TABLES_MAX];
        struct wb_view *v, *old;
        int r = 0, n = 0;

        pthread_mutex_lock(&wb->writer);
        pthread_mutex_lock(&wb->lock);
        if (is_worth_freezing(wb) && wb->view->n < WB_TABLES_MAX) {
                r = wb_view_make(wb->view, true, 0, &v);
                if (r >= 0) {
                        old = wb->view;
                        old->tables[0]->last = wb->published;
                        wb->view = v;
                        wb->active_since_ns = 0;
                        n = wb_view_unref(old, dead);
                        assert(n == 0); /* the new view lists them all */
                }
        }
        wb->batch_wanted = false;
        pthread_mutex_unlock(&wb->lock);
        pthread_mutex_unlock(&wb->writer);
        return r;
}

/* The frozen tables of one batch, newest first. Only the runner of batches drops them from the view. */
struct batch {
        struct wb_store *wb;
        int n;
        struct wb_table *tables[WB_TABLES_MAX];
        uint64_t last;    /* newest transaction */
        uint64_t durable; /* what is not newer was written already */
        struct wb_load load;
        uint64_t number;
        uint8_t *value;                 /* room for one */
        struct base *bases, *next_base; /* what was read ahead, in order of keys */
};

/* The oldest frozen tables, as many as fit into one transaction below. */
static void batch_collect(struct wb_store *wb, struct batch *b)
{
        size_t limit = wb->batch_bytes_below;
        int first;

        *b = (struct batch){ .wb = wb };
        pthread_mutex_lock(&wb->lock);
        for (first = wb->view->n; first > 1; first--) {
                const struct wb_load *load = &wb->view->tables[first - 1]->load;

                if (b->load.bytes + load->bytes > limit && first < wb->view->n)
                        break;
                wb_load_add(&b->load, load);
        }
        for (int i = first; i < wb->view->n; i++)
                b->tables[b->n++] = wb->view->tables[i];
        if (b->n > 0)
                b->last = b->tables[0]->last;
        b->durable = wb->durable;
        b->number = wb->batches + 1;
        pthread_mutex_unlock(&wb->lock);
}

/* The keys of a batch, in order. */
struct walk {
        const struct batch *b;
        struct mt_entry *at[WB_TABLES_MAX];
};

static void walk_begin(struct walk *w, const struct batch *b)
{
        w->b = b;
        for (int i = 0; i < b->n; i++)
                w->at[i] = mt_seek_ge(b->tables[i]->mt, slice_of("", 0));
}

static bool walk_next(struct walk *w, struct slice *ret_key)
{
        struct mt_entry *e = NULL;

        for (int i = 0; i < w->b->n; i++)
                if (w->at[i] && (!e || slice_cmp(mt_key(w->at[i]), mt_key(e)) < 0))
                        e = w->at[i];
        if (!e)
                return false;
        *ret_key = mt_key(e);
        for (int i = 0; i < w->b->n; i++)
                if (w->at[i] && (w->at[i] == e || slice_eq(mt_key(w->at[i]), *ret_key)))
                        w->at[i] = mt_next(w->at[i]);
        return true;
}

/* What the batch knows of KEY. False: nothing that is to be written. */
static bool find_newest(const struct batch *b, struct slice key, struct wb_lookup *l)
{
        if (!wb_lookup(b->tables, b->n, UINT64_MAX, key, l))
                return false; /* its transactions were all undone */
        return (l->n > 0 ? l->patches[0] : l->base)->number > b->durable;
}

/* The value that KEY's patches lie on, if only the store below has it: where reading costs a round trip, all
 * of them are read together. */
struct base {
        struct base *next;
        struct slice key;
        struct kv_read read;
        uint8_t *value; /* as it is to be written */
        size_t len;
};

static void bases_free(struct batch *b)
{
        struct base *next;

        for (struct base *base = b->bases; base; base = next) {
                next = base->next;
                free(base->value);
                free(base);
        }
        b->bases = b->next_base = NULL;
}

static int bases_start(struct kv_txn *t, struct batch *b)
{
        struct base **end = &b->bases;
        struct wb_lookup l;
        struct slice key;
        struct walk w;

        for (walk_begin(&w, b); walk_next(&w, &key);) {
                struct base *base;

                if (!find_newest(b, key, &l) || l.n == 0 || l.base)
                        continue;
                base = calloc(1, sizeof(*base));
                if (!base)
                        return -ENOMEM;
                base->key = key;
                kv_get_start(t, &base->read, key, 0);
                *end = base;
                end = &base->next;
        }
        b->next_base = b->bases;
        return 0;
}

static int bases_read(struct kv_txn *t, struct batch *b)
{
        int r = bases_start(t, b);

        for (struct base *base = b->bases; base && r >= 0; base = base->next) {
                struct slice value = { 0 };
                struct wb_lookup l;

                r = kv_get_wait(t, &base->read, &value);
                if (r < 0 && r != -ENOENT)
                        return r;
                r = 0;
                find_newest(b, base->key, &l);
                base->len = wb_patched_len(&l);
                base->value = malloc(base->len + 1);
                if (!base->value)
                        return -ENOMEM;
                wb_compose(&l, value, base->value);
        }
        return r;
}

/* Writes the newest state of KEY. */
static int write_key(struct kv_txn *t, struct batch *b, struct slice key)
{
        struct slice base = { 0 };
        struct wb_lookup l;
        int r;

        if (!find_newest(b, key, &l))
                return 0;
        if (l.n == 0)
                return l.base->cleared ? kv_clear(t, key)
                                       : kv_set(t, key, slice_of(l.base->data, l.base->len));
        if (!l.base && b->next_base) {
                struct base *ready = b->next_base;

                assert(slice_eq(ready->key, key));
                b->next_base = ready->next;
                return kv_set(t, key, slice_of(ready->value, ready->len));
        }
        if (!l.base) {
                r = kv_get(t, key, 0, &base);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        /* Put together aside: what was read is gone with the first write. */
        wb_compose(&l, base, b->value);
        return kv_set(t, key, slice_of(b->value, wb_patched_len(&l)));
}

/* Writes the newest version of each key, in order of keys: sorted writes are what B-trees like best. */
static int batch_body(struct kv_txn *t, void *arg)
{
        struct batch *b = arg;
        struct slice key, sequence = slice_of(b->wb->sequence, b->wb->sequence_len);
        uint8_t number[8];
        struct walk w;
        int r = 0;

        bases_free(b); /* of a former attempt */
        if (b->wb->below->limits.remote)
                r = bases_read(t, b);
        for (walk_begin(&w, b); r >= 0 && walk_next(&w, &key);)
                r = write_key(t, b, key);
        if (r < 0 || !b->wb->sequence)
                return r;
        for (int i = 0; i < 8; i++)
                number[i] = (uint8_t)(b->number >> (8 * i));
        /* Counts as read as well as written: a commit that takes place after it was given up conflicts with
         * its retry and with every later batch. */
        r = kv_conflict_key(t, KV_CONFLICT_READ, sequence);
        return r < 0 ? r : kv_set(t, sequence, slice_of(number, sizeof(number)));
}

/* What was written leaves the view. */
static int batch_retire(struct wb_store *wb, const struct batch *b)
{
        struct wb_table *dead[WB_TABLES_MAX];
        struct wb_view *v, *old;
        int r, n = 0;

        pthread_mutex_lock(&wb->lock);
        r = wb_view_make(wb->view, false, b->n, &v);
        if (r >= 0) {
                old = wb->view;
                wb->view = v;
                n = wb_view_unref(old, dead);
                wb->durable = b->last;
                wb->pending.keys -= b->load.keys;
                wb->pending.sets -= b->load.sets;
                wb->pending.bytes -= b->load.bytes;
                if (wb->durable == wb->published)
                        wb->pending.largest = 0;
                /* What is pending still has its room; how much more there is, only the store below knows. */
                wb->budget = wb->frees_budget = (struct wb_load){ 0 };
                wb->batches = b->number;
        }
        pthread_mutex_unlock(&wb->lock);
        wb_tables_free(wb, dead, n);
        return r;
}

/* Writes batch B. */
static int batch_write(struct wb_store *wb, struct batch *b)
{
        int r;

        /* Running it twice is the same as once: it sets and clears keys that nobody else writes, and the
         * next batch waits for it. */
        b->value = malloc(wb->base.limits.value_bytes);
        if (!b->value)
                return -ENOMEM;
        r = kv_run(wb->below, KV_WRITE | KV_IDEMPOTENT | KV_RESERVE | KV_RECENT, batch_body, b);
        bases_free(b);
        free(b->value);
        return r;
}

/* One batch. The caller has set batch_running. */
static int batch_run(struct wb_store *wb)
{
        struct batch b;
        int r;

        r = freeze(wb);
        if (r < 0)
                return r;
        batch_collect(wb, &b);
        if (b.n == 0)
                return 0;
        r = batch_write(wb, &b);
        return r < 0 ? r : batch_retire(wb, &b);
}

/* How long the committer may sleep; 0: not at all, UINT64_MAX: until it is woken. Lock held. */
static uint64_t sleep_ns(const struct wb_store *wb)
{
        uint64_t now = clock_system.monotonic_ns(&clock_system), due;

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

/* The committer has no caller to return an error to: tells the log when the outcome changes. */
static void report(int before, int now)
{
        if (now == before || now == -ERR_AWAY)
                return; /* after kv_give_up: who closes the store says what is lost */
        if (now == -ERR_FENCED)
                log_error("%s; what was not written yet is lost", err_str(now));
        else if (now < 0)
                log_error("cannot write to the store: %s; what was acknowledged is kept and tried again",
                          err_str(now));
        else if (before < 0)
                log_info("writing to the store works again");
}

/* Runs a batch with batch_running set around it. Lock held, dropped meanwhile. */
static int batch_run_locked(struct wb_store *wb)
{
        int r;

        assert(!wb->batch_running);
        wb->batch_running = true;
        pthread_mutex_unlock(&wb->lock);
        r = batch_run(wb);
        pthread_mutex_lock(&wb->lock);
        wb->batch_running = false;
        report(wb->error, r);
        if (wb->error != -ERR_FENCED)
                wb->error = r < 0 ? r : 0;
        wb->retry_at_ns = clock_system.monotonic_ns(&clock_system) + (uint64_t)RETRY_MS * 1000000;
        pthread_cond_broadcast(&wb->batch_done);
        if (r < 0 || (wb->committer_idle && sleep_ns(wb) != UINT64_MAX))
                pthread_cond_signal(&wb->committer_wake);
        return r;
}

#define PATIENCE_POLL_MS 20

int wb_wait_batch(struct wb_store *wb)
{
        struct timespec until;

        if (!deadline_is_set()) {
                pthread_cond_wait(&wb->batch_done, &wb->lock);
                return 0;
        }
        /* A condition cannot be waited for together with a cancellation; this wait is long or rare. */
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += PATIENCE_POLL_MS * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&wb->batch_done, &wb->lock, &until);
        return deadline_check();
}

/* Leaves the batch to the committer and waits for it. Lock held. */
static int batch_ask(struct wb_store *wb)
{
        if (!wb->batch_wanted) {
                wb->batch_wanted = true;
                pthread_cond_signal(&wb->committer_wake);
        }
        return wb_wait_batch(wb);
}

int wb_write_through(struct wb_store *wb, struct wb_txn *t)
{
        struct batch b = { .wb = wb,
                           .n = 1,
                           .tables = { wb_active(t) },
                           .durable = wb->durable,
                           .number = wb->batches + 1 };
        int r;

        assert(!wb->batch_running && wb->durable == wb->published);
        wb->batch_running = true;
        pthread_mutex_unlock(&wb->lock);
        r = batch_write(wb, &b);
        pthread_mutex_lock(&wb->lock);
        wb->batch_running = false;
        if (r >= 0) {
                /* In the table it remains as older than what is durable, to be passed over by its batch. */
                wb->published = wb->durable = t->number;
                wb->budget = wb->frees_budget = (struct wb_load){ 0 };
                wb->batches = b.number;
        }
        pthread_cond_broadcast(&wb->batch_done);
        if (wb->committer_idle && sleep_ns(wb) != UINT64_MAX)
                pthread_cond_signal(&wb->committer_wake);
        return r < 0 ? r : 1;
}

int wb_flush(struct wb_store *wb, uint64_t target)
{
        /* A batch is everybody's: it must not end with the deadline of one. */
        bool ask = deadline_is_set() && wb->below->limits.remote;
        int r = 0;

        pthread_mutex_lock(&wb->lock);
        while (wb->durable < target && r >= 0) {
                if (wb->error == -ERR_FENCED)
                        r = wb->error;
                else if (wb->batch_running)
                        r = wb_wait_batch(wb);
                else if (ask)
                        r = wb->error < 0 ? wb->error : batch_ask(wb);
                else
                        r = batch_run_locked(wb);
        }
        pthread_mutex_unlock(&wb->lock);
        return r < 0 ? r : 0;
}

static void wait_ns(struct wb_store *wb, uint64_t ns)
{
        struct timespec until;

        clock_gettime(CLOCK_MONOTONIC, &until);
        ns += (uint64_t)until.tv_nsec;
        until.tv_sec += (time_t)(ns / 1000000000);
        until.tv_nsec = (long)(ns % 1000000000);
        pthread_cond_timedwait(&wb->committer_wake, &wb->lock, &until);
}

void *wb_committer(void *arg)
{
        struct wb_store *wb = arg;

        pthread_mutex_lock(&wb->lock);
        while (!wb->stopping) {
                uint64_t ns = sleep_ns(wb);

                if (ns == UINT64_MAX) {
                        wb->committer_idle = true;
                        pthread_cond_wait(&wb->committer_wake, &wb->lock);
                        wb->committer_idle = false;
                } else if (ns > 0) {
                        wait_ns(wb, ns);
                } else {
                        batch_run_locked(wb);
                }
        }
        pthread_mutex_unlock(&wb->lock);
        return NULL;
}

/* Transactions: begin takes the view and the snapshot below as a pair, writes go into the active table under a
 * number that nobody sees yet, commit publishes the number. */
#include "internal.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

/* How much room below is asked for at once: fallocate and statvfs are not for each transaction. */
#define BUDGET_STEP ((uint64_t)16 << 20)

static uint64_t now_ns(void)
{
        return clock_system.monotonic_ns(&clock_system);
}

/* ---- begin and end ------------------------------------------------------------------------------- */

/* Whether T may come in although batches fail: what frees room may, when room is what is missing. */
static bool passes_error(const struct wb_store *wb, unsigned flags)
{
        return wb->error >= 0 || (wb->error == -ENOSPC && (flags & KV_RESERVE));
}

/* Waits while memory is full; gives the error that keeps it full. Lock held. */
static int wait_for_memory(struct wb_store *wb, unsigned flags)
{
        while (wb->memory_used > wb->memory_bytes) {
                if (wb->error < 0 && passes_error(wb, flags) && wb->memory_used < 2 * wb->memory_bytes)
                        return 0;
                if (wb->error < 0)
                        return wb->error;
                wb->batch_wanted = true;
                pthread_cond_signal(&wb->committer_wake);
                pthread_cond_wait(&wb->batch_done, &wb->lock);
        }
        return 0;
}

static struct wb_txn *txn_take(struct wb_store *wb)
{
        struct wb_txn *t = wb->free_txns;

        if (t)
                wb->free_txns = t->next;
        else
                t = calloc(1, sizeof(*t));
        return t;
}

static void txn_link(struct wb_store *wb, struct wb_txn *t)
{
        t->next = NULL;
        t->prev = wb->newest;
        if (wb->newest)
                wb->newest->next = t;
        else
                wb->oldest = t;
        wb->newest = t;
}

static void txn_unlink(struct wb_store *wb, struct wb_txn *t)
{
        if (t->prev)
                t->prev->next = t->next;
        else
                wb->oldest = t->next;
        if (t->next)
                t->next->prev = t->prev;
        else
                wb->newest = t->prev;
}

int wb_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret)
{
        struct wb_store *wb = wb_of(s);
        bool write = flags & KV_WRITE;
        struct wb_txn *t;
        int r = 0;

        if (write)
                pthread_mutex_lock(&wb->writer);
        pthread_mutex_lock(&wb->lock);
        if (write && wb->memory_used > wb->memory_bytes) {
                /* The batch that makes room may have to freeze, which takes the writer's lock: wait
                 * without it. */
                pthread_mutex_unlock(&wb->writer);
                r = wait_for_memory(wb, flags);
                pthread_mutex_unlock(&wb->lock);
                if (r < 0)
                        return r;
                pthread_mutex_lock(&wb->writer);
                pthread_mutex_lock(&wb->lock);
        }
        t = txn_take(wb);
        if (!t) {
                r = -ENOMEM;
                goto fail;
        }
        /* Both under the lock: no table is frozen or dropped in between. A batch that commits below
         * meanwhile does no harm, since its tables are still in this view. */
        r = kv_begin(wb->below, KV_READ, &t->below);
        if (r < 0)
                goto fail;
        t->view = wb->view;
        t->view->refs++;
        t->number = wb->published + write;
        t->oldest_reader = wb->oldest ? wb->oldest->number : wb->published;
        if (t->oldest_reader > wb->published)
                t->oldest_reader = wb->published;
        txn_link(wb, t);
        pthread_mutex_unlock(&wb->lock);
        *ret = &t->base;
        return 0;

fail:
        if (t) {
                t->next = wb->free_txns;
                wb->free_txns = t;
        }
        pthread_mutex_unlock(&wb->lock);
        if (write)
                pthread_mutex_unlock(&wb->writer);
        return r;
}

static void undo(struct wb_store *wb, struct wb_txn *t)
{
        for (size_t i = 0; i < wb->touched_n; i++)
                mt_undo(wb_active(t)->mt, wb->touched[i], t->number);
        wb->touched_n = 0;
}

void wb_end(struct kv_txn *base)
{
        struct wb_txn *t = wb_txn_of(base);
        struct wb_store *wb = wb_of(base->store);
        struct wb_table *dead[WB_TABLES_MAX];
        struct kv_txn *below = t->below;
        bool write = base->flags & KV_WRITE;
        bool watching = atomic_load_explicit(&wb->watch_count, memory_order_relaxed) > 0;
        int n;

        if (write) {
                struct wb_table *active = wb_active(t);
                size_t bytes;

                undo(wb, t); /* nothing, if it was committed */
                bytes = mt_bytes(active->mt);
                pthread_mutex_lock(&wb->lock);
                wb->memory_used += bytes - active->bytes;
                active->bytes = bytes;
        } else {
                pthread_mutex_lock(&wb->lock);
        }
        txn_unlink(wb, t);
        n = wb_view_unref(t->view, dead);
        if (!watching) {
                t->next = wb->free_txns;
                wb->free_txns = t;
        }
        pthread_mutex_unlock(&wb->lock);
        if (write)
                pthread_mutex_unlock(&wb->writer);
        kv_end(below);
        wb_tables_free(wb, dead, n);
        if (watching) {
                wb_watch_settle(wb, t, base->committed);
                pthread_mutex_lock(&wb->lock);
                t->next = wb->free_txns;
                wb->free_txns = t;
                pthread_mutex_unlock(&wb->lock);
        }
}

/* Makes sure that what T wrote will find room below, before it is acknowledged. Lock held. */
static int take_space(struct wb_store *wb, struct wb_txn *t)
{
        uint64_t need = wb->pending + t->base.written_bytes;
        uint64_t ask = need + BUDGET_STEP;
        int r;

        if (need <= wb->budget || (t->base.flags & KV_RESERVE) || !wb->below->ops->reserve)
                return 0;
        /* The writer's lock keeps `pending` from growing meanwhile. */
        pthread_mutex_unlock(&wb->lock);
        r = wb->below->ops->reserve(wb->below, ask);
        if (r == -ENOSPC) {
                ask = need;
                r = wb->below->ops->reserve(wb->below, ask);
        }
        pthread_mutex_lock(&wb->lock);
        if (r < 0)
                return r;
        wb->budget = ask;
        return 0;
}

int wb_commit(struct kv_txn *base)
{
        struct wb_txn *t = wb_txn_of(base);
        struct wb_store *wb = wb_of(base->store);
        struct wb_table *active = wb_active(t);
        int r;

        if (!(base->flags & KV_WRITE) || wb->touched_n == 0)
                return 0;
        pthread_mutex_lock(&wb->lock);
        r = passes_error(wb, base->flags) ? take_space(wb, t) : wb->error;
        if (r < 0) {
                pthread_mutex_unlock(&wb->lock);
                return r;
        }
        wb->published = t->number;
        active->payload += base->written_bytes;
        wb->pending += base->written_bytes;
        if (wb->active_since_ns == 0) {
                wb->active_since_ns = now_ns();
                pthread_cond_signal(&wb->committer_wake);
        }
        if (active->bytes >= wb->batch_bytes && !wb->batch_wanted) {
                wb->batch_wanted = true;
                pthread_cond_signal(&wb->committer_wake);
        }
        pthread_mutex_unlock(&wb->lock);
        if (atomic_load_explicit(&wb->watch_count, memory_order_relaxed) > 0)
                wb_watch_touched(wb);
        wb->touched_n = 0;
        return 0;
}

/* ---- reads --------------------------------------------------------------------------------------- */

/* Looks KEY up in the tables: 1 and its version, or 0 if the store below decides. */
static int find(const struct wb_txn *t, struct slice key, const struct mt_version **ret)
{
        uint32_t hash = mt_hash(key);

        for (int i = 0; i < t->view->n; i++) {
                const struct mt_entry *e = mt_find(t->view->tables[i]->mt, hash, key);
                const struct mt_version *v = e ? mt_visible(e, t->number) : NULL;

                if (v) {
                        *ret = v;
                        return 1;
                }
        }
        return 0;
}

/* In r->flags: the tables had the answer, nothing is in flight below. */
#define READ_DONE (1u << 31)

void wb_get_start(struct kv_txn *base, struct kv_read *r)
{
        struct wb_txn *t = wb_txn_of(base);
        const struct mt_version *v;

        if (find(t, r->key, &v)) {
                r->flags |= READ_DONE;
                r->err = v->cleared ? -ENOENT : 0;
                r->value = slice_of(v->data, v->len);
                return;
        }
        t->below->store->ops->get_start(t->below, r);
}

void wb_get_wait(struct kv_txn *base, struct kv_read *r)
{
        struct wb_txn *t = wb_txn_of(base);

        if (!(r->flags & READ_DONE) && t->below->store->ops->get_wait)
                t->below->store->ops->get_wait(t->below, r);
}

/* ---- writes -------------------------------------------------------------------------------------- */

/* A new version of KEY for this transaction. */
static int push(struct kv_txn *base, struct slice key, size_t len, bool cleared, void **ret)
{
        struct wb_txn *t = wb_txn_of(base);
        struct wb_store *wb = wb_of(base->store);
        struct memtable *mt = wb_active(t)->mt;
        struct mt_entry *e;
        struct mt_version *v;

        if (wb->touched_n == wb->touched_cap) {
                size_t cap = wb->touched_cap ? 2 * wb->touched_cap : 64;
                struct mt_entry **p = reallocarray(wb->touched, cap, sizeof(*p));

                if (!p)
                        return -ENOMEM;
                wb->touched = p;
                wb->touched_cap = cap;
        }
        e = mt_insert(mt, mt_hash(key), key);
        if (!e)
                return -ENOMEM;
        v = mt_push(mt, e, t->number, t->oldest_reader, len, cleared);
        if (!v)
                return -ENOMEM;
        wb->touched[wb->touched_n++] = e;
        if (ret)
                *ret = v->data;
        return 0;
}

int wb_set(struct kv_txn *t, struct slice key, struct slice value)
{
        void *data;
        int r = push(t, key, value.len, false, &data);

        if (r >= 0 && value.len > 0)
                memmove(data, value.data, value.len);
        return r;
}

int wb_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret)
{
        return push(t, key, len, false, ret);
}

int wb_clear(struct kv_txn *t, struct slice key)
{
        return push(t, key, 0, true, NULL);
}

/* Clears key by key what exists: the tables need no notion of a cleared range then. */
int wb_clear_range(struct kv_txn *t, struct slice begin, struct slice end)
{
        struct kv_range range = { .txn = t, .opts = { .begin = begin, .end = end } };
        struct slice key, value;
        int r;

        wb_range_start(t, &range);
        while ((r = wb_range_next(&range, &key, &value)) > 0) {
                r = wb_clear(t, key);
                if (r < 0)
                        break;
        }
        wb_range_end(&range);
        return r;
}

int wb_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand)
{
        struct kv_read read = { .key = key };
        struct slice old = { 0 };
        uint8_t small[64], *large = NULL, *out = small;
        size_t len;
        int r;

        wb_get_start(t, &read);
        wb_get_wait(t, &read);
        if (read.err < 0 && read.err != -ENOENT)
                return read.err;
        if (read.err == 0)
                old = read.value.data ? read.value : slice_of("", 0);
        len = old.len > operand.len ? old.len : operand.len;
        if (len > sizeof(small)) {
                out = large = malloc(len);
                if (!large)
                        return -ENOMEM;
        }
        r = wb_set(t, key, slice_of(out, kv_atomic_apply(op, old, operand, out)));
        free(large);
        return r;
}

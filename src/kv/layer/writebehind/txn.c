/* SPDX-License-Identifier: MIT */
/* Transactions: begin takes the view and the snapshot below as a pair, writes go into the active table
 * under a number that nobody sees yet, commit publishes the number. */
#include "kv/layer/writebehind/lookup.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

/* Values below this many bytes are not worth patching. */
#define WB_PATCHED_MIN 2048u

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

/* What is held in memory, and what the next batches will take below, are both bounded: a store may keep
 * a whole transaction in memory too. */
static bool is_full(const struct wb_store *wb)
{
        return wb->memory_used > wb->memory_bytes || wb->pending.bytes > wb->pending_max ||
               wb->view->tables[0]->load.bytes > wb->table_load;
}

/* Whether a writer waits before it begins: in a store that is nearly full also until what is pending is
 * written down (room.c). */
static bool must_wait(const struct wb_store *wb)
{
        return is_full(wb) || wb->durable < wb->drain;
}

/* Waits while it must; gives the error that prevents the end of that. Lock held. */
static int wait_for_batch(struct wb_store *wb, unsigned flags)
{
        const struct wb_view *asked = NULL;
        int r;

        while (must_wait(wb)) {
                if (wb->error < 0 && passes_error(wb, flags) && wb->memory_used < 2 * wb->memory_bytes &&
                    wb->view->tables[0]->load.bytes <= wb->table_load / 4 * 5)
                        return 0;
                if (wb->error < 0)
                        return wb->error;
                /* Once for each state of the tables: if a batch has nothing to write, a reader still holds
                 * what was written, and another batch would not change that. */
                if (wb->view != asked) {
                        asked = wb->view;
                        wb->batch_wanted = true;
                        pthread_cond_signal(&wb->committer_wake);
                }
                r = wb_wait_batch(wb);
                if (r < 0)
                        return r;
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

/* A snapshot of the store below, and the lock: no batch retires in between, so that the view of now and the
 * snapshot are a pair. (What a batch wrote below meanwhile is still in the view's tables, too.) The snapshot
 * is not taken under the lock: below may have to wait for readers to end, who need the lock for that. */
static int snapshot_and_lock(struct wb_store *wb, struct kv_txn **ret)
{
        for (;;) {
                uint64_t batches = wb->batches;
                int r = kv_begin(wb->below, KV_READ | KV_RECENT, ret);

                if (r < 0)
                        return r;
                pthread_mutex_lock(&wb->lock);
                if (wb->batches == batches)
                        return 0;
                pthread_mutex_unlock(&wb->lock);
                kv_end(*ret);
        }
}

/* The writer's lock, when there is room for what a writer brings. */
static int lock_writer(struct wb_store *wb, unsigned flags)
{
        int r = 0;

        pthread_mutex_lock(&wb->writer);
        pthread_mutex_lock(&wb->lock);
        if (must_wait(wb)) {
                /* The batch that makes room may have to freeze, which takes the writer's lock: wait
                 * without it. */
                pthread_mutex_unlock(&wb->writer);
                r = wait_for_batch(wb, flags);
                pthread_mutex_unlock(&wb->lock);
                if (r >= 0)
                        pthread_mutex_lock(&wb->writer);
                return r;
        }
        pthread_mutex_unlock(&wb->lock);
        return 0;
}

int wb_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret)
{
        struct wb_store *wb = wb_of(s);
        bool write = flags & KV_WRITE;
        struct kv_txn *below;
        struct wb_txn *t;
        int r = write ? lock_writer(wb, flags) : 0;

        if (r < 0)
                return r;
        r = snapshot_and_lock(wb, &below);
        if (r < 0)
                goto fail;
        t = txn_take(wb);
        if (!t) {
                pthread_mutex_unlock(&wb->lock);
                kv_end(below);
                r = -ENOMEM;
                goto fail;
        }
        t->below = below;
        t->view = wb->view;
        t->view->refs++;
        t->number = wb->published + write;
        t->durable = wb->durable;
        t->load = (struct wb_load){ 0 };
        t->committed = false;
        t->oldest_reader = wb->oldest ? wb->oldest->number : wb->published;
        if (t->oldest_reader > wb->published)
                t->oldest_reader = wb->published;
        txn_link(wb, t);
        pthread_mutex_unlock(&wb->lock);
        *ret = &t->base;
        return 0;

fail:
        if (write)
                pthread_mutex_unlock(&wb->writer);
        return r;
}

static void scratch_free(struct wb_scratch *s)
{
        while (s) {
                struct wb_scratch *next = s->next;

                free(s);
                s = next;
        }
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
        struct wb_scratch *scratch = t->scratch;
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
        t->scratch = NULL;
        n = wb_view_unref(t->view, dead);
        if (!watching) {
                t->next = wb->free_txns;
                wb->free_txns = t;
        }
        pthread_mutex_unlock(&wb->lock);
        if (write)
                pthread_mutex_unlock(&wb->writer);
        kv_end(below);
        scratch_free(scratch);
        wb_tables_free(wb, dead, n);
        if (watching) {
                wb_watch_settle(wb, t, t->committed);
                pthread_mutex_lock(&wb->lock);
                t->next = wb->free_txns;
                wb->free_txns = t;
                pthread_mutex_unlock(&wb->lock);
        }
}

static void publish(struct wb_store *wb, struct wb_txn *t)
{
        struct wb_table *active = wb_active(t);

        wb->published = t->number;
        wb_load_add(&active->load, &t->load);
        wb_load_add(&wb->pending, &t->load);
        if (wb->active_since_ns == 0) {
                wb->active_since_ns = now_ns();
                /* One that sleeps for a time looks soon enough by itself: an fsync after each write does
                 * not wake it each time. */
                if (wb->committer_idle)
                        pthread_cond_signal(&wb->committer_wake);
        }
        if ((active->bytes >= wb->batch_bytes || active->load.bytes >= wb->batch_load) && !wb->batch_wanted) {
                wb->batch_wanted = true;
                pthread_cond_signal(&wb->committer_wake);
        }
}

int wb_commit(struct kv_txn *base)
{
        struct wb_txn *t = wb_txn_of(base);
        struct wb_store *wb = wb_of(base->store);
        int r;

        if (!(base->flags & KV_WRITE) || wb->touched_n == 0) {
                t->committed = true;
                return 0;
        }
        if (t->load.bytes > base->store->limits.txn_bytes)
                return -E2BIG;
        pthread_mutex_lock(&wb->lock);
        r = passes_error(wb, base->flags) ? wb_room_take(wb, t) : wb->error;
        if (r == 0)
                publish(wb, t);
        pthread_mutex_unlock(&wb->lock);
        if (r < 0)
                return r;
        t->committed = true;
        if (atomic_load_explicit(&wb->watch_count, memory_order_relaxed) > 0)
                wb_watch_touched(wb);
        wb->touched_n = 0;
        return 0;
}

/* ---- reads --------------------------------------------------------------------------------------- */

/* In r->flags: the tables had the answer, nothing is in flight below. */
#define READ_DONE (1u << 31)

/* Memory that lives until T ends. */
static void *txn_alloc(struct wb_txn *t, size_t size)
{
        struct wb_scratch *s = malloc(sizeof(*s) + size);

        if (!s)
                return NULL;
        s->next = t->scratch;
        t->scratch = s;
        return s->data;
}

/* Completes a read of a value that has patches; r->err and r->value are those of the store below, unless
 * the tables have the base. */
static void read_compose(struct wb_txn *t, const struct wb_lookup *l, struct kv_read *r)
{
        struct slice base = r->err == 0 && !l->base ? r->value : slice_of(NULL, 0);
        size_t len = wb_patched_len(l);
        uint8_t *out;

        if (!l->base && r->err < 0 && r->err != -ENOENT)
                return;
        r->err = 0;
        if (r->flags & KV_LENGTH) {
                r->value = slice_of(NULL, len);
                return;
        }
        out = txn_alloc(t, len);
        if (!out) {
                r->err = -ENOMEM;
                return;
        }
        wb_compose(l, base, out);
        r->value = slice_of(out, len);
}

void wb_get_start(struct kv_txn *base, struct kv_read *r)
{
        struct wb_txn *t = wb_txn_of(base);
        struct wb_lookup l;

        if (wb_lookup(t->view->tables, t->view->n, t->number, r->key, &l)) {
                if (l.n == 0) {
                        r->flags |= READ_DONE;
                        r->err = l.base->cleared ? -ENOENT : 0;
                        r->value = slice_of(l.base->data, l.base->len);
                        return;
                }
                if (l.base || (r->flags & KV_LENGTH)) {
                        r->flags |= READ_DONE;
                        r->err = 0;
                        read_compose(t, &l, r);
                        return;
                }
        }
        t->below->store->ops->get_start(t->below, r);
}

void wb_get_wait(struct kv_txn *base, struct kv_read *r)
{
        struct wb_txn *t = wb_txn_of(base);
        struct wb_lookup l;

        if (r->flags & READ_DONE)
                return;
        if (t->below->store->ops->get_wait)
                t->below->store->ops->get_wait(t->below, r);
        if (wb_lookup(t->view->tables, t->view->n, t->number, r->key, &l) && l.n > 0 && !l.base)
                read_compose(t, &l, r);
}

/* ---- writes -------------------------------------------------------------------------------------- */

/* The entry of KEY in the active table, noted as touched, to be cleared or set. */
static int touch(struct kv_txn *base, struct slice key, bool cleared, struct mt_entry **ret)
{
        struct wb_store *wb = wb_of(base->store);
        struct wb_txn *t = wb_txn_of(base);
        const struct mt_version *head;
        struct mt_entry *e;

        if (wb->touched_n == wb->touched_cap) {
                size_t cap = wb->touched_cap ? 2 * wb->touched_cap : 64;
                struct mt_entry **p = reallocarray(wb->touched, cap, sizeof(*p));

                if (!p)
                        return -ENOMEM;
                wb->touched = p;
                wb->touched_cap = cap;
        }
        e = mt_insert(wb_active(t)->mt, mt_hash(key), key);
        if (!e)
                return -ENOMEM;
        head = atomic_load_explicit(&e->head, memory_order_relaxed);
        if (!head || head->number <= t->durable) {
                t->load.keys++;
                t->load.sets += !cleared;
                t->load.bytes += key.len;
        } else {
                t->load.sets += head->cleared && !cleared;
        }
        wb->touched[wb->touched_n++] = e;
        *ret = e;
        return 0;
}

/* A value of TOTAL bytes adds BYTES to what is written below. */
static void load_value(struct wb_txn *t, size_t bytes, size_t total)
{
        t->load.bytes += bytes;
        if (total > t->load.largest)
                t->load.largest = total;
}

/* A new version of KEY for this transaction. */
static int push(struct kv_txn *base, struct slice key, size_t len, bool cleared, void **ret)
{
        struct wb_txn *t = wb_txn_of(base);
        struct mt_version *v;
        struct mt_entry *e;
        int r = touch(base, key, cleared, &e);

        if (r < 0)
                return r;
        v = mt_push(wb_active(t)->mt, e, t->number, t->oldest_reader, len, cleared);
        if (!v)
                return -ENOMEM;
        load_value(t, len, len);
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

/* The value of KEY as a whole, with DATA at AT in it. */
static int set_patched(struct kv_txn *base, struct slice key, size_t total, size_t at, struct slice data)
{
        struct kv_read read = { .key = key };
        void *out;
        size_t old;
        int r;

        wb_get_start(base, &read);
        wb_get_wait(base, &read);
        if (read.err < 0 && read.err != -ENOENT)
                return read.err;
        old = read.err == 0 ? read.value.len : 0;
        /* What was read stays where it is: a new version leaves the older ones alone, and only one that this
         * transaction made itself is written in place. */
        r = push(base, key, total, false, &out);
        if (r < 0)
                return r;
        if (old > 0 && out != read.value.data)
                memcpy(out, read.value.data, old);
        memset((uint8_t *)out + old, 0, total - old);
        memcpy((uint8_t *)out + at, data.data, data.len);
        return 0;
}

/* Whether a value of TOTAL bytes is better written as a whole than patched once more on top of HEAD. */
static bool whole_is_better(const struct mt_version *head, uint64_t number, size_t total, size_t len)
{
        if (total < WB_PATCHED_MIN || 2 * len >= total)
                return true;
        if (!head)
                return false;
        if (head->depth == 0)
                return head->number == number; /* in place */
        return head->depth == WB_PATCHES_MAX || 2 * (head->patched + len) >= total;
}

int wb_patch(struct kv_txn *base, struct slice key, size_t at, struct slice data)
{
        struct wb_txn *t = wb_txn_of(base);
        struct kv_read read = { .key = key, .flags = KV_LENGTH };
        size_t old, total;
        struct mt_version *v;
        struct mt_entry *e;
        int r;

        if (data.len == 0)
                data.data = (const uint8_t *)"";
        wb_get_start(base, &read);
        wb_get_wait(base, &read);
        if (read.err < 0 && read.err != -ENOENT)
                return read.err;
        old = read.err == 0 ? read.value.len : 0;
        total = at + data.len > old ? at + data.len : old;
        e = mt_find(wb_active(t)->mt, mt_hash(key), key);
        v = e ? atomic_load_explicit(&e->head, memory_order_relaxed) : NULL;
        if (old == 0 || whole_is_better(v, t->number, total, data.len))
                return set_patched(base, key, total, at, data);
        /* The first change to the key in this table brings the whole value into its batch, later ones what
         * they add to its length. */
        load_value(t, v && v->number > t->durable ? total - old : total, total);
        r = touch(base, key, false, &e);
        if (r < 0)
                return r;
        v = mt_push_patch(wb_active(t)->mt, e, t->number, data.len, at, total);
        if (!v)
                return -ENOMEM;
        memcpy(v->data, data.data, data.len);
        return 0;
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

/* SPDX-License-Identifier: MIT */
/* Batches: freezes the active table and writes the frozen ones below, in order, one batch at a time, each in
 * one transaction. */
#include "kv/layer/writebehind/lookup.h"

#include <assert.h>
#include <stdlib.h>

/* Whether the active table has something committed in it, or much memory in use by values of undone
 * transactions, which stay with the table because a reader may have been passing them. */
static bool is_worth_freezing(const struct wb_store *wb)
{
        return wb->active_since_ns != 0 || wb->view->tables[0]->bytes > wb->batch_bytes / 2;
}

/* Freezes the active table, if it is worth it and the view can list another table. */
static int freeze(struct wb_store *wb)
{
        struct wb_table *dead[WB_TABLES_MAX];
        struct wb_view *v, *old;
        int r, n;
        LOCK_GUARD(&wb->writer);
        LOCK_GUARD(&wb->lock);

        wb->batch_wanted = false;
        if (!is_worth_freezing(wb) || wb->view->n == WB_TABLES_MAX)
                return 0;
        r = wb_view_make_locked(wb, true, 0, &v);
        if (r < 0)
                return r;
        old = wb->view;
        old->tables[0]->last = wb->published;
        wb->view = v;
        wb->active_since_ns = 0;
        n = wb_view_unref_locked(wb, old, dead);
        assert(n == 0); /* the new view lists them all */
        return 0;
}

/* The frozen tables of one batch, newest first. Only the thread that runs batches removes them from the
 * view. */
struct batch {
        struct wb_store *wb;
        int n;
        struct wb_table *tables[WB_TABLES_MAX];
        uint64_t last;    /* its newest transaction */
        uint64_t durable; /* versions up to this one are written already */
        struct wb_load load;
        uint64_t number;
        uint8_t *value;         /* buffer for one value */
        struct list_link bases; /* values read ahead, in order of keys */
};

static void batch_init(struct batch *b, struct wb_store *wb)
{
        *b = (struct batch){ .wb = wb, .durable = wb->durable, .number = wb->batches + 1 };
        list_init(&b->bases);
}

/* Takes the oldest frozen tables, as many as fit into one transaction below. */
static void batch_collect(struct wb_store *wb, struct batch *b)
{
        int first;
        LOCK_GUARD(&wb->lock);

        batch_init(b, wb);
        for (first = wb->view->n; first > 1; first--) {
                const struct wb_load *load = &wb->view->tables[first - 1]->load;

                if (b->load.bytes + load->bytes > wb->batch_bytes_below && first < wb->view->n)
                        break;
                wb_load_add(&b->load, load);
        }
        for (int i = first; i < wb->view->n; i++)
                b->tables[b->n++] = wb->view->tables[i];
        if (b->n > 0)
                b->last = b->tables[0]->last;
}

/* ---- the keys of a batch --------------------------------------------------------------------------- */

/* Visits the keys of all tables of a batch in order. */
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

/* Looks up the newest state of KEY in the batch. False: there is nothing to write. */
static bool find_newest(const struct batch *b, struct slice key, struct wb_lookup *l)
{
        if (!wb_lookup(b->tables, b->n, UINT64_MAX, key, l))
                return false; /* all its transactions were undone */
        return (l->n > 0 ? l->patches[0] : l->base)->number > b->durable;
}

/* ---- values that patches apply to ------------------------------------------------------------------ */

/* A value that only the store below has and that KEY's patches apply to. Where a read costs a round trip, all
 * of them are read together. */
struct base {
        struct list_link link;
        struct slice key;
        struct kv_read read;
        uint8_t *value; /* with the patches applied */
        size_t len;
};

static void base_free(struct base *base)
{
        free(base->value);
        free(base);
}

DEFINE_CLEANUP(struct base, base_free);

static struct base *bases_pop(struct batch *b)
{
        return list_pop(&b->bases, struct base, link);
}

static void bases_free(struct batch *b)
{
        struct base *base;

        while ((base = bases_pop(b)))
                base_free(base);
}

static int bases_start(struct kv_txn *t, struct batch *b)
{
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
                list_append(&b->bases, &base->link);
        }
        return 0;
}

static int bases_read(struct kv_txn *t, struct batch *b)
{
        struct base *base;
        int r = bases_start(t, b);

        if (r < 0)
                return r;
        list_each(base, &b->bases, link) {
                struct slice value = { 0 };
                struct wb_lookup l;

                r = kv_get_wait(t, &base->read, &value);
                if (r < 0 && r != -ENOENT)
                        return r;
                find_newest(b, base->key, &l);
                base->len = wb_patched_len(&l);
                base->value = malloc(base->len + 1);
                if (!base->value)
                        return -ENOMEM;
                wb_compose(&l, value, base->value);
        }
        return 0;
}

/* ---- writing --------------------------------------------------------------------------------------- */

/* Writes the value of KEY that L describes, which has patches. */
static int write_patched(struct kv_txn *t, struct batch *b, struct slice key, const struct wb_lookup *l)
{
        _cleanup_(base_free_ptr) struct base *read_ahead = l->base ? NULL : bases_pop(b);
        struct slice base = { 0 };
        int r;

        if (read_ahead) {
                assert(slice_eq(read_ahead->key, key));
                return kv_set(t, key, slice_of(read_ahead->value, read_ahead->len));
        }
        if (!l->base) {
                r = kv_get(t, key, 0, &base);
                if (r < 0 && r != -ENOENT)
                        return r;
        }
        /* Into a buffer: the slice that was read is not valid after the first write. */
        wb_compose(l, base, b->value);
        return kv_set(t, key, slice_of(b->value, wb_patched_len(l)));
}

static int write_key(struct kv_txn *t, struct batch *b, struct slice key)
{
        struct wb_lookup l;

        if (!find_newest(b, key, &l))
                return 0;
        if (l.n > 0)
                return write_patched(t, b, key, &l);
        return l.base->cleared ? kv_clear(t, key) : kv_set(t, key, slice_of(l.base->data, l.base->len));
}

/* The batch number counts as read as well as written: a commit that takes effect after it was given up
 * conflicts with its retry and with every later batch. */
static int write_number(struct kv_txn *t, const struct batch *b)
{
        struct slice key = slice_of(b->wb->sequence, b->wb->sequence_len);
        uint8_t number[8];
        int r;

        for (int i = 0; i < 8; i++)
                number[i] = (uint8_t)(b->number >> (8 * i));
        r = kv_conflict_key(t, KV_CONFLICT_READ, key);
        return r < 0 ? r : kv_set(t, key, slice_of(number, sizeof(number)));
}

/* Writes the newest version of each key, in order of keys, which B-trees write fastest. */
static int batch_body(struct kv_txn *t, void *arg)
{
        struct batch *b = arg;
        struct slice key;
        struct walk w;
        int r;

        bases_free(b); /* of the previous attempt */
        if (b->wb->below->limits.remote) {
                r = bases_read(t, b);
                if (r < 0)
                        return r;
        }
        for (walk_begin(&w, b); walk_next(&w, &key);) {
                r = write_key(t, b, key);
                if (r < 0)
                        return r;
        }
        return b->wb->sequence ? write_number(t, b) : 0;
}

/* Removes the tables of B, which was written below, from the view. */
static int batch_retire(struct wb_store *wb, const struct batch *b)
{
        struct wb_table *dead[WB_TABLES_MAX];
        struct wb_view *v, *old;
        int r, n;

        lock_acquire(&wb->lock);
        r = wb_view_make_locked(wb, false, b->n, &v);
        if (r < 0) {
                lock_release(&wb->lock);
                return r;
        }
        old = wb->view;
        wb->view = v;
        n = wb_view_unref_locked(wb, old, dead);
        wb->durable = b->last;
        wb->pending.keys -= b->load.keys;
        wb->pending.sets -= b->load.sets;
        wb->pending.bytes -= b->load.bytes;
        if (wb->durable == wb->published)
                wb->pending.largest = 0;
        /* Pending transactions still have their space reserved; how much more there is, only the store below
         * knows. */
        wb->budget = wb->frees_budget = (struct wb_load){ 0 };
        wb->batches = b->number;
        lock_release(&wb->lock);
        wb_tables_free(wb, dead, n);
        return 0;
}

static int batch_write(struct wb_store *wb, struct batch *b)
{
        _cleanup_free_ uint8_t *value = malloc(wb->base.limits.value_bytes);
        int r;

        if (!value)
                return -ENOMEM;
        b->value = value;
        /* Idempotent: it sets and clears keys that no other process writes, and the next batch waits for
         * it. */
        r = kv_run(wb->below, KV_WRITE | KV_IDEMPOTENT | KV_RESERVE | KV_RECENT, batch_body, b);
        bases_free(b);
        return r;
}

static int batch_run(struct wb_store *wb)
{
        struct batch b;
        int r = freeze(wb);

        if (r < 0)
                return r;
        batch_collect(wb, &b);
        if (b.n == 0)
                return 0;
        r = batch_write(wb, &b);
        return r < 0 ? r : batch_retire(wb, &b);
}

int wb_batch_run_locked(struct wb_store *wb)
{
        int r;

        lock_assert_held(&wb->lock);
        assert(!wb->batch_running);
        wb->batch_running = true;
        lock_release(&wb->lock);
        r = batch_run(wb);
        lock_acquire(&wb->lock);
        wb->batch_running = false;
        return r;
}

int wb_write_through_locked(struct wb_store *wb, struct wb_txn *t)
{
        struct batch b;
        int r;

        lock_assert_held(&wb->lock);
        assert(!wb->batch_running && wb->durable == wb->published);
        batch_init(&b, wb);
        b.n = 1;
        b.tables[0] = wb_active(t);
        wb->batch_running = wb->writing_through = true;
        lock_release(&wb->lock);
        r = batch_write(wb, &b);
        lock_acquire(&wb->lock);
        wb->batch_running = wb->writing_through = false;
        if (r >= 0) {
                /* It stays in the table, whose batch will skip it because it is durable. */
                wb->published = wb->durable = t->number;
                wb->budget = wb->frees_budget = (struct wb_load){ 0 };
                wb->batches = b.number;
        }
        waitlist_wake_all(&wb->batch_done);
        wb_committer_notify_locked(wb);
        return r < 0 ? r : 1;
}

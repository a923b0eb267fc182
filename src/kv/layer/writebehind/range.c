/* SPDX-License-Identifier: MIT */
/* Range reads: a merge of the view's tables and the store below. Of equal keys the newest source wins. */
#include "kv/layer/writebehind/internal.h"

#include <stdlib.h>

struct wb_range {
        struct kv_range below;
        int below_state; /* 1: KEY and VALUE are next, 2: they were returned, 0: end, negative: error */
        struct slice key, value; /* of the store below */
        int n;
        struct mt_entry *at[WB_TABLES_MAX]; /* in each table; NULL: at its end */
};

/* The entry after E in the direction of R and within its bounds, or NULL. */
static struct mt_entry *bounded(const struct kv_range *r, struct mt_entry *e)
{
        if (!e)
                return NULL;
        if (r->opts.reverse)
                return slice_cmp(mt_key(e), r->opts.begin) >= 0 ? e : NULL;
        return slice_cmp(mt_key(e), r->opts.end) < 0 ? e : NULL;
}

static struct mt_entry *table_first(const struct kv_range *r, const struct memtable *mt)
{
        return bounded(r, r->opts.reverse ? mt_seek_lt(mt, r->opts.end) : mt_seek_ge(mt, r->opts.begin));
}

static struct mt_entry *table_next(const struct kv_range *r, const struct memtable *mt,
                                   const struct mt_entry *e)
{
        return bounded(r, r->opts.reverse ? mt_seek_lt(mt, mt_key(e)) : mt_next(e));
}

static void below_next(struct wb_range *w)
{
        w->below_state = kv_range_next(&w->below, &w->key, &w->value);
}

void wb_range_start(struct kv_txn *base, struct kv_range *r)
{
        struct wb_txn *t = wb_txn_of(base);
        struct kv_range_opts opts = r->opts;
        struct wb_range *w = t->range;

        t->range = NULL;
        if (!w)
                w = malloc(sizeof(*w));
        if (!w) {
                r->err = -ENOMEM;
                return;
        }
        r->priv = w;
        w->n = t->view->n;
        /* Keys below may be cleared above, so the limit does not apply there. */
        opts.limit = 0;
        kv_range_start(t->below, &w->below, &opts);
        below_next(w);
        for (int i = 0; i < w->n; i++)
                w->at[i] = table_first(r, t->view->tables[i]->mt);
}

/* The source that has the next key: the table's index, n for the store below, -1 at the end. */
static int next_source(const struct kv_range *r, const struct wb_range *w)
{
        struct slice best = { 0 };
        int source = -1;

        for (int i = 0; i < w->n; i++) {
                int c;

                if (!w->at[i])
                        continue;
                c = source < 0 ? -1 : slice_cmp(mt_key(w->at[i]), best);
                if (source < 0 || (r->opts.reverse ? c > 0 : c < 0)) {
                        source = i;
                        best = mt_key(w->at[i]);
                }
        }
        if (w->below_state > 0) {
                int c = source < 0 ? -1 : slice_cmp(w->key, best);

                if (source < 0 || (r->opts.reverse ? c > 0 : c < 0))
                        source = w->n;
        }
        return source;
}

/* Moves all sources that are older than table SOURCE past its key. */
static void skip_older(const struct kv_range *r, struct wb_range *w, int source)
{
        struct wb_txn *t = wb_txn_of(r->txn);
        struct slice key = mt_key(w->at[source]);

        for (int i = source + 1; i < w->n; i++)
                if (w->at[i] && slice_eq(mt_key(w->at[i]), key))
                        w->at[i] = table_next(r, t->view->tables[i]->mt, w->at[i]);
        if (w->below_state > 0 && slice_eq(w->key, key))
                below_next(w);
}

static int read_patched(struct kv_txn *t, struct slice key, struct slice *ret)
{
        struct kv_read read = wb_get(t, key, 0);

        if (read.err < 0)
                return read.err;
        *ret = read.value;
        return 1;
}

int wb_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value)
{
        struct wb_txn *t = wb_txn_of(r->txn);
        struct wb_range *w = r->priv;

        if (r->err < 0)
                return r->err;
        /* Only now: the key that was returned from below was to be valid until this call. */
        if (w->below_state == 2)
                below_next(w);
        for (;;) {
                const struct mt_version *v;
                struct mt_entry *e;
                int source;

                if (w->below_state < 0)
                        return r->err = w->below_state;
                source = next_source(r, w);
                if (source < 0)
                        return 0;
                if (source == w->n) {
                        *ret_key = w->key;
                        *ret_value = w->value;
                        w->below_state = 2;
                        return 1;
                }
                e = w->at[source];
                v = mt_visible(e, t->number);
                if (v)
                        skip_older(r, w, source);
                w->at[source] = table_next(r, t->view->tables[source]->mt, e);
                if (!v || v->cleared)
                        continue;
                *ret_key = mt_key(e);
                if (v->depth > 0)
                        return read_patched(r->txn, *ret_key, ret_value);
                *ret_value = slice_of(v->data, v->len);
                return 1;
        }
}

void wb_range_end(struct kv_range *r)
{
        struct wb_txn *t = wb_txn_of(r->txn);
        struct wb_range *w = r->priv;

        if (!w)
                return;
        kv_range_end(&w->below);
        if (t->range)
                free(w);
        else
                t->range = w;
}

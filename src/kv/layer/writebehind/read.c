/* SPDX-License-Identifier: MIT */
/* Point reads: from the tables of the transaction's view, or from its snapshot below, or both if a value has
 * patches. */
#include "kv/layer/writebehind/lookup.h"

#include <stdlib.h>

/* In r->flags: the tables answered the read, nothing is in flight below. */
#define READ_DONE (1u << 31)

/* Allocates memory that is freed when T ends. */
static void *txn_alloc(struct wb_txn *t, size_t size)
{
        struct wb_scratch *s = malloc(sizeof(*s) + size);

        if (!s)
                return NULL;
        s->next = t->scratch;
        t->scratch = s;
        return s->data;
}

/* Completes a read of a value that has patches. r->err and r->value are those of the store below, unless the
 * tables have the value that the patches apply to. */
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

struct kv_read wb_get(struct kv_txn *t, struct slice key, unsigned flags)
{
        struct kv_read read = { .key = key, .flags = flags };

        wb_get_start(t, &read);
        wb_get_wait(t, &read);
        return read;
}

/* SPDX-License-Identifier: MIT */
/* Reads: the store at the transaction's version, with the transaction's own writes on top. */
#include "kv/testing/mem/mem_store.h"

#include <errno.h>
#include <stdlib.h>

static const struct mem_version *present(const struct mem_version *m)
{
        return m && !m->absent ? m : NULL;
}

/* The transaction's own value of E, whose operations, if any, apply to BASE. */
static int see_own(struct mem_entry *e, const struct mem_version *base, const struct mem_version **ret)
{
        if (e->ops && !e->newest) {
                int r = mem_entry_fold(e, base);

                if (r < 0)
                        return r;
        }
        *ret = present(e->newest);
        return 0;
}

int mem_see(struct mem_txn *t, struct slice key, bool snapshot, const struct mem_version **ret)
{
        struct mem_entry *own = mem_writes_find(&t->writes, key);
        const struct mem_version *base;

        if (own ? !own->ops : mem_writes_cleared(&t->writes, key)) {
                /* Others cannot change what the transaction itself wrote: no conflict. */
                *ret = own ? present(own->newest) : NULL;
                return 0;
        }
        if (t->may_write && !snapshot && mem_span_add_key(&t->read, key) < 0)
                return -ENOMEM;
        /* A version that this transaction sees is neither changed nor freed before it ends, so it can be used
         * without the lock. */
        lock_acquire(&t->store->lock);
        base = mem_versions_at(&t->store->versions, key, t->sees);
        lock_release(&t->store->lock);
        if (own)
                return see_own(own, base, ret);
        *ret = base;
        return 0;
}

void mem_get_start(struct kv_txn *txn, struct kv_read *r)
{
        struct mem_txn *t = (struct mem_txn *)txn;
        const struct mem_version *m = NULL;

        r->err = mem_check_age(t);
        if (r->err == 0)
                r->err = mem_see(t, r->key, r->flags & KV_SNAPSHOT, &m);
        if (r->err == 0 && !m)
                r->err = -ENOENT;
        if (m)
                r->value = slice_of(m->data, m->len);
}

/* A range read merges two sequences: entries of the store and the transaction's own, which hide them.
 * Between calls the store's candidate is one that the transaction sees, so that it stays in place. */
struct cursor {
        struct mem_node *stored, *own; /* candidates; NULL: no more */
        bool begun;
        bool used; /* the store's candidate was returned: the next call moves on from it */
        bool ended;
        struct slice last; /* the key last returned */
};

void mem_range_start(struct kv_txn *t, struct kv_range *r)
{
        r->priv = calloc(1, sizeof(struct cursor));
        if (!r->priv)
                r->err = -ENOMEM;
}

/* N, or NULL if it is beyond the range. */
static struct mem_node *inside(const struct kv_range *r, struct mem_node *n)
{
        if (!n)
                return NULL;
        if (r->opts.reverse)
                return slice_cmp(n->key, r->opts.begin) >= 0 ? n : NULL;
        return slice_cmp(n->key, r->opts.end) < 0 ? n : NULL;
}

static struct mem_node *first_inside(const struct kv_range *r, const struct mem_tree *tree)
{
        return inside(r, r->opts.reverse ? mem_tree_before(tree, r->opts.end)
                                         : mem_tree_at_or_after(tree, r->opts.begin));
}

static struct mem_node *next_inside(const struct kv_range *r, const struct mem_node *n)
{
        return inside(r, r->opts.reverse ? mem_tree_prev(n) : mem_tree_next(n));
}

/* N, or the first after it that the transaction sees. */
static struct mem_node *skip_unseen(const struct mem_txn *t, const struct kv_range *r, struct mem_node *n)
{
        while (n && !mem_entry_at(mem_entry_of(n), t->sees))
                n = next_inside(r, n);
        return n;
}

/* Updates both candidates. */
static void advance_locked(const struct mem_txn *t, const struct kv_range *r, struct cursor *c)
{
        lock_assert_held(&t->store->lock);
        if (!c->begun) {
                c->stored = skip_unseen(t, r, first_inside(r, &t->store->versions.entries));
                c->own = first_inside(r, &t->writes.entries);
                c->begun = true;
        } else if (c->used) {
                c->stored = skip_unseen(t, r, next_inside(r, c->stored));
        }
        c->used = false;
}

/* Which candidate comes first: <0 the store's, >0 the transaction's, 0 both have the same key. */
static int first_of(const struct kv_range *r, const struct cursor *c)
{
        int order;

        if (!c->stored || !c->own)
                return c->stored ? -1 : 1;
        order = slice_cmp(c->stored->key, c->own->key);
        return r->opts.reverse ? -order : order;
}

/* Takes the next candidate; *RET is NULL if the transaction does not see it. */
static int take_locked(const struct mem_txn *t, const struct kv_range *r, struct cursor *c,
                       const struct mem_version **ret)
{
        const struct mem_version *base = NULL;
        struct mem_node *own;
        int order = first_of(r, c);

        lock_assert_held(&t->store->lock);
        if (order <= 0) {
                base = mem_entry_at(mem_entry_of(c->stored), t->sees);
                c->last = c->stored->key;
                c->used = true;
        }
        if (order < 0) {
                *ret = mem_writes_cleared(&t->writes, c->last) ? NULL : base;
                return 0;
        }
        own = c->own;
        c->last = own->key;
        c->own = next_inside(r, own);
        return see_own(mem_entry_of(own), base, ret);
}

int mem_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value)
{
        struct mem_txn *t = (struct mem_txn *)r->txn;
        struct cursor *c = r->priv;
        const struct mem_version *m = NULL;
        int err = r->err < 0 ? r->err : mem_check_age(t);

        if (err < 0)
                return err;
        lock_acquire(&t->store->lock);
        do {
                advance_locked(t, r, c);
                c->ended = !c->stored && !c->own;
                if (!c->ended)
                        err = take_locked(t, r, c, &m);
        } while (err == 0 && !m && !c->ended);
        lock_release(&t->store->lock);
        if (err < 0) {
                r->err = err;
                return err;
        }
        if (!m)
                return 0;
        *ret_key = c->last;
        *ret_value = slice_of(m->data, m->len);
        return 1;
}

/* Records the part of the range that was read. The transaction's own keys in it count as read as well, which
 * FoundationDB leaves out: at worst a spurious conflict. */
static int range_conflict(struct mem_txn *t, const struct kv_range *r, const struct cursor *c)
{
        const struct kv_range_opts *o = &r->opts;
        int err;

        if (c->ended)
                return mem_span_add(&t->read, o->begin, o->end);
        if (r->returned == 0)
                return 0;
        if (o->reverse)
                return mem_span_add(&t->read, c->last, o->end);
        /* Up to and including the last key. */
        err = mem_span_add_key(&t->read, c->last);
        return err < 0 ? err : mem_span_add(&t->read, o->begin, c->last);
}

void mem_range_end(struct kv_range *r)
{
        struct mem_txn *t = (struct mem_txn *)r->txn;
        struct cursor *c = r->priv;

        if (c && t->may_write && !r->opts.snapshot && range_conflict(t, r, c) < 0)
                t->failed = true;
        free(c);
}

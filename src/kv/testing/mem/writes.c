/* SPDX-License-Identifier: MIT */
#include "kv/testing/mem/writes.h"
#include "kv/engine.h"

#include <errno.h>
#include <stdlib.h>

void mem_writes_init(struct mem_writes *w)
{
        mem_tree_init(&w->entries);
        mem_tree_init(&w->cleared);
}

static void release_entry(struct mem_node *n)
{
        mem_entry_free(mem_entry_of(n));
}

static void release_cleared(struct mem_node *n)
{
        free(n);
}

void mem_writes_free(struct mem_writes *w)
{
        mem_tree_empty(&w->entries, release_entry);
        mem_tree_empty(&w->cleared, release_cleared);
}

void mem_ops_free(struct mem_op *op)
{
        while (op) {
                struct mem_op *next = op->next;

                free(op);
                op = next;
        }
}

struct mem_entry *mem_writes_find(const struct mem_writes *w, struct slice key)
{
        return mem_entry_of(mem_tree_find(&w->entries, key));
}

static struct mem_cleared *cleared_of(struct mem_node *n)
{
        return (struct mem_cleared *)n;
}

/* The last cleared range that begins at KEY or before, or NULL. */
static struct mem_cleared *cleared_from(const struct mem_writes *w, struct slice key)
{
        struct mem_node *n = mem_tree_find(&w->cleared, key);

        return cleared_of(n ? n : mem_tree_before(&w->cleared, key));
}

bool mem_writes_cleared(const struct mem_writes *w, struct slice key)
{
        const struct mem_cleared *c = w->cleared.root ? cleared_from(w, key) : NULL;

        return c && slice_cmp(key, c->end) < 0;
}

/* Finds or makes the transaction's own entry for KEY. */
static struct mem_entry *entry_for(struct mem_writes *w, struct slice key)
{
        struct mem_entry *e = mem_writes_find(w, key);

        if (!e) {
                e = mem_entry_new(key);
                if (e)
                        mem_tree_insert(&w->entries, &e->node);
        }
        return e;
}

/* Makes M, and nothing else, the value of E. */
static void replace_value(struct mem_entry *e, struct mem_version *m)
{
        mem_ops_free(e->ops);
        e->ops = NULL;
        free(e->newest);
        e->newest = m;
}

static int put(struct mem_writes *w, struct slice key, struct mem_version *m)
{
        struct mem_entry *e = m ? entry_for(w, key) : NULL;

        if (!e) {
                free(m);
                return -ENOMEM;
        }
        replace_value(e, m);
        return 0;
}

int mem_writes_set(struct mem_writes *w, struct slice key, size_t len, uint8_t **ret)
{
        struct mem_version *m = mem_version_new(len, false);
        int r = put(w, key, m);

        if (r >= 0)
                *ret = m->data;
        return r;
}

int mem_writes_clear(struct mem_writes *w, struct slice key)
{
        return put(w, key, mem_version_new(0, true));
}

static struct mem_cleared *cleared_new(struct slice begin, struct slice end)
{
        struct mem_cleared *c = malloc(sizeof(*c) + begin.len + end.len);

        if (!c)
                return NULL;
        c->node.key = slice_of(c->bytes, begin.len);
        c->end = slice_of(c->bytes + begin.len, end.len);
        if (begin.len > 0)
                memcpy(c->bytes, begin.data, begin.len);
        memcpy(c->bytes + begin.len, end.data, end.len);
        return c;
}

/* Drops the entries in [BEGIN, END). */
static void drop_entries(struct mem_writes *w, struct slice begin, struct slice end)
{
        struct mem_node *n, *next;

        for (n = mem_tree_at_or_after(&w->entries, begin); n && slice_cmp(n->key, end) < 0; n = next) {
                next = mem_tree_next(n);
                mem_tree_remove(&w->entries, n);
                mem_entry_free(mem_entry_of(n));
        }
}

int mem_writes_clear_range(struct mem_writes *w, struct slice begin, struct slice end)
{
        struct mem_cleared *c, *first = cleared_from(w, begin);
        struct slice from = begin, to = end;
        struct mem_node *n, *next;

        /* One range replaces all that it overlaps or touches. */
        if (first && slice_cmp(first->end, begin) >= 0)
                from = first->node.key;
        for (n = mem_tree_at_or_after(&w->cleared, from); n && slice_cmp(n->key, end) <= 0;
             n = mem_tree_next(n))
                if (slice_cmp(cleared_of(n)->end, to) > 0)
                        to = cleared_of(n)->end;
        c = cleared_new(from, to);
        if (!c)
                return -ENOMEM;
        for (n = mem_tree_at_or_after(&w->cleared, c->node.key); n && slice_cmp(n->key, c->end) <= 0;
             n = next) {
                next = mem_tree_next(n);
                mem_tree_remove(&w->cleared, n);
                free(n);
        }
        mem_tree_insert(&w->cleared, &c->node);
        drop_entries(w, begin, end);
        return 0;
}

/* A version with the result of one operation on BASE (NULL: absent). */
static struct mem_version *applied(enum kv_atomic_op op, struct slice operand, const struct mem_version *base)
{
        struct slice old = base ? slice_of(base->data, base->len) : slice_of(NULL, 0);
        struct mem_version *m = mem_version_new(old.len > operand.len ? old.len : operand.len, false);

        if (m)
                m->len = kv_atomic_apply(op, old, operand, m->data);
        return m;
}

/* Adds an operation to those of KEY's entry, whose value depends on the store. */
static int append_op(struct mem_writes *w, enum kv_atomic_op op, struct slice key, struct slice operand)
{
        struct mem_op *o = malloc(sizeof(*o) + operand.len), **last;
        struct mem_entry *e = o ? entry_for(w, key) : NULL;

        if (!e) {
                free(o);
                return -ENOMEM;
        }
        *o = (struct mem_op){ .op = op, .len = operand.len };
        if (operand.len > 0)
                memcpy(o->operand, operand.data, operand.len);
        for (last = &e->ops; *last;)
                last = &(*last)->next;
        *last = o;
        free(e->newest);
        e->newest = NULL;
        return 0;
}

int mem_writes_atomic(struct mem_writes *w, enum kv_atomic_op op, struct slice key, struct slice operand)
{
        const struct mem_entry *e = mem_writes_find(w, key);
        const struct mem_version *base = NULL;

        if (e ? e->ops != NULL : !mem_writes_cleared(w, key))
                return append_op(w, op, key, operand);
        if (e && !e->newest->absent)
                base = e->newest;
        return put(w, key, applied(op, operand, base));
}

int mem_entry_fold(struct mem_entry *e, const struct mem_version *base)
{
        struct mem_version *m = NULL;

        for (const struct mem_op *o = e->ops; o; o = o->next) {
                struct mem_version *next = applied(o->op, slice_of(o->operand, o->len), m ? m : base);

                free(m);
                if (!next)
                        return -ENOMEM;
                m = next;
        }
        free(e->newest);
        e->newest = m;
        return 0;
}

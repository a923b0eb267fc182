/* SPDX-License-Identifier: MIT */
/* Read versions at which transactions can begin. Transactions of the store in memory begin at its newest
 * commit; those at an older version are made by changing its private state. */
#include "internal.h"

#include "base/thread.h"
#include "kv/testing/mem/mem_store.h"

#include <stdlib.h>

#define KEEP_NS (UINT64_C(3) * 1000000000)

static void drop_old_locked(struct cluster *c)
{
        struct anchor *a, *next;

        lock_assert_held(&c->lock);
        if (c->versions_returned++ % 64 != 0)
                return; /* rarely, because there are many */
        list_each_safe(a, next, &c->anchors, link) {
                if (thread_now_ns() - a->since_ns < KEEP_NS)
                        continue;
                list_remove(&a->link);
                kv_end(a->txn);
                free(a);
        }
}

/* Moves T back to what AT sees. The store keeps its running transactions in the order of what they see. */
static void move_back(struct mem_store *s, struct mem_txn *t, struct mem_txn *at)
{
        LOCK_GUARD(&s->lock);
        list_remove(&t->link);
        t->sees = t->since = at->sees;
        list_insert_before(at->link.next, &t->link);
}

static struct kv_txn *begin_like(struct cluster *c, struct kv_txn *at)
{
        struct kv_txn *t;

        /* Always as writers: the store remembers conflicts only for these. */
        if (kv_begin(c->store, KV_WRITE, &t) < 0)
                abort();
        if (at)
                move_back((struct mem_store *)c->store, (struct mem_txn *)t, (struct mem_txn *)at);
        return t;
}

/* The newest anchor at or before VERSION, or the head of the list. */
static struct list_link *find_anchor_locked(struct cluster *c, int64_t version)
{
        struct list_link *l = c->anchors.prev;

        lock_assert_held(&c->lock);
        while (l != &c->anchors && list_entry(l, struct anchor, link)->version > version)
                l = l->prev;
        return l;
}

static struct anchor *anchor_at_locked(struct cluster *c, int64_t version)
{
        struct list_link *l = find_anchor_locked(c, version);
        struct anchor *a = list_entry(l, struct anchor, link);

        return l != &c->anchors && a->version == version ? a : NULL;
}

int64_t version_keep(struct cluster *c, struct kv_txn *at)
{
        struct anchor *a, *known;
        int64_t version;

        LOCK_GUARD(&c->lock);
        a = calloc(1, sizeof(*a));
        a->txn = begin_like(c, at);
        a->version = version = (int64_t)((struct mem_txn *)a->txn)->sees + 1;
        a->since_ns = thread_now_ns();
        known = anchor_at_locked(c, version);
        if (known) {
                known->since_ns = a->since_ns;
                kv_end(a->txn);
                free(a);
        } else {
                list_insert_before(find_anchor_locked(c, version)->next, &a->link);
        }
        drop_old_locked(c);
        return version;
}

struct kv_txn *begin_at(struct cluster *c, int64_t version)
{
        struct anchor *a;

        LOCK_GUARD(&c->lock);
        a = anchor_at_locked(c, version);
        return a ? begin_like(c, a->txn) : NULL;
}

/* SPDX-License-Identifier: MIT */
/* Read versions that can be asked for again. The store in memory begins at its newest commit; an older one is
 * had by looking inside it. */
#include "internal.h"

#include "kv/testing/mem/mem_store.h"

#include <stdlib.h>

#define KEEP_NS (UINT64_C(3) * 1000000000)

/* Lock held. */
static void drop_old(struct cluster *c)
{
        struct anchor **p = &c->anchors;

        if (c->handed_out++ % 64 != 0)
                return; /* there are many */
        while (*p) {
                struct anchor *a = *p;

                if (now_ns() - a->since_ns < KEEP_NS) {
                        p = &a->next;
                        continue;
                }
                *p = a->next;
                kv_end(a->txn);
                free(a);
        }
}

/* Moves T back to what AT sees. The store keeps its running transactions in the order of what they
 * see. */
static void move_back(struct mem_store *s, struct mem_txn *t, struct mem_txn *at)
{
        lock_acquire(&s->lock);
        list_remove(&t->link);
        t->sees = t->since = at->sees;
        list_append(at->link.next, &t->link); /* before the one behind it */
        lock_release(&s->lock);
}

static struct kv_txn *begin_like(struct cluster *c, struct kv_txn *at)
{
        struct kv_txn *t;

        /* As writers, also those that only keep a version: the store remembers for them what conflicts. */
        if (kv_begin(c->store, KV_WRITE, &t) < 0)
                abort();
        if (at)
                move_back((struct mem_store *)c->store, (struct mem_txn *)t, (struct mem_txn *)at);
        return t;
}

int64_t version_keep(struct cluster *c, struct kv_txn *at)
{
        struct anchor *a = calloc(1, sizeof(*a)), **p;
        int64_t version;

        pthread_mutex_lock(&c->lock);
        a->txn = begin_like(c, at);
        a->version = (int64_t)((struct mem_txn *)a->txn)->sees + 1;
        a->since_ns = now_ns();
        for (p = &c->anchors; *p && (*p)->version > a->version; p = &(*p)->next)
                continue;
        if (*p && (*p)->version == a->version) {
                (*p)->since_ns = a->since_ns;
                kv_end(a->txn);
                free(a);
                a = *p;
        } else {
                a->next = *p;
                *p = a;
        }
        version = a->version;
        drop_old(c);
        pthread_mutex_unlock(&c->lock);
        return version;
}

struct kv_txn *begin_at(struct cluster *c, int64_t version)
{
        struct kv_txn *t = NULL;
        struct anchor *a;

        pthread_mutex_lock(&c->lock);
        for (a = c->anchors; a && a->version > version; a = a->next)
                continue;
        if (a && a->version == version)
                t = begin_like(c, a->txn);
        pthread_mutex_unlock(&c->lock);
        return t;
}

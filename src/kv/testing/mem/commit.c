/* SPDX-License-Identifier: MIT */
/* Commit: checks for conflicts, prepares everything that can fail, then writes. */
#include "kv/testing/mem/mem_store.h"

#include <errno.h>

/* The current value of KEY in the store; NULL: absent. */
static const struct mem_version *current(const struct mem_store *s, struct slice key)
{
        return mem_versions_at(&s->versions, key, s->committed);
}

static bool conflicts(const struct mem_txn *t)
{
        /* The history that a blind transaction needs may have been swept since it began: it is not counted
         * among the running ones. */
        if (t->read && t->since < t->store->conflicts.swept)
                return true;
        for (const struct mem_span *s = t->read; s; s = s->next)
                if (mem_conflicts_since(&t->store->conflicts, s, t->since))
                        return true;
        return false;
}

/* Whether the transaction's bytes fit. As on a disk, clearing takes space before it frees some. */
static bool has_space(const struct mem_txn *t)
{
        const struct mem_store *s = t->store;

        return (t->base.flags & KV_RESERVE) || s->versions.live_bytes + t->base.written_bytes <= s->max_bytes;
}

/* Turns the cleared ranges into an entry for each key that the store holds in them. */
static int expand_cleared(struct mem_txn *t)
{
        const struct mem_store *s = t->store;

        for (struct mem_node *c = mem_tree_first(&t->writes.cleared); c; c = mem_tree_next(c)) {
                struct slice end = ((struct mem_cleared *)c)->end;
                struct mem_node *n = mem_tree_at_or_after(&s->versions.entries, c->key);

                for (; n && slice_cmp(n->key, end) < 0; n = mem_tree_next(n)) {
                        if (!mem_entry_at(mem_entry_of(n), s->committed) ||
                            mem_writes_find(&t->writes, n->key))
                                continue;
                        if (mem_writes_clear(&t->writes, n->key) < 0)
                                return -ENOMEM;
                }
        }
        return 0;
}

/* Applies the atomic operations to what the store holds now. */
static int fold_operations(struct mem_txn *t)
{
        for (struct mem_node *n = mem_tree_first(&t->writes.entries); n; n = mem_tree_next(n)) {
                struct mem_entry *e = mem_entry_of(n);

                if (!e->ops)
                        continue;
                if (mem_entry_fold(e, current(t->store, n->key)) < 0)
                        return -ENOMEM;
                mem_ops_free(e->ops);
                e->ops = NULL;
        }
        return 0;
}

/* Adds the keys written to the explicit write conflicts. */
static int collect_written(struct mem_txn *t)
{
        for (struct mem_node *c = mem_tree_first(&t->writes.cleared); c; c = mem_tree_next(c))
                if (mem_span_add(&t->written, c->key, ((struct mem_cleared *)c)->end) < 0)
                        return -ENOMEM;
        for (struct mem_node *n = mem_tree_first(&t->writes.entries); n; n = mem_tree_next(n))
                if (mem_span_add_key(&t->written, n->key) < 0)
                        return -ENOMEM;
        return 0;
}

/* Number of commits since which the history is kept for blind transactions. */
#define HISTORY 1000u

/* Records the keys written, for running writers and for later blind ones. */
static void record_conflicts(struct mem_txn *t)
{
        struct mem_store *s = t->store;
        uint64_t oldest = s->committed > HISTORY ? s->committed - HISTORY : 0;

        if (mem_oldest_seen_locked(s) < oldest)
                oldest = mem_oldest_seen_locked(s);
        for (const struct mem_span *w = t->written; w; w = w->next)
                mem_conflicts_add(&s->conflicts, w, s->committed, oldest);
}

/* Moves the entries into the store. */
static void apply(struct mem_txn *t)
{
        struct mem_store *s = t->store;
        struct mem_node *n, *next;

        for (n = mem_tree_first(&t->writes.entries); n; n = next) {
                struct mem_entry *e = mem_entry_of(n);

                next = mem_tree_next(n);
                mem_tree_remove(&t->writes.entries, n);
                if (s->watches.keys.root)
                        mem_watches_check_locked(&s->watches, n->key, e->newest->absent ? NULL : e->newest);
                if (e->newest->absent && !mem_versions_at(&s->versions, n->key, s->committed))
                        mem_entry_free(e); /* nothing to clear */
                else
                        mem_versions_merge(&s->versions, e, s->committed);
        }
}

static int commit_writes_locked(struct mem_txn *t)
{
        struct mem_store *s = t->store;
        int r;

        lock_assert_held(&s->lock);
        if (conflicts(t))
                return -ERR_CONFLICT;
        if (!has_space(t))
                return -ENOSPC;
        r = expand_cleared(t);
        if (r < 0)
                return r;
        r = fold_operations(t);
        if (r < 0)
                return r;
        r = collect_written(t);
        if (r < 0)
                return r;
        s->committed++;
        record_conflicts(t);
        apply(t);
        t->base.version = (kv_version)s->committed;
        return 0;
}

static void arm_watches_locked(struct mem_txn *t)
{
        lock_assert_held(&t->store->lock);
        while (!list_empty(&t->watches)) {
                struct mem_watch *w = mem_watch_of(t->watches.next);

                mem_watch_arm_locked(&t->store->watches, w, current(t->store, w->key));
        }
}

int mem_commit(struct kv_txn *txn)
{
        struct mem_txn *t = (struct mem_txn *)txn;
        bool writes = t->writes.entries.root || t->writes.cleared.root || t->written;
        int r = 0;

        if (t->failed)
                return -ENOMEM;
        /* A transaction that only read saw one version, however old it is. */
        if (writes)
                r = mem_check_age(t);
        if (r < 0)
                return r;
        LOCK_GUARD(&t->store->lock);
        if (writes)
                r = commit_writes_locked(t);
        if (r < 0)
                return r;
        arm_watches_locked(t);
        return 0;
}

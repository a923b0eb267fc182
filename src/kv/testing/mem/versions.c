/* SPDX-License-Identifier: MIT */
#include "kv/testing/mem/versions.h"
#include "kv/testing/mem/writes.h"

#include <assert.h>
#include <stdlib.h>

void mem_versions_init(struct mem_versions *v)
{
        *v = (struct mem_versions){ 0 };
        mem_tree_init(&v->entries);
        v->made_last = &v->made_first;
}

static void release_entry(struct mem_node *n)
{
        mem_entry_free(mem_entry_of(n));
}

void mem_versions_free(struct mem_versions *v)
{
        mem_tree_empty(&v->entries, release_entry);
}

struct mem_version *mem_version_new(size_t len, bool absent)
{
        struct mem_version *n = malloc(sizeof(*n) + len);

        if (n)
                *n = (struct mem_version){ .absent = absent, .len = len };
        return n;
}

struct mem_entry *mem_entry_new(struct slice key)
{
        struct mem_entry *e = malloc(sizeof(*e) + key.len);

        if (!e)
                return NULL;
        *e = (struct mem_entry){ .node.key = slice_of(e->bytes, key.len) };
        if (key.len > 0)
                memcpy(e->bytes, key.data, key.len);
        return e;
}

static void free_chain(struct mem_version *m)
{
        while (m) {
                struct mem_version *older = m->older;

                free(m);
                m = older;
        }
}

void mem_entry_free(struct mem_entry *e)
{
        if (!e)
                return;
        free_chain(e->newest);
        mem_ops_free(e->ops);
        free(e);
}

struct mem_version *mem_entry_at(const struct mem_entry *e, uint64_t at)
{
        struct mem_version *m = e->newest;

        while (m && m->at > at)
                m = m->older;
        return m && !m->absent ? m : NULL;
}

struct mem_version *mem_versions_at(const struct mem_versions *v, struct slice key, uint64_t at)
{
        struct mem_node *n = mem_tree_find(&v->entries, key);

        return n ? mem_entry_at(mem_entry_of(n), at) : NULL;
}

static uint64_t live_size(const struct mem_entry *e)
{
        return e->newest && !e->newest->absent ? e->node.key.len + e->newest->len : 0;
}

void mem_versions_push(struct mem_versions *v, struct mem_entry *e, struct mem_version *newest, uint64_t at)
{
        assert(!e->newest || e->newest->at < at);
        v->live_bytes -= live_size(e);
        newest->at = at;
        newest->entry = e;
        newest->older = e->newest;
        e->newest = newest;
        v->live_bytes += live_size(e);

        newest->next_made = NULL;
        *v->made_last = newest;
        v->made_last = &newest->next_made;
}

void mem_versions_merge(struct mem_versions *v, struct mem_entry *fresh, uint64_t at)
{
        struct mem_version *newest = fresh->newest;
        struct mem_node *known = mem_tree_find(&v->entries, fresh->node.key);

        fresh->newest = NULL;
        if (known) {
                mem_versions_push(v, mem_entry_of(known), newest, at);
                mem_entry_free(fresh);
        } else {
                mem_tree_insert(&v->entries, &fresh->node);
                mem_versions_push(v, fresh, newest, at);
        }
}

void mem_versions_prune(struct mem_versions *v, uint64_t oldest)
{
        struct mem_version *m;

        /* A version that all transactions see hides its predecessors. Each version is visited once, in order
         * of commits, so its predecessors are not in the queue any more. */
        while ((m = v->made_first) && m->at <= oldest) {
                v->made_first = m->next_made;
                if (!v->made_first)
                        v->made_last = &v->made_first;
                free_chain(m->older);
                m->older = NULL;
                if (m->absent && m->entry->newest == m) {
                        mem_tree_remove(&v->entries, &m->entry->node);
                        mem_entry_free(m->entry);
                }
        }
}

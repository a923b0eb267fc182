/* SPDX-License-Identifier: MIT */
#include "kv/testing/mem/conflicts.h"

#include <errno.h>
#include <stdlib.h>

#define SWEEP_MIN 64u /* boundaries */

struct boundary {
        struct mem_node node;
        uint64_t at;
        uint8_t bytes[];
};

static struct boundary *boundary_of(struct mem_node *n)
{
        return (struct boundary *)n;
}

static struct mem_span *span_new(struct mem_span **list, size_t begin_len, size_t end_len)
{
        struct mem_span *s = malloc(sizeof(*s) + begin_len + end_len);

        if (!s)
                return NULL;
        s->begin = slice_of(s->bytes, begin_len);
        s->end = slice_of(s->bytes + begin_len, end_len);
        s->next = *list;
        *list = s;
        return s;
}

int mem_span_add(struct mem_span **list, struct slice begin, struct slice end)
{
        struct mem_span *s = span_new(list, begin.len, end.len);

        if (!s)
                return -ENOMEM;
        if (begin.len > 0)
                memcpy(s->bytes, begin.data, begin.len);
        memcpy(s->bytes + begin.len, end.data, end.len);
        return 0;
}

int mem_span_add_key(struct mem_span **list, struct slice key)
{
        struct mem_span *s = span_new(list, 0, key.len + 1);

        if (!s)
                return -ENOMEM;
        /* The end is the key with a zero byte appended; the beginning is all of it but that byte. */
        if (key.len > 0)
                memcpy(s->bytes, key.data, key.len);
        s->bytes[key.len] = 0;
        s->begin = slice_of(s->bytes, key.len);
        return 0;
}

void mem_spans_free(struct mem_span *list)
{
        while (list) {
                struct mem_span *next = list->next;

                free(list);
                list = next;
        }
}

void mem_conflicts_init(struct mem_conflicts *c)
{
        *c = (struct mem_conflicts){ .sweep_at = SWEEP_MIN };
        mem_tree_init(&c->boundaries);
}

static void release_boundary(struct mem_node *n)
{
        free(n);
}

void mem_conflicts_free(struct mem_conflicts *c)
{
        mem_tree_empty(&c->boundaries, release_boundary);
}

void mem_conflicts_forget(struct mem_conflicts *c, uint64_t at)
{
        mem_tree_empty(&c->boundaries, release_boundary);
        c->floor = at;
        c->sweep_at = SWEEP_MIN;
}

/* The commit that wrote the part that begins at N; NULL: the part before all boundaries. */
static uint64_t written_from(const struct mem_conflicts *c, const struct mem_node *n)
{
        const struct boundary *b = (const struct boundary *)n;

        return b && b->at > c->floor ? b->at : c->floor;
}

/* The last boundary at KEY or before. */
static struct mem_node *part_of(const struct mem_conflicts *c, struct slice key)
{
        struct mem_node *n = mem_tree_find(&c->boundaries, key);

        return n ? n : mem_tree_before(&c->boundaries, key);
}

bool mem_conflicts_since(const struct mem_conflicts *c, const struct mem_span *s, uint64_t at)
{
        struct mem_node *n = part_of(c, s->begin);

        if (written_from(c, n) > at)
                return true;
        n = n ? mem_tree_next(n) : mem_tree_first(&c->boundaries);
        for (; n && slice_cmp(n->key, s->end) < 0; n = mem_tree_next(n))
                if (written_from(c, n) > at)
                        return true;
        return false;
}

/* Finds the boundary at KEY, or makes one without changing the function. NULL: no memory. */
static struct boundary *split(struct mem_conflicts *c, struct slice key)
{
        struct mem_node *n = part_of(c, key);
        struct boundary *b;

        if (n && slice_eq(n->key, key))
                return boundary_of(n);
        b = malloc(sizeof(*b) + key.len);
        if (!b)
                return NULL;
        if (key.len > 0)
                memcpy(b->bytes, key.data, key.len);
        b->node.key = slice_of(b->bytes, key.len);
        b->at = written_from(c, n);
        mem_tree_insert(&c->boundaries, &b->node);
        return b;
}

/* Removes boundaries between parts that are the same for transaction OLDEST and later ones. */
static void sweep(struct mem_conflicts *c, uint64_t oldest)
{
        struct mem_node *n, *next;
        uint64_t before = c->floor;

        for (n = mem_tree_first(&c->boundaries); n; n = next) {
                uint64_t at = boundary_of(n)->at;

                next = mem_tree_next(n);
                if (at <= oldest && before <= oldest) {
                        mem_tree_remove(&c->boundaries, n);
                        free(n);
                }
                before = at;
        }
        c->swept = oldest;
        c->sweep_at = SWEEP_MIN + 2 * c->boundaries.count;
}

void mem_conflicts_add(struct mem_conflicts *c, const struct mem_span *s, uint64_t at, uint64_t oldest)
{
        struct boundary *end = split(c, s->end);
        struct boundary *begin = end ? split(c, s->begin) : NULL;
        struct mem_node *n;

        if (!begin) {
                mem_conflicts_forget(c, at);
                return;
        }
        begin->at = at;
        while ((n = mem_tree_next(&begin->node)) != &end->node) {
                mem_tree_remove(&c->boundaries, n);
                free(n);
        }
        if (c->boundaries.count >= c->sweep_at)
                sweep(c, oldest);
}

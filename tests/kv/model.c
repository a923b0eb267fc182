/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct arena_block {
        struct arena_block *next;
        uint8_t data[];
};

void *arena_alloc(struct arena *a, size_t len)
{
        struct arena_block *b = malloc(sizeof(*b) + len);

        assert(b);
        b->next = a->blocks;
        a->blocks = b;
        return b->data;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
        uint8_t *data = arena_alloc(a, s.len);

        if (s.len > 0)
                memcpy(data, s.data, s.len);
        return slice_of(data, s.len);
}

void arena_free(struct arena *a)
{
        while (a->blocks) {
                struct arena_block *next = a->blocks->next;

                free(a->blocks);
                a->blocks = next;
        }
}

void model_copy(struct model *to, const struct model *from)
{
        to->n = from->n;
        to->cap = from->n + 64;
        to->pairs = malloc(to->cap * sizeof(*to->pairs));
        assert(to->pairs);
        if (from->n > 0)
                memcpy(to->pairs, from->pairs, from->n * sizeof(*to->pairs));
}

void model_free(struct model *m)
{
        free(m->pairs);
        *m = (struct model){ 0 };
}

size_t model_at(const struct model *m, struct slice key)
{
        size_t low = 0, high = m->n;

        while (low < high) {
                size_t middle = (low + high) / 2;

                if (slice_cmp(m->pairs[middle].key, key) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

const struct pair *model_get(const struct model *m, struct slice key)
{
        size_t i = model_at(m, key);

        return i < m->n && slice_eq(m->pairs[i].key, key) ? &m->pairs[i] : NULL;
}

void model_set(struct model *m, struct slice key, struct slice value)
{
        size_t i = model_at(m, key);

        if (i < m->n && slice_eq(m->pairs[i].key, key)) {
                m->pairs[i].value = value;
                return;
        }
        if (m->n == m->cap) {
                m->cap = m->cap * 2 + 64;
                m->pairs = realloc(m->pairs, m->cap * sizeof(*m->pairs));
                assert(m->pairs);
        }
        memmove(&m->pairs[i + 1], &m->pairs[i], (m->n - i) * sizeof(*m->pairs));
        m->pairs[i] = (struct pair){ key, value };
        m->n++;
}

static void remove_pairs(struct model *m, size_t from, size_t to)
{
        if (from >= to)
                return;
        memmove(&m->pairs[from], &m->pairs[to], (m->n - to) * sizeof(*m->pairs));
        m->n -= to - from;
}

void model_clear_range(struct model *m, struct slice begin, struct slice end)
{
        remove_pairs(m, model_at(m, begin), model_at(m, end));
}

void model_clear(struct model *m, struct slice key)
{
        size_t i = model_at(m, key);

        if (i < m->n && slice_eq(m->pairs[i].key, key))
                remove_pairs(m, i, i + 1);
}

/* Written from kv.h's description, independent of the store's function. */
static struct slice add(struct arena *a, struct slice old, struct slice operand)
{
        uint8_t *sum = arena_alloc(a, operand.len);
        unsigned carry = 0;

        for (size_t i = 0; i < operand.len; i++) {
                unsigned digit = i < old.len ? old.data[i] : 0;

                digit += operand.data[i] + carry;
                sum[i] = digit % 256;
                carry = digit / 256;
        }
        return slice_of(sum, operand.len);
}

void model_atomic(struct model *m, struct arena *a, enum kv_atomic_op op, struct slice key,
                  struct slice operand)
{
        const struct pair *p = model_get(m, key);
        struct slice old = p ? p->value : slice_of(NULL, 0);

        if (op == KV_ADD)
                model_set(m, key, add(a, old, operand));
        else if (!p || slice_cmp(operand, old) > 0)
                model_set(m, key, arena_copy(a, operand));
}

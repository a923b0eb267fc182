/* SPDX-License-Identifier: MIT */
/* The reference model of a store: a sorted array of pairs. Copies share the bytes, which live as long as
 * their arena. */
#ifndef TESTS_KV_MODEL_H
#define TESTS_KV_MODEL_H

#include "kv/kv.h"

struct arena {
        struct arena_block *blocks;
};

void *arena_alloc(struct arena *a, size_t len);
struct slice arena_copy(struct arena *a, struct slice s);
void arena_free(struct arena *a);

struct pair {
        struct slice key, value;
};

struct model {
        struct pair *pairs;
        size_t n, cap;
};

void model_copy(struct model *to, const struct model *from);
void model_free(struct model *m);
/* The index of the first pair whose key is not before KEY. */
size_t model_at(const struct model *m, struct slice key);
const struct pair *model_get(const struct model *m, struct slice key);
/* KEY and VALUE must live as long as the model. */
void model_set(struct model *m, struct slice key, struct slice value);
void model_clear_range(struct model *m, struct slice begin, struct slice end);
void model_clear(struct model *m, struct slice key);
void model_atomic(struct model *m, struct arena *a, enum kv_atomic_op op, struct slice key,
                  struct slice operand);

#endif

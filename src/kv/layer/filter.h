/* SPDX-License-Identifier: MIT */
/* A store that passes all calls on to the store below: the common part of simple layers. A layer embeds
 * struct filter as its first member, sets it up with filter_init, and replaces the functions in f->ops that
 * it changes; these reach the store below by kv_...(filter_below(t), ...).
 */
#ifndef KV_LAYER_FILTER_H
#define KV_LAYER_FILTER_H

#include "kv/engine.h"

struct filter {
        struct kv_store base;
        struct kv_store *below;
        struct kv_ops ops; /* NULL where the store below has none */
};

/* First member of a layer's transaction that has more members. */
struct filter_txn {
        struct kv_txn base;
        struct kv_txn *below;
};

static inline struct kv_store *filter_store_below(struct kv_store *s)
{
        return ((struct filter *)s)->below;
}

static inline struct kv_txn *filter_below(struct kv_txn *t)
{
        return ((struct filter_txn *)t)->below;
}

/* Sets up F, zeroed memory from malloc, which filter_close frees. Takes the limits from BELOW. */
void filter_init(struct filter *f, const char *name, struct kv_store *below);

/* Closes the store below and frees S. */
int filter_close(struct kv_store *s);
/* Begins a transaction of SIZE bytes, zeroed behind its struct filter_txn. */
int filter_begin_sized(struct kv_store *s, unsigned flags, size_t size, struct kv_txn **ret);

/* The functions in f->ops that layers call from their own. */
int filter_commit(struct kv_txn *t);
void filter_end(struct kv_txn *t);
void filter_get_start(struct kv_txn *t, struct kv_read *r);
void filter_get_wait(struct kv_txn *t, struct kv_read *r);
void filter_range_start(struct kv_txn *t, struct kv_range *r);
int filter_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value);
void filter_range_end(struct kv_range *r);
int filter_watch(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret);

#endif

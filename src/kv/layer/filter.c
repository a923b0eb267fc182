/* SPDX-License-Identifier: MIT */
#include "kv/layer/filter.h"

#include <stdlib.h>

/* A watch names its store, so each layer has a separate one. */
struct filter_watch {
        struct kv_watch base;
        struct kv_watch *below;
};

int filter_close(struct kv_store *s)
{
        int r = kv_close(filter_store_below(s));

        free(s);
        return r;
}

static uint64_t filter_waiting_ns(struct kv_store *s)
{
        return kv_waiting_ns(filter_store_below(s));
}

static void filter_give_up(struct kv_store *s)
{
        kv_give_up(filter_store_below(s));
}

static int filter_sync(struct kv_store *s)
{
        return kv_sync(filter_store_below(s));
}

static int filter_space(struct kv_store *s, struct kv_space *ret)
{
        return kv_space(filter_store_below(s), ret);
}

static int filter_reserve(struct kv_store *s, const struct kv_need *need)
{
        struct kv_store *below = filter_store_below(s);

        return below->ops->reserve(below, need);
}

static int filter_backoff(struct kv_store *s, struct kv_txn *t, int err, unsigned attempt)
{
        struct kv_store *below = filter_store_below(s);

        return below->ops->backoff(below, t ? filter_below(t) : NULL, err, attempt);
}

int filter_begin_sized(struct kv_store *s, unsigned flags, size_t size, struct kv_txn **ret)
{
        struct filter_txn *t = calloc(1, size);
        int r;

        if (!t)
                return -ENOMEM;
        r = kv_begin(filter_store_below(s), flags, &t->below);
        if (r < 0) {
                free(t);
                return r;
        }
        *ret = &t->base;
        return 0;
}

static int filter_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret)
{
        return filter_begin_sized(s, flags, sizeof(struct filter_txn), ret);
}

int filter_commit(struct kv_txn *t)
{
        int r = kv_commit(filter_below(t));

        t->version = filter_below(t)->version;
        return r;
}

static int filter_since(struct kv_txn *t, kv_version version)
{
        struct kv_txn *below = filter_below(t);

        return below->store->ops->since(below, version);
}

void filter_end(struct kv_txn *t)
{
        kv_end(filter_below(t));
        free(t);
}

void filter_get_start(struct kv_txn *t, struct kv_read *r)
{
        kv_get_start(filter_below(t), r, r->key, r->flags);
}

void filter_get_wait(struct kv_txn *t, struct kv_read *r)
{
        struct slice value;

        kv_get_wait(filter_below(t), r, &value); /* leaves its result in R */
}

/* The range below needs a separate struct: the caller's names this layer's transaction. */
void filter_range_start(struct kv_txn *t, struct kv_range *r)
{
        r->priv = malloc(sizeof(struct kv_range));
        if (r->priv)
                kv_range_start(filter_below(t), r->priv, &r->opts);
        else
                r->err = -ENOMEM;
}

int filter_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value)
{
        return r->priv ? kv_range_next(r->priv, ret_key, ret_value) : r->err;
}

void filter_range_end(struct kv_range *r)
{
        if (r->priv)
                kv_range_end(r->priv);
        free(r->priv);
}

static int filter_set(struct kv_txn *t, struct slice key, struct slice value)
{
        return kv_set(filter_below(t), key, value);
}

static int filter_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret)
{
        return kv_set_reserve(filter_below(t), key, len, ret);
}

static int filter_patch(struct kv_txn *t, struct slice key, size_t at, struct slice data)
{
        return kv_patch(filter_below(t), key, at, data);
}

static int filter_clear(struct kv_txn *t, struct slice key)
{
        return kv_clear(filter_below(t), key);
}

static int filter_clear_range(struct kv_txn *t, struct slice begin, struct slice end)
{
        return kv_clear_range(filter_below(t), begin, end);
}

static int filter_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand)
{
        return kv_atomic(filter_below(t), op, key, operand);
}

static int filter_conflict_range(struct kv_txn *t, enum kv_conflict kind, struct slice begin,
                                 struct slice end)
{
        /* Not through kv_conflict_range, which asserts the length of keys: the end of a range that is one key
         * of maximum length is one byte longer. */
        struct kv_txn *below = filter_below(t);

        return below->store->ops->conflict_range(below, kind, begin, end);
}

int filter_watch(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret)
{
        struct filter_watch *w = malloc(sizeof(*w));
        int r;

        if (!w)
                return -ENOMEM;
        r = kv_watch(filter_below(t), key, fn, arg, &w->below);
        if (r < 0) {
                free(w);
                return r;
        }
        *ret = &w->base;
        return 0;
}

static void filter_unwatch(struct kv_watch *watch)
{
        struct filter_watch *w = (struct filter_watch *)watch;

        kv_unwatch(w->below);
        free(w);
}

void filter_init(struct filter *f, const char *name, struct kv_store *below)
{
        f->below = below;
        f->base.limits = below->limits;
        f->base.ops = &f->ops;
        f->ops = (struct kv_ops){
                .name = name,
                .close = filter_close,
                .waiting_ns = filter_waiting_ns,
                .give_up = filter_give_up,
                .sync = filter_sync,
                .space = filter_space,
                .reserve = below->ops->reserve ? filter_reserve : NULL,
                .backoff = below->ops->backoff ? filter_backoff : NULL,
                .begin = filter_begin,
                .commit = filter_commit,
                .end = filter_end,
                .since = below->ops->since ? filter_since : NULL,
                .get_start = filter_get_start,
                .get_wait = filter_get_wait,
                .range_start = filter_range_start,
                .range_next = filter_range_next,
                .range_end = filter_range_end,
                .set = filter_set,
                .set_reserve = filter_set_reserve,
                .patch = filter_patch,
                .clear = filter_clear,
                .clear_range = filter_clear_range,
                .atomic = filter_atomic,
                .conflict_range = below->ops->conflict_range ? filter_conflict_range : NULL,
                .watch = filter_watch,
                .unwatch = filter_unwatch,
        };
}

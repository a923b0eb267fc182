/* SPDX-License-Identifier: MIT */
/* The front door: asserts the rules for callers and keeps what is common to all stores. */
#include "kv/fence.h"
#include "kv/marker.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

static void check_key(const struct kv_txn *t, struct slice key)
{
        assert(!t->committed);
        assert(key.len <= KV_KEY_MAX);
}

static void check_write(const struct kv_txn *t)
{
        assert(t->flags & KV_WRITE);
        assert(!t->committed);
        assert(t->open_ranges == 0);
}

/* Counts a write of KEYS keys and of BYTES bytes of keys and values, with a value of VALUE bytes. */
static void count_write(struct kv_txn *t, size_t keys, size_t bytes, size_t value)
{
        t->written_keys += keys;
        t->written_bytes += bytes;
        if (value > t->largest_value)
                t->largest_value = value;
}

int kv_close(struct kv_store *s)
{
        struct kv_fence *fence;
        struct kv_markers *markers;
        int r;

        if (!s)
                return 0;
        assert(atomic_load(&s->open_txns) == 0);
        fence = s->fence;
        markers = s->markers;
        r = s->ops->close(s);
        kv_fence_free(fence);
        kv_markers_free(markers);
        return r;
}

uint64_t kv_waiting_ns(struct kv_store *s)
{
        return s->ops->waiting_ns ? s->ops->waiting_ns(s) : 0;
}

void kv_give_up(struct kv_store *s)
{
        if (s->ops->give_up)
                s->ops->give_up(s);
}

const struct kv_limits *kv_limits(const struct kv_store *s)
{
        return &s->limits;
}

const struct kv_limits *kv_txn_limits(const struct kv_txn *t)
{
        return &t->store->limits;
}

int kv_sync(struct kv_store *s)
{
        return s->ops->sync(s);
}

int kv_space(struct kv_store *s, struct kv_space *ret)
{
        return s->ops->space(s, ret);
}

int kv_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret)
{
        struct kv_txn *t;
        int r = s->ops->begin(s, flags, &t);

        if (r < 0)
                return r;
        t->store = s;
        t->flags = flags;
        t->open_ranges = 0;
        t->committed = false;
        t->version = 0;
        t->written_bytes = t->written_keys = t->largest_value = 0;
        t->fence_read = NULL;
        atomic_fetch_add_explicit(&s->open_txns, 1, memory_order_relaxed);
        *ret = t;
        return 0;
}

int kv_commit(struct kv_txn *t)
{
        assert(!t->committed);
        assert(t->open_ranges == 0);
        t->committed = true;
        if (t->written_bytes > t->store->limits.txn_bytes)
                return -E2BIG;
        return t->store->ops->commit(t);
}

void kv_end(struct kv_txn *t)
{
        struct kv_store *s;

        if (!t)
                return;
        assert(t->open_ranges == 0);
        s = t->store;
        s->ops->end(t);
        atomic_fetch_sub_explicit(&s->open_txns, 1, memory_order_relaxed);
}

bool kv_is_blind(const struct kv_txn *t)
{
        return t->flags & KV_BLIND;
}

void kv_get_start(struct kv_txn *t, struct kv_read *r, struct slice key, unsigned flags)
{
        check_key(t, key);
        assert(!kv_is_blind(t));
        *r = (struct kv_read){ .key = key, .flags = flags };
        t->store->ops->get_start(t, r);
}

int kv_get_wait(struct kv_txn *t, struct kv_read *r, struct slice *ret_value)
{
        if (t->store->ops->get_wait)
                t->store->ops->get_wait(t, r);
        if (r->err == 0)
                *ret_value = r->value;
        return r->err;
}

int kv_get(struct kv_txn *t, struct slice key, unsigned flags, struct slice *ret_value)
{
        struct kv_read r;

        kv_get_start(t, &r, key, flags);
        return kv_get_wait(t, &r, ret_value);
}

void kv_range_start(struct kv_txn *t, struct kv_range *r, const struct kv_range_opts *opts)
{
        check_key(t, opts->begin);
        check_key(t, opts->end);
        assert(!kv_is_blind(t));
        *r = (struct kv_range){ .txn = t, .opts = *opts };
        t->open_ranges++;
        t->store->ops->range_start(t, r);
}

int kv_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value)
{
        int n;

        if (r->opts.limit > 0 && r->returned == r->opts.limit)
                return 0;
        if (slice_cmp(r->opts.begin, r->opts.end) >= 0)
                return 0;
        n = r->txn->store->ops->range_next(r, ret_key, ret_value);
        if (n > 0)
                r->returned++;
        return n;
}

void kv_range_end(struct kv_range *r)
{
        if (!r->txn)
                return;
        assert(r->txn->open_ranges > 0);
        r->txn->store->ops->range_end(r);
        r->txn->open_ranges--;
        r->txn = NULL;
}

int kv_set(struct kv_txn *t, struct slice key, struct slice value)
{
        check_key(t, key);
        check_write(t);
        assert(value.len <= t->store->limits.value_bytes);
        count_write(t, 1, key.len + value.len, value.len);
        return t->store->ops->set(t, key, value);
}

int kv_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret)
{
        check_key(t, key);
        check_write(t);
        assert(len <= t->store->limits.value_bytes);
        count_write(t, 1, key.len + len, len);
        return t->store->ops->set_reserve(t, key, len, ret);
}

static int patch_by_copy(struct kv_txn *t, struct slice key, size_t at, struct slice data)
{
        struct slice old;
        _cleanup_free_ uint8_t *copy = NULL;
        size_t len;
        int r = kv_get(t, key, 0, &old);

        if (r == -ENOENT)
                old = slice_of(NULL, 0);
        else if (r < 0)
                return r;
        len = at + data.len > old.len ? at + data.len : old.len;
        copy = calloc(1, len + 1);
        if (!copy)
                return -ENOMEM;
        if (old.len > 0)
                memcpy(copy, old.data, old.len);
        if (data.len > 0)
                memcpy(copy + at, data.data, data.len);
        return t->store->ops->set(t, key, slice_of(copy, len));
}

int kv_patch(struct kv_txn *t, struct slice key, size_t at, struct slice data)
{
        check_key(t, key);
        check_write(t);
        assert(at + data.len <= t->store->limits.value_bytes);
        count_write(t, 1, key.len + data.len, at + data.len);
        if (t->store->ops->patch)
                return t->store->ops->patch(t, key, at, data);
        return patch_by_copy(t, key, at, data);
}

int kv_clear(struct kv_txn *t, struct slice key)
{
        check_key(t, key);
        check_write(t);
        count_write(t, 1, key.len, 0);
        return t->store->ops->clear(t, key);
}

int kv_clear_range(struct kv_txn *t, struct slice begin, struct slice end)
{
        check_key(t, begin);
        check_key(t, end);
        check_write(t);
        if (slice_cmp(begin, end) >= 0)
                return 0;
        count_write(t, 2, begin.len + end.len, 0);
        return t->store->ops->clear_range(t, begin, end);
}

int kv_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand)
{
        check_key(t, key);
        check_write(t);
        assert(operand.len <= t->store->limits.value_bytes);
        count_write(t, 1, key.len + operand.len, operand.len);
        return t->store->ops->atomic(t, op, key, operand);
}

int kv_conflict_range(struct kv_txn *t, enum kv_conflict kind, struct slice begin, struct slice end)
{
        check_key(t, begin);
        check_key(t, end);
        if (kind == KV_CONFLICT_WRITE)
                check_write(t);
        if (!t->store->ops->conflict_range || slice_cmp(begin, end) >= 0)
                return 0;
        return t->store->ops->conflict_range(t, kind, begin, end);
}

int kv_conflict_key(struct kv_txn *t, enum kv_conflict kind, struct slice key)
{
        uint8_t after[KV_KEY_MAX + 1];

        check_key(t, key);
        if (kind == KV_CONFLICT_WRITE)
                check_write(t);
        if (!t->store->ops->conflict_range)
                return 0;
        /* The smallest range that holds KEY ends at KEY with a zero byte appended. */
        if (key.len > 0)
                memcpy(after, key.data, key.len);
        after[key.len] = 0;
        return t->store->ops->conflict_range(t, kind, key, slice_of(after, key.len + 1));
}

int kv_watch(struct kv_txn *t, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret)
{
        int r;

        check_key(t, key);
        r = t->store->ops->watch(t, key, fn, arg, ret);
        if (r >= 0)
                (*ret)->store = t->store;
        return r;
}

void kv_unwatch(struct kv_watch *w)
{
        if (w)
                w->store->ops->unwatch(w);
}

size_t kv_atomic_apply(enum kv_atomic_op op, struct slice old, struct slice operand, uint8_t *out)
{
        unsigned carry = 0;

        if (op == KV_BYTE_MAX) {
                struct slice max = old.data && slice_cmp(old, operand) > 0 ? old : operand;

                if (max.len > 0)
                        memmove(out, max.data, max.len);
                return max.len;
        }
        for (size_t i = 0; i < operand.len; i++) {
                carry += operand.data[i] + (old.data && i < old.len ? old.data[i] : 0u);
                out[i] = (uint8_t)carry;
                carry >>= 8;
        }
        return operand.len;
}

/* SPDX-License-Identifier: MIT */
#include "kv/fence.h"

#include <assert.h>
#include <stdlib.h>

struct kv_fence {
        size_t len;
        uint8_t key[];
};

int kv_set_fence(struct kv_store *s, struct slice key)
{
        struct kv_fence *f = NULL;

        assert(key.len <= KV_KEY_MAX);
        if (key.len > 0) {
                f = malloc(sizeof(*f) + key.len);
                if (!f)
                        return -ENOMEM;
                f->len = key.len;
                memcpy(f->key, key.data, key.len);
        }
        kv_fence_free(s->fence);
        s->fence = f;
        return 0;
}

void kv_fence_free(struct kv_fence *f)
{
        free(f);
}

int kv_fence_start(struct kv_txn *t, struct kv_read *read)
{
        const struct kv_fence *f = t->store->fence;

        if (kv_is_blind(t))
                return kv_conflict_key(t, KV_CONFLICT_READ, slice_of(f->key, f->len));
        kv_get_start(t, read, slice_of(f->key, f->len), 0);
        t->fence_read = read;
        return 0;
}

int kv_confirm(struct kv_txn *t)
{
        struct slice unused;
        int r;

        if (!t->fence_read)
                return 0;
        r = kv_get_wait(t, t->fence_read, &unused);
        t->fence_read = NULL;
        return r == -ENOENT ? -ERR_FENCED : r;
}

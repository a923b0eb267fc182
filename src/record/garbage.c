/* SPDX-License-Identifier: MIT */
#include "record/garbage.h"

void rec_epoch_start(struct kv_txn *t, struct rec_epoch_read *r)
{
        fmt_key_meta_counter(&r->key, FMT_COUNTER_EPOCH);
        kv_get_start(t, &r->read, fmt_slice(&r->key), 0);
}

int rec_epoch_wait(struct kv_txn *t, struct rec_epoch_read *r, uint64_t *ret)
{
        struct slice value;
        int64_t epoch = 0;
        int q = kv_get_wait(t, &r->read, &value);

        if (q < 0 && q != -ENOENT)
                return q;
        if (q == 0) {
                q = fmt_counter_decode(value, &epoch);
                if (q < 0)
                        return q;
        }
        if (epoch < 0)
                return -ERR_CORRUPT;
        *ret = (uint64_t)epoch;
        return 0;
}

int rec_garbage_set(struct kv_txn *t, uint64_t ino, uint64_t epoch)
{
        const struct fmt_garbage g = { .epoch = epoch };
        uint8_t value[FMT_SMALL_MAX];
        struct fmt_key k;

        fmt_key_garbage(&k, ino);
        return kv_set(t, fmt_slice(&k), slice_of(value, fmt_garbage_encode(&g, value)));
}

int rec_garbage_clear(struct kv_txn *t, uint64_t ino)
{
        struct fmt_key k;

        fmt_key_garbage(&k, ino);
        return kv_clear(t, fmt_slice(&k));
}

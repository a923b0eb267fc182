/* SPDX-License-Identifier: MIT */
#include "record/counter.h"

/* Numbers per range: what a mount may lose each time, against a transaction per this many creates. */
#define RANGE_LOCAL 4096u

/* 2^31 times that is all there are: a mount a second for 68 years. */
#define RANGE_REMOTE (UINT64_C(1) << 32)

int rec_counter_add(struct kv_txn *t, enum fmt_counter which, int64_t n)
{
        struct fmt_key k;
        uint8_t operand[8];

        fmt_key_meta_counter(&k, which);
        fmt_counter_encode(n, operand);
        return kv_atomic(t, KV_ADD, fmt_slice(&k), slice_of(operand, sizeof(operand)));
}

int rec_counter_get(struct kv_txn *t, enum fmt_counter which, unsigned flags, int64_t *ret)
{
        struct slice value;
        struct fmt_key k;
        int r;

        fmt_key_meta_counter(&k, which);
        r = kv_get(t, fmt_slice(&k), flags, &value);
        if (r < 0)
                return r;
        return fmt_counter_decode(value, ret);
}

/* A damaged counter would give a new file the blocks of another: from FIRST on there must be nothing. */
static int check_unused(struct kv_txn *t, uint64_t first)
{
        struct fmt_key begin, end;
        struct slice key, value;
        struct kv_range range;
        int r;

        fmt_key_inode(&begin, first);
        fmt_key_inode_end(&end, UINT64_MAX);
        kv_range_start(t, &range,
                       &(struct kv_range_opts){ .begin = fmt_slice(&begin),
                                                .end = fmt_slice(&end),
                                                .limit = 1,
                                                .snapshot = true });
        r = kv_range_next(&range, &key, &value);
        kv_range_end(&range);
        return r > 0 ? -ERR_CORRUPT : r;
}

int rec_numbers_take(struct kv_txn *t, uint64_t *ret_first, uint64_t *ret_end)
{
        int64_t first, range = kv_txn_limits(t)->remote ? RANGE_REMOTE : RANGE_LOCAL;
        struct fmt_key k;
        uint8_t next[8];
        int r;

        r = rec_counter_get(t, FMT_COUNTER_NEXT_INO, 0, &first);
        if (r < 0)
                return r == -ENOENT ? -ERR_CORRUPT : r;
        if (first <= (int64_t)FMT_ROOT_INO || first > INT64_MAX - range)
                return -ERR_CORRUPT;
        r = check_unused(t, (uint64_t)first);
        if (r < 0)
                return r;
        fmt_key_meta_counter(&k, FMT_COUNTER_NEXT_INO);
        fmt_counter_encode(first + range, next);
        r = kv_set(t, fmt_slice(&k), slice_of(next, sizeof(next)));
        if (r < 0)
                return r;
        *ret_first = (uint64_t)first;
        *ret_end = (uint64_t)(first + range);
        return 0;
}

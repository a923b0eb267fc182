/* SPDX-License-Identifier: MIT */
#include "record/counter.h"

/* Numbers in a range. A mount loses what it does not use, and needs a transaction for each range. */
#define RANGE_LOCAL 4096u

/* There are 2^31 of these ranges: one mount each second for 68 years. */
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

int rec_counter_set(struct kv_txn *t, enum fmt_counter which, int64_t n)
{
        uint8_t value[8];
        struct fmt_key k;

        fmt_key_meta_counter(&k, which);
        fmt_counter_encode(n, value);
        return kv_set(t, fmt_slice(&k), slice_of(value, sizeof(value)));
}

/* ---- inode numbers ------------------------------------------------------------------------------ */

/* With a damaged counter a new file would get the blocks of another: no inode may exist from FIRST on. */
static int check_unused(struct kv_txn *t, uint64_t first)
{
        struct fmt_key begin, end;
        _cleanup_range_ struct kv_range range = KV_RANGE_NONE;
        struct slice key, value;
        int r;

        fmt_key_inode(&begin, first);
        fmt_key_inode_end(&end, UINT64_MAX);
        kv_range_start(t, &range,
                       &(struct kv_range_opts){ .begin = fmt_slice(&begin),
                                                .end = fmt_slice(&end),
                                                .limit = 1,
                                                .snapshot = true });
        r = kv_range_next(&range, &key, &value);
        return r > 0 ? -ERR_CORRUPT : r;
}

int rec_numbers_take(struct kv_txn *t, uint64_t *ret_first, uint64_t *ret_end)
{
        int64_t first, range = kv_txn_limits(t)->remote ? RANGE_REMOTE : RANGE_LOCAL;
        int r = rec_counter_get(t, FMT_COUNTER_NEXT_INO, 0, &first);

        if (r < 0)
                return r == -ENOENT ? -ERR_CORRUPT : r;
        if (first <= (int64_t)FMT_ROOT_INO || first > INT64_MAX - range)
                return -ERR_CORRUPT;
        r = check_unused(t, (uint64_t)first);
        if (r < 0)
                return r;
        r = rec_counter_set(t, FMT_COUNTER_NEXT_INO, first + range);
        if (r < 0)
                return r;
        *ret_first = (uint64_t)first;
        *ret_end = (uint64_t)(first + range);
        return 0;
}

void rec_numbers_keys(uint64_t first, uint64_t next, struct fmt_key begin[REC_NUMBER_RANGES],
                      struct fmt_key end[REC_NUMBER_RANGES])
{
        fmt_key_inode(&begin[0], first);
        fmt_key_inode(&end[0], next);
        fmt_key_dirent(&begin[1], first, slice_of(NULL, 0));
        fmt_key_dirent(&end[1], next, slice_of(NULL, 0));
        fmt_key_block(&begin[2], first, 0);
        fmt_key_block(&end[2], next, 0);
        fmt_key_garbage(&begin[3], first);
        fmt_key_garbage(&end[3], next);
}

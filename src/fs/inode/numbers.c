/* SPDX-License-Identifier: MIT */
/* Inode numbers: taken from the store in ranges, so that a create costs no transaction for its number.
 * Those that a mount took and did not use are lost; none is ever used twice.
 *
 * On a local store the ranges are small and the numbers dense. On a cluster they decide which server keeps
 * an inode and its blocks: each mount has a range so large that it hardly needs another one, far from
 * those of others, and hands it out from several places in turn, so that what one mount makes in a row
 * goes to several servers as soon as the cluster has split the range. */
#include "fs/state.h"

/* Numbers per range: what a mount may lose each time, against a transaction per this many creates. */
#define RANGE_LOCAL 4096u

/* 2^31 times that is all there are: a mount a second for 68 years. */
#define RANGE_REMOTE (UINT64_C(1) << 32)
#define LANES_REMOTE 16u

int fs_counter_add(struct kv_txn *t, char which, int64_t n)
{
        struct fmt_key k;
        uint8_t operand[8];

        fmt_key_meta_counter(&k, which);
        fmt_counter_encode(n, operand);
        return kv_atomic(t, KV_ADD, fmt_slice(&k), slice_of(operand, sizeof(operand)));
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

int fs_numbers_take_range(struct kv_txn *t, const struct kv_limits *limits, uint64_t *ret_first,
                          uint64_t *ret_end)
{
        int64_t first, range = limits->remote ? RANGE_REMOTE : RANGE_LOCAL;
        struct slice value;
        struct fmt_key k;
        uint8_t next[8];
        int r;

        fmt_key_meta_counter(&k, 'i');
        r = kv_get(t, fmt_slice(&k), 0, &value);
        if (r < 0)
                return r == -ENOENT ? -ERR_CORRUPT : r;
        r = fmt_counter_decode(value, &first);
        if (r < 0)
                return r;
        if (first <= (int64_t)FMT_ROOT_INO || first > INT64_MAX - range)
                return -ERR_CORRUPT;
        r = check_unused(t, (uint64_t)first);
        if (r < 0)
                return r;
        fmt_counter_encode(first + range, next);
        r = kv_set(t, fmt_slice(&k), slice_of(next, sizeof(next)));
        if (r < 0)
                return r;
        *ret_first = (uint64_t)first;
        *ret_end = (uint64_t)(first + range);
        return 0;
}

struct taken {
        const struct kv_limits *limits;
        uint64_t first, end;
};

static int take_body(struct kv_txn *t, void *arg)
{
        struct taken *taken = arg;

        return fs_numbers_take_range(t, taken->limits, &taken->first, &taken->end);
}

void fs_numbers_init(struct fs *fs)
{
        uint64_t end;

        if (!fs->session)
                return;
        fs_session_take_numbers(fs->session, &fs->numbers.first, &end);
        fs->numbers.count = end - fs->numbers.first;
}

static uint64_t nth(const struct fs *fs, uint64_t n)
{
        uint64_t lanes = fs->limits->remote ? LANES_REMOTE : 1, length = fs->numbers.count / lanes;

        /* What does not divide comes at the end. */
        return fs->numbers.first + (n < length * lanes ? n % lanes * length + n / lanes : n);
}

int fs_number_take(struct fs *fs, uint64_t *ret)
{
        struct fs_numbers *n = &fs->numbers;
        struct taken taken = { .limits = fs->limits };
        int r = 0;

        pthread_mutex_lock(&n->lock);
        if (n->used == n->count) {
                r = fs_run_write(fs, 0, take_body, &taken);
                if (r >= 0) {
                        n->first = taken.first;
                        n->count = taken.end - taken.first;
                        n->used = 0;
                }
        }
        if (r >= 0) {
                *ret = nth(fs, n->used++);
                r = 0;
        }
        pthread_mutex_unlock(&n->lock);
        return r;
}

/* Inode numbers: taken from the store in ranges, so that a create costs no transaction for its number. Those
 * that a mount took and did not use are lost; none is ever used twice. */
#include "core.h"

/* Numbers per range: what a mount may lose each time, against a transaction per this many creates. */
#define RANGE 4096u

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
        kv_range_start(t, &range, &(struct kv_range_opts){ .begin = fmt_slice(&begin), .end = fmt_slice(&end),
                                                           .limit = 1, .snapshot = true });
        r = kv_range_next(&range, &key, &value);
        kv_range_end(&range);
        return r > 0 ? -ERR_CORRUPT : r;
}

static int take_range(struct kv_txn *t, void *arg)
{
        uint64_t *ret_first = arg;
        struct slice value;
        struct fmt_key k;
        uint8_t next[8];
        int64_t first;
        int r;

        fmt_key_meta_counter(&k, 'i');
        r = kv_get(t, fmt_slice(&k), 0, &value);
        if (r < 0)
                return r == -ENOENT ? -ERR_CORRUPT : r;
        r = fmt_counter_decode(value, &first);
        if (r < 0)
                return r;
        if (first <= (int64_t)FMT_ROOT_INO || first > INT64_MAX - (int64_t)RANGE)
                return -ERR_CORRUPT;
        r = check_unused(t, (uint64_t)first);
        if (r < 0)
                return r;
        *ret_first = (uint64_t)first;
        fmt_counter_encode(first + RANGE, next);
        return kv_set(t, fmt_slice(&k), slice_of(next, sizeof(next)));
}

int fs_number_take(struct fs *fs, uint64_t *ret)
{
        struct fs_numbers *n = &fs->numbers;
        int r = 0;

        pthread_mutex_lock(&n->lock);
        if (n->next == n->end) {
                uint64_t first;

                r = fs_run_write(fs, 0, take_range, &first);
                if (r >= 0) {
                        n->next = first;
                        n->end = first + RANGE;
                }
        }
        if (r >= 0) {
                *ret = n->next++;
                r = 0;
        }
        pthread_mutex_unlock(&n->lock);
        return r;
}

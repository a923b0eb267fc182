/* SPDX-License-Identifier: MIT */
/* Inode numbers: taken from the store in ranges, so that a create needs no transaction for its number.
 * Numbers that a mount took and did not use are lost; none is used twice.
 *
 * On a local store the ranges are small and the numbers dense. On a cluster they decide which server keeps an
 * inode and its blocks: a mount's range is so large that it hardly ever needs another one, far from those of
 * other mounts, and is used at several positions in turn, so that files made in a row go to several servers
 * once the cluster has split the range. */
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "record/counter.h"

#define LANES_REMOTE 16u /* parts of a range that are used in turn */

struct taken {
        uint64_t first, end;
};

static int take_body(struct kv_txn *t, void *arg)
{
        struct taken *taken = arg;

        return rec_numbers_take(t, &taken->first, &taken->end);
}

void fs_numbers_init(struct fs *fs)
{
        uint64_t end;

        if (!fs->session)
                return;
        fs_session_take_numbers(fs->session, &fs->numbers.first, &end);
        fs->numbers.count = end - fs->numbers.first;
}

/* The Nth number of the range. */
static uint64_t nth(const struct fs *fs, uint64_t n)
{
        uint64_t lanes = fs->limits->remote ? LANES_REMOTE : 1, length = fs->numbers.count / lanes;

        /* The remainder of the division comes last. */
        return fs->numbers.first + (n < length * lanes ? n % lanes * length + n / lanes : n);
}

static int refill_locked(struct fs *fs)
{
        struct fs_numbers *n = &fs->numbers;
        struct taken taken;
        int r;

        lock_assert_held(&n->lock);
        r = fs_run_write(fs, 0, take_body, &taken);
        if (r < 0)
                return r;
        n->first = taken.first;
        n->count = taken.end - taken.first;
        n->used = 0;
        return 0;
}

int fs_number_take(struct fs *fs, uint64_t *ret)
{
        struct fs_numbers *n = &fs->numbers;

        LOCK_GUARD(&n->lock);
        if (n->used == n->count) {
                int r = refill_locked(fs);

                if (r < 0)
                        return r;
        }
        *ret = nth(fs, n->used++);
        return 0;
}

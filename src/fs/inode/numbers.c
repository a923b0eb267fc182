/* SPDX-License-Identifier: MIT */
/* Inode numbers: taken from the store in ranges, so that a create costs no transaction for its number.
 * Those that a mount took and did not use are lost; none is ever used twice.
 *
 * On a local store the ranges are small and the numbers dense. On a cluster they decide which server keeps
 * an inode and its blocks: each mount has a range so large that it hardly needs another one, far from
 * those of others, and hands it out from several places in turn, so that what one mount makes in a row
 * goes to several servers as soon as the cluster has split the range. */
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "record/counter.h"

#define LANES_REMOTE 16u

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

static uint64_t nth(const struct fs *fs, uint64_t n)
{
        uint64_t lanes = fs->limits->remote ? LANES_REMOTE : 1, length = fs->numbers.count / lanes;

        /* What does not divide comes at the end. */
        return fs->numbers.first + (n < length * lanes ? n % lanes * length + n / lanes : n);
}

int fs_number_take(struct fs *fs, uint64_t *ret)
{
        struct fs_numbers *n = &fs->numbers;
        struct taken taken;
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

/* SPDX-License-Identifier: MIT */
/* Room in a full store. What was deleted is room only after it was collected and committed, and in some
 * stores (LMDB) only to the transaction after the next one. Who deletes files and then writes expects it
 * at once. */
#include "fs/gc/collect.h"

/* How long a store in which no room could be made counts as full without trying again, unless something was
 * collected since. */
#define FULL_NS UINT64_C(1000000000)

/* A transaction that changes nothing and must still be written. */
static int empty_body(struct kv_txn *t, void *arg)
{
        return fs_counter_add(t, 'n', 0);
}

static int make_room(struct fs *fs)
{
        int r = 0;

        fs_collector_settle(fs);
        for (int i = 0; i < 2 && r >= 0; i++) {
                r = kv_run(fs->store, KV_WRITE | KV_RESERVE, empty_body, NULL);
                if (r >= 0)
                        r = kv_sync(fs->store);
        }
        return r;
}

static bool is_known_full(const struct fs *fs)
{
        return fs->clock->monotonic_ns(fs->clock) < fs->room.none_until_ns &&
               fs_collector_generation(fs) == fs->room.none_generation;
}

int fs_run_after_reclaim(struct fs *fs, unsigned flags, kv_body body, void *arg)
{
        int r = -ENOSPC;

        pthread_mutex_lock(&fs->room.lock);
        if (!is_known_full(fs)) {
                r = make_room(fs);
                if (r >= 0)
                        r = kv_run(fs->store, KV_WRITE | flags, body, arg);
                if (r == -ENOSPC) {
                        fs->room.none_until_ns = fs->clock->monotonic_ns(fs->clock) + FULL_NS;
                        fs->room.none_generation = fs_collector_generation(fs);
                }
        }
        pthread_mutex_unlock(&fs->room.lock);
        return r;
}

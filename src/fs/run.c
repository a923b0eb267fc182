/* SPDX-License-Identifier: MIT */
#include "fs/run.h"

#include "fs/gc/gc.h"
#include "record/counter.h"

/* ---- space in a full store ----------------------------------------------------------------------- */

/* What was deleted is free space only after it was collected and committed, and in some stores (LMDB) only to
 * the transaction after the next one. Applications that delete files and then write expect it at once. */

/* How long a store in which no room could be made counts as full without trying again, unless something was
 * collected since. */
#define FULL_NS UINT64_C(1000000000)

/* A transaction that changes nothing and must still be written. */
static int empty_body(struct kv_txn *t, void *arg)
{
        return rec_counter_add(t, FMT_COUNTER_INODES, 0);
}

static int make_space(struct fs *fs)
{
        int r = 0;

        fs_gc_settle(fs);
        for (int i = 0; i < 2 && r >= 0; i++) {
                r = kv_run(fs->store, KV_WRITE | KV_RESERVE, empty_body, NULL);
                if (r >= 0)
                        r = kv_sync(fs->store);
        }
        return r;
}

static bool is_known_full(const struct fs *fs)
{
        return fs->clock->monotonic_ns(fs->clock) < fs->reclaim.none_until_ns &&
               fs_gc_generation(fs) == fs->reclaim.none_generation;
}

static int run_after_reclaim(struct fs *fs, unsigned flags, kv_body body, void *arg)
{
        int r = -ENOSPC;

        pthread_mutex_lock(&fs->reclaim.lock);
        if (!is_known_full(fs)) {
                r = make_space(fs);
                if (r >= 0)
                        r = kv_run(fs->store, KV_WRITE | flags, body, arg);
                if (r == -ENOSPC) {
                        fs->reclaim.none_until_ns = fs->clock->monotonic_ns(fs->clock) + FULL_NS;
                        fs->reclaim.none_generation = fs_gc_generation(fs);
                }
        }
        pthread_mutex_unlock(&fs->reclaim.lock);
        return r;
}

/* ---- runners -------------------------------------------------------------------------------------- */

int fs_run_read(struct fs *fs, kv_body body, void *arg)
{
        if (fs_is_fenced(fs))
                return -ERR_FENCED;
        return fs_check_fence(fs, kv_run(fs->store, KV_READ | KV_LATE, body, arg));
}

int fs_run_since(struct fs *fs, unsigned flags, kv_version *version, kv_body body, void *arg)
{
        int r;

        if (fs->rdonly)
                return -EROFS;
        if (fs_is_fenced(fs))
                return -ERR_FENCED;
        r = fs_check_fence(fs, kv_run_since(fs->store, KV_WRITE | flags, version, body, arg));
        if (r == -ENOSPC && !(flags & KV_RESERVE))
                return run_after_reclaim(fs, flags, body, arg);
        return r;
}

int fs_run_maybe_write(struct fs *fs, unsigned flags, kv_body body, void *arg)
{
        kv_version unknown = 0;

        return fs_run_since(fs, flags, &unknown, body, arg);
}

int fs_run_write(struct fs *fs, unsigned flags, kv_body body, void *arg)
{
        return fs_run_maybe_write(fs, flags | KV_RECENT, body, arg);
}

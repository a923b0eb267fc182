/* SPDX-License-Identifier: MIT */
#include "fs/run.h"

#include "fs/gc/gc.h"
#include "record/counter.h"

/* ---- space in a full store ----------------------------------------------------------------------- */

/* Deleted data becomes free space only when its clearing is committed, in some stores (LMDB) only for the
 * transaction after the next one. Applications that delete files and then write expect it at once. */

/* How long a store counts as full after no space could be freed, unless this mount freed some since. */
#define FULL_NS UINT64_C(1000000000)

/* Changes nothing, but is committed. */
static int empty_body(struct kv_txn *t, void *arg)
{
        return rec_counter_add(t, FMT_COUNTER_INODES, 0);
}

static int make_space(struct fs *fs)
{
        fs_gc_drain(fs);
        for (int i = 0; i < 2; i++) {
                int r = kv_run(fs->store, KV_WRITE | KV_RESERVE, empty_body, NULL);

                if (r < 0)
                        return r;
                r = kv_sync(fs->store);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_known_full_locked(const struct fs *fs)
{
        lock_assert_held(&fs->reclaim.lock);
        return fs->clock->monotonic_ns(fs->clock) < fs->reclaim.none_until_ns &&
               atomic_load(&fs->reclaim.freed) == fs->reclaim.none_freed;
}

static int run_after_reclaim(struct fs *fs, unsigned flags, kv_body body, void *arg)
{
        uint64_t freed;
        int r;

        LOCK_GUARD(&fs->reclaim.lock);
        if (is_known_full_locked(fs))
                return -ENOSPC;
        r = make_space(fs);
        freed = atomic_load(&fs->reclaim.freed);
        if (r >= 0)
                r = kv_run(fs->store, KV_WRITE | flags, body, arg);
        if (r == -ENOSPC) {
                fs->reclaim.none_until_ns = fs->clock->monotonic_ns(fs->clock) + FULL_NS;
                fs->reclaim.none_freed = freed;
        }
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
        if (r >= 0 && (flags & KV_RESERVE))
                atomic_fetch_add(&fs->reclaim.freed, 1);
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

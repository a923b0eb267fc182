/* SPDX-License-Identifier: MIT */
#include "fs/run.h"
#include "record/counter.h"

/* The unit of the figures. It has no other meaning, but programs expect a power of two. */
#define STATFS_UNIT 4096u

/* Space that a new file takes beside its data: its record, its entry, and their share of the store's
 * pages. */
#define BYTES_PER_INODE 512u

static int inodes_body(struct kv_txn *t, void *arg)
{
        int64_t *ret = arg;
        int r = rec_counter_get(t, FMT_COUNTER_INODES, KV_SNAPSHOT, ret);

        if (r < 0)
                return r == -ENOENT ? -ERR_CORRUPT : r;
        return *ret < 0 ? -ERR_CORRUPT : 0;
}

int fs_statfs(struct fs *fs, struct fs_statfs *ret)
{
        struct kv_space space;
        int64_t inodes;
        int r = kv_space(fs->store, &space);

        if (r < 0)
                return r;
        r = fs_run_read(fs, inodes_body, &inodes);
        if (r < 0)
                return r;
        *ret = (struct fs_statfs){
                .block_size = STATFS_UNIT,
                .blocks = space.total_bytes / STATFS_UNIT,
                .blocks_free = space.free_bytes / STATFS_UNIT,
                .inodes = (uint64_t)inodes + space.free_bytes / BYTES_PER_INODE,
                .inodes_free = space.free_bytes / BYTES_PER_INODE,
        };
        memcpy(ret->uuid, fs->uuid, sizeof(ret->uuid));
        return 0;
}

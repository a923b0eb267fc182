/* SPDX-License-Identifier: MIT */
/* Access times. They are approximate, because reads that the kernel serves from its caches do not come
 * here. */
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "record/inode.h"

/* relatime: an access time of this age is renewed although nothing changed since. */
#define STALE_SECONDS (24 * 60 * 60)

bool fs_atime_due(const struct fs *fs, const struct rec_inode *inode, struct timespec now)
{
        const struct fmt_inode *rec = &inode->rec;

        if (fs->rdonly || fs->atime == FS_NOATIME)
                return false;
        if (fs->atime == FS_STRICTATIME)
                return time_before(rec->atime, now);
        return !time_before(rec->mtime, rec->atime) || !time_before(rec->ctime, rec->atime) ||
               now.tv_sec - rec->atime.tv_sec >= STALE_SECONDS;
}

struct atime {
        struct fs *fs;
        uint64_t ino;
        struct timespec now;
};

/* The change counter stays: an access is no reason to drop caches. */
static int atime_body(struct kv_txn *t, void *arg)
{
        struct atime *a = arg;
        struct rec_inode inode;
        int r = rec_inode_load(t, a->ino, REC_INODE_RECORD, 0, &inode);

        if (r < 0)
                return r;
        inode.rec.atime = a->now;
        return rec_inode_store_new(t, a->ino, &inode.rec);
}

void fs_atime_set(struct fs *fs, uint64_t ino, struct timespec now)
{
        struct atime a = { .fs = fs, .ino = ino, .now = now };

        (void)fs_run_write(fs, KV_IDEMPOTENT, atime_body, &a);
}

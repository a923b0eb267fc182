/* SPDX-License-Identifier: MIT */
/* Barriers: sync, fsync and close. */
#include "fs/run.h"
#include "fs/writeback/writeback.h"

int fs_sync(struct fs *fs)
{
        int r, q;

        if (fs_is_fenced(fs))
                return -ERR_FENCED;
        r = fs_writeback_flush_all(fs);
        q = fs->remountable ? fs_check_fence(fs, kv_sync(fs->store)) : 0;
        return r < 0 ? r : q;
}

int fs_fsync(struct fs *fs, uint64_t ino)
{
        int r, q;

        if (fs_is_fenced(fs))
                return -ERR_FENCED;
        r = fs_writeback_flush_report(fs, ino);
        q = fs->remountable ? fs_check_fence(fs, kv_sync(fs->store)) : 0;
        return r < 0 ? r : q;
}

int fs_flush(struct fs *fs, uint64_t ino)
{
        return fs_is_fenced(fs) ? -ERR_FENCED : fs_writeback_flush_report(fs, ino);
}

/* SPDX-License-Identifier: MIT */
/* lseek(2) with SEEK_DATA and SEEK_HOLE, by blocks: zeros inside a stored block count as data. */
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "fs/writeback/writeback.h"
#include "record/block.h"
#include "record/inode.h"

#include <unistd.h>

struct seek {
        struct fs *fs;
        uint64_t ino;
        uint64_t from; /* where this transaction begins */
        uint64_t at;   /* where the next one continues */
        int whence;
        bool found; /* AT is the result */
};

/* Looks at the next existing BLOCK: it is data, and the range from AT to it is a hole. */
static void seek_block(struct seek *s, uint64_t block)
{
        if (s->whence == SEEK_DATA) {
                s->found = true;
                if (block > s->at)
                        s->at = block;
        } else if (block > s->at) {
                s->found = true;
        } else {
                s->at = block + s->fs->block_size;
        }
}

static int seek_range(struct kv_txn *t, struct seek *s, uint64_t size)
{
        /* SEEK_HOLE in a large file without holes visits all blocks, in several transactions. */
        const struct kv_range_opts how = { .limit = rec_block_step(s->fs->limits), .snapshot = true };
        _cleanup_blocks_ struct rec_blocks blocks;
        struct slice data;
        uint64_t block;
        size_t n = 0;
        int r;

        rec_blocks_start(t, &blocks, s->ino, rec_block_down(s->fs->block_size, s->at),
                         rec_block_up(s->fs->block_size, size), &how);
        while (!s->found) {
                r = rec_blocks_next(&blocks, &block, &data);
                if (r < 0)
                        return r;
                if (r == 0)
                        break;
                n++;
                seek_block(s, block);
        }
        if (s->found || n == how.limit)
                return 0;
        /* There are no more blocks: the rest of the file is a hole. */
        if (s->whence == SEEK_DATA)
                return -ENXIO;
        s->found = true;
        return 0;
}

static int seek_body(struct kv_txn *t, void *arg)
{
        struct seek *s = arg;
        struct rec_inode inode;
        int r = rec_inode_load(t, s->ino, REC_INODE_RECORD, KV_SNAPSHOT, &inode);

        s->at = s->from;
        s->found = false;
        if (r < 0)
                return r;
        if (!S_ISREG(inode.rec.mode))
                return -EINVAL;
        if (s->at >= inode.rec.size)
                return -ENXIO;
        r = seek_range(t, s, inode.rec.size);
        if (r < 0)
                return r;
        if (s->at >= inode.rec.size) {
                /* The end of the file counts as a hole. */
                s->at = inode.rec.size;
                s->found = true;
        }
        return 0;
}

int fs_lseek(struct fs *fs, uint64_t ino, uint64_t offset, int whence, uint64_t *ret)
{
        struct seek s = { .fs = fs, .ino = ino, .from = offset, .whence = whence };
        int r;

        if (whence != SEEK_DATA && whence != SEEK_HOLE)
                return -EINVAL;
        r = fs_writeback_flush(fs, ino);
        if (r < 0)
                return r;
        while (!s.found) {
                r = fs_run_read(fs, seek_body, &s);
                if (r < 0)
                        return r;
                s.from = s.at;
        }
        *ret = s.at;
        return 0;
}

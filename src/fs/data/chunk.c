/* SPDX-License-Identifier: MIT */
/* Fetching chunks. */
#include "base/cleanup.h"
#include "fs/data/stream.h"
#include "fs/run.h"
#include "record/block.h"
#include "record/inode.h"

/* Waits for the blocks of the chunk and copies them. */
static int copy_blocks(struct kv_txn *t, struct readahead_chunk *c, struct rec_block_read *reads)
{
        uint32_t block_size = c->readahead->fs->block_size;

        for (size_t at = 0; at < c->len; at += block_size) {
                struct slice value;
                size_t stored;
                int r = rec_block_wait(t, block_size, &reads[at / block_size], &value);

                if (r < 0)
                        return r;
                stored = value.len < c->len - at ? value.len : c->len - at;
                if (stored > 0)
                        memcpy(c->data + at, value.data, stored);
                memset(c->data + at + stored, 0, block_size - stored);
        }
        return 0;
}

static int fetch_body(struct kv_txn *t, void *arg)
{
        struct readahead_chunk *c = arg;
        struct readahead *ra = c->readahead;
        size_t n = ra->chunk_bytes / ra->fs->block_size;
        _cleanup_free_ struct rec_block_read *reads = calloc(n, sizeof(*reads));
        struct rec_inode_read inode_read;
        struct rec_inode inode;
        int r;

        if (!reads)
                return -ENOMEM;
        rec_inode_start(t, &inode_read, c->ino, REC_INODE_RECORD, KV_SNAPSHOT);
        for (size_t i = 0; i < n; i++)
                rec_block_start(t, &reads[i], c->ino, c->offset + i * ra->fs->block_size, KV_SNAPSHOT);
        r = rec_inode_wait(t, &inode_read, &inode);
        if (r < 0)
                return r;
        if (!S_ISREG(inode.rec.mode))
                return -EINVAL;
        c->len = 0;
        if (inode.rec.size > c->offset)
                c->len = inode.rec.size - c->offset < ra->chunk_bytes ? (size_t)(inode.rec.size - c->offset)
                                                                      : ra->chunk_bytes;
        return copy_blocks(t, c, reads);
}

static void fetch(struct pool_job *job)
{
        struct readahead_chunk *c =
                (struct readahead_chunk *)((char *)job - offsetof(struct readahead_chunk, job));
        struct readahead *ra = c->readahead;
        int r = fs_run_read(ra->fs, fetch_body, c);

        LOCK_GUARD(&ra->lock);
        c->error = r < 0 ? r : 0;
        c->done = true;
        waitlist_wake_all(&ra->fetched);
        chunk_put_locked(ra, c);
}

void chunk_put_locked(struct readahead *ra, struct readahead_chunk *c)
{
        lock_assert_held(&ra->lock);
        assert(c->refs > 0);
        if (--c->refs > 0)
                return;
        ra->chunks--;
        free(c);
}

void chunk_fetch_locked(struct readahead *ra, struct readahead_stream *s, uint64_t offset)
{
        struct readahead_chunk *c;

        lock_assert_held(&ra->lock);
        if (ra->chunks >= READAHEAD_CHUNKS || offset > FMT_FILE_SIZE_MAX - ra->chunk_bytes)
                return;
        c = malloc(sizeof(*c) + ra->chunk_bytes);
        if (!c)
                return;
        *c = (struct readahead_chunk){ .job.fn = fetch,
                                       .readahead = ra,
                                       .next = s->chunks,
                                       .ino = s->ino,
                                       .offset = offset,
                                       .begun_ns = ra->fs->clock->monotonic_ns(ra->fs->clock),
                                       .mark = fs_writeback_now(ra->fs),
                                       .refs = 2 };
        s->chunks = c;
        ra->chunks++;
        pool_submit(ra->workers, &c->job);
}

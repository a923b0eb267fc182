/* Reading files: straight out of the store's memory. */
#include "block.h"
#include "cleanup.h"
#include "inode.h"

/* Blocks that need no allocation to be read: 1 MiB in blocks of 16 KiB, and an edge. */
#define BLOCKS_ON_STACK 65u

struct read {
        struct fs *fs;
        uint64_t ino, offset;
        size_t len;
        fs_read_fn fn;
        void *arg;
        struct timespec now;
        int result; /* of FN */
        bool atime_due;
};

/* One block gives at most two pieces: its stored bytes, and the zeros behind them. */
struct pieces {
        int n;
        struct iovec *iov;
};

static void add_piece(struct pieces *p, const uint8_t *data, size_t len)
{
        if (len > 0)
                p->iov[p->n++] = (struct iovec){ .iov_base = (void *)(uintptr_t)data, .iov_len = len };
}

/* The bytes [from, to) of a block that is stored as VALUE. */
static void add_block(struct pieces *p, struct slice value, size_t from, size_t to)
{
        size_t stored = value.len < to ? value.len : to;

        if (stored > from)
                add_piece(p, value.data + from, stored - from);
        else
                stored = from;
        add_piece(p, fs_zeros, to - stored);
}

/* The last act of the body: it is not run again. */
static int hand_out(struct kv_txn *t, struct read *rd, const struct iovec *iov, int n, size_t len)
{
        int r = kv_confirm(t);

        if (r < 0)
                return r;
        rd->result = rd->fn(iov, n, len, rd->arg);
        return 0;
}

static int read_blocks(struct kv_txn *t, struct read *rd, uint64_t end, struct fs_block_read *reads,
                       struct iovec *iov)
{
        const struct fs *fs = rd->fs;
        uint64_t begin = fs_block_down(fs, rd->offset);
        struct pieces pieces = { .iov = iov };
        size_t n = 0;

        for (uint64_t block = begin; block < end; block += fs->block_size)
                fs_block_start(t, &reads[n++], rd->ino, block, KV_SNAPSHOT);
        for (size_t i = 0; i < n; i++) {
                uint64_t block = begin + i * fs->block_size;
                size_t from = block < rd->offset ? (size_t)(rd->offset - block) : 0;
                size_t to = end - block < fs->block_size ? (size_t)(end - block) : fs->block_size;
                struct slice value;
                int r = fs_block_wait(fs, t, &reads[i], &value);

                if (r < 0)
                        return r;
                add_block(&pieces, value, from, to);
        }
        return hand_out(t, rd, iov, pieces.n, (size_t)(end - rd->offset));
}

static int read_body(struct kv_txn *t, void *arg)
{
        struct fs_block_read few_reads[BLOCKS_ON_STACK];
        struct iovec few_iov[2 * BLOCKS_ON_STACK];
        struct read *rd = arg;
        struct fs_inode inode;
        uint64_t end;
        size_t blocks;
        int r = fs_inode_load(rd->fs, t, rd->ino, FS_INODE_RECORD, KV_SNAPSHOT, &inode);

        if (r < 0)
                return r;
        if (!S_ISREG(inode.rec.mode))
                return S_ISDIR(inode.rec.mode) ? -EISDIR : -EINVAL;
        rd->atime_due = fs_atime_due(rd->fs, &inode, rd->now);
        if (rd->offset >= inode.rec.size || rd->len == 0)
                return hand_out(t, rd, NULL, 0, 0);
        end = rd->len < inode.rec.size - rd->offset ? rd->offset + rd->len : inode.rec.size;
        blocks = (size_t)((fs_block_up(rd->fs, end) - fs_block_down(rd->fs, rd->offset)) /
                          rd->fs->block_size);
        if (blocks <= BLOCKS_ON_STACK)
                return read_blocks(t, rd, end, few_reads, few_iov);

        _cleanup_free_ struct fs_block_read *reads = calloc(blocks, sizeof(*reads));
        _cleanup_free_ struct iovec *iov = calloc(2 * blocks, sizeof(*iov));

        return reads && iov ? read_blocks(t, rd, end, reads, iov) : -ENOMEM;
}

int fs_read(struct fs *fs, uint64_t ino, uint64_t offset, size_t len, fs_read_fn fn, void *arg)
{
        struct read rd = { .fs = fs, .ino = ino, .offset = offset, .len = len, .fn = fn, .arg = arg,
                           .now = fs_now(fs) };
        int r = fs_run_read(fs, read_body, &rd);

        if (r < 0)
                return r;
        if (rd.atime_due)
                fs_atime_set(fs, ino, rd.now);
        return rd.result;
}

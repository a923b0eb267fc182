/* SPDX-License-Identifier: MIT */
/* Reading files: straight from the store's memory, or a copy with dirty bytes over it. */
#include "base/cleanup.h"
#include "fs/data/readahead.h"
#include "fs/inode/inode.h"
#include "fs/run.h"
#include "fs/writeback/writeback.h"
#include "record/block.h"
#include "record/inode.h"

/* Blocks that need no allocation to be read: 1 MiB in blocks of 16 KiB, and an edge. */
#define BLOCKS_ON_STACK 65u

struct read {
        struct fs *fs;
        uint64_t ino, offset;
        size_t len;
        fs_read_fn fn;
        void *arg;
        struct timespec now;
        fs_writeback_mark mark;
        uint64_t dirty_end;        /* 0: nothing is dirty */
        bool again;                /* must be read again: see fs_writeback_mark */
        int result;                /* of FN */
        bool atime_due, atime_set; /* set: already, or not wanted */
};

/* The ranges handed out; at most two for each block: its stored bytes, and the zeros behind them. */
struct iovs {
        int n;
        struct iovec *at;
};

static void add_iov(struct iovs *v, const uint8_t *data, size_t len)
{
        if (len > 0)
                v->at[v->n++] = (struct iovec){ .iov_base = (void *)(uintptr_t)data, .iov_len = len };
}

/* Adds the bytes [from, to) of a block that is stored as VALUE. */
static void add_block(struct iovs *v, struct slice value, size_t from, size_t to)
{
        size_t stored = value.len < to ? value.len : to;

        if (stored > from)
                add_iov(v, value.data + from, stored - from);
        else
                stored = from;
        add_iov(v, rec_zeros, to - stored);
}

/* Ends the body, which must not be run again after FN was called. */
static int hand_out(struct kv_txn *t, struct read *rd, const struct iovec *iov, int n, size_t len)
{
        int r = kv_confirm(t);

        if (r < 0)
                return r;
        rd->result = rd->fn(iov, n, len, rd->arg);
        return 0;
}

/* Hands out the data read, with dirty bytes over it. */
static int hand_out_merged(struct kv_txn *t, struct read *rd, const struct iovec *iov, int n, size_t len)
{
        _cleanup_free_ uint8_t *copy = NULL;
        struct iovec whole;
        size_t at = 0;

        if (rd->dirty_end > rd->offset) {
                copy = malloc(len);
                if (!copy)
                        return -ENOMEM;
                for (int i = 0; i < n; at += iov[i].iov_len, i++)
                        memcpy(copy + at, iov[i].iov_base, iov[i].iov_len);
                whole = (struct iovec){ .iov_base = copy, .iov_len = len };
        }
        rd->again = fs_writeback_apply(rd->fs, rd->mark, rd->ino, rd->offset, copy, len) != 0;
        if (rd->again)
                return 0;
        return copy ? hand_out(t, rd, &whole, 1, len) : hand_out(t, rd, iov, n, len);
}

static uint64_t request_end(const struct read *rd)
{
        return rd->offset < FMT_FILE_SIZE_MAX - rd->len ? rd->offset + rd->len : FMT_FILE_SIZE_MAX;
}

/* How many blocks [OFFSET, END) touches. */
static size_t count_blocks(const struct read *rd, uint64_t end)
{
        if (end <= rd->offset)
                return 0;
        return (size_t)((rec_block_up(rd->fs->block_size, end) -
                         rec_block_down(rd->fs->block_size, rd->offset)) /
                        rd->fs->block_size);
}

static void start_blocks(struct kv_txn *t, const struct read *rd, size_t n, struct rec_block_read *reads)
{
        uint64_t begin = rec_block_down(rd->fs->block_size, rd->offset);

        for (size_t i = 0; i < n; i++)
                rec_block_start(t, &reads[i], rd->ino, begin + i * rd->fs->block_size, KV_SNAPSHOT);
}

/* Waits for the blocks up to END, of which the first N were started and the others do not exist, and hands
 * them out. */
static int wait_blocks(struct kv_txn *t, struct read *rd, uint64_t end, size_t n,
                       struct rec_block_read *reads, struct iovec *iov)
{
        const struct fs *fs = rd->fs;
        uint64_t begin = rec_block_down(fs->block_size, rd->offset);
        struct iovs iovs = { .at = iov };
        size_t count = count_blocks(rd, end);

        for (size_t i = 0; i < count; i++) {
                uint64_t block = begin + i * fs->block_size;
                size_t from = block < rd->offset ? (size_t)(rd->offset - block) : 0;
                size_t to = end - block < fs->block_size ? (size_t)(end - block) : fs->block_size;
                struct slice value = { 0 };
                int r = i < n ? rec_block_wait(t, fs->block_size, &reads[i], &value) : 0;

                if (r < 0)
                        return r;
                add_block(&iovs, value, from, to);
        }
        return fs->writeback ? hand_out_merged(t, rd, iov, iovs.n, (size_t)(end - rd->offset))
                             : hand_out(t, rd, iov, iovs.n, (size_t)(end - rd->offset));
}

/* Result of a body: the access time must be set before data is handed out, since the kernel asks for it right
 * after that, and may keep the answer. Where a transaction costs a round trip, the reader does not wait. */
#define ATIME_FIRST 1

/* Waits for the inode: 0 and the file's size, ATIME_FIRST or an error. */
static int wait_inode(struct kv_txn *t, struct read *rd, struct rec_inode_read *read, uint64_t *ret_size)
{
        struct rec_inode inode;
        int r = rec_inode_wait(t, read, &inode);

        if (r < 0)
                return r;
        if (!S_ISREG(inode.rec.mode))
                return S_ISDIR(inode.rec.mode) ? -EISDIR : -EINVAL;
        rd->atime_due = !rd->atime_set && fs_atime_due(rd->fs, &inode, rd->now);
        *ret_size = inode.rec.size;
        return rd->atime_due && !rd->fs->limits->remote ? ATIME_FIRST : 0;
}

/* Reads the request in one transaction. READS and IOV hold all of its blocks. */
static int read_in(struct kv_txn *t, struct read *rd, struct rec_block_read *reads, struct iovec *iov)
{
        struct rec_inode_read inode_read;
        uint64_t size, end, last = request_end(rd);
        /* Where a read costs a round trip, blocks are read beside the inode, before it is known which
         * exist. */
        bool ahead = rd->fs->limits->remote;
        size_t n;
        int r;

        rd->dirty_end = fs_writeback_end(rd->fs, rd->ino);
        rec_inode_start(t, &inode_read, rd->ino, REC_INODE_RECORD, KV_SNAPSHOT);
        if (ahead)
                start_blocks(t, rd, count_blocks(rd, last), reads);
        r = wait_inode(t, rd, &inode_read, &size);
        if (r != 0)
                return r;
        /* Bytes behind the size are not visible. */
        end = last < size ? last : size;
        n = count_blocks(rd, end);
        if (!ahead)
                start_blocks(t, rd, n, reads);
        if (end < last && end < rd->dirty_end)
                end = last < rd->dirty_end ? last : rd->dirty_end;
        if (rd->offset >= end)
                return rd->fs->writeback ? hand_out_merged(t, rd, NULL, 0, 0) : hand_out(t, rd, NULL, 0, 0);
        return wait_blocks(t, rd, end, n, reads, iov);
}

static int read_body(struct kv_txn *t, void *arg)
{
        struct rec_block_read few_reads[BLOCKS_ON_STACK];
        struct iovec few_iov[2 * BLOCKS_ON_STACK];
        struct read *rd = arg;
        size_t blocks = count_blocks(rd, request_end(rd));

        rd->again = false;
        if (blocks <= BLOCKS_ON_STACK)
                return read_in(t, rd, few_reads, few_iov);

        _cleanup_free_ struct rec_block_read *reads = calloc(blocks, sizeof(*reads));
        _cleanup_free_ struct iovec *iov = calloc(2 * blocks, sizeof(*iov));

        return reads && iov ? read_in(t, rd, reads, iov) : -ENOMEM;
}

int fs_read(struct fs *fs, uint64_t ino, uint64_t offset, size_t len, unsigned flags, fs_read_fn fn,
            void *arg)
{
        struct read rd = { .fs = fs,
                           .ino = ino,
                           .offset = offset,
                           .len = len,
                           .fn = fn,
                           .arg = arg,
                           .now = fs_now(fs),
                           .atime_set = flags & FS_READ_NOATIME };
        int r;

        if (fs_readahead_read(fs, ino, offset, len, fn, arg, &r) > 0)
                return r; /* the reads that were noted first have set the access time */
        do {
                rd.mark = fs_writeback_now(fs);
                r = fs_run_read(fs, read_body, &rd);
                if (r == ATIME_FIRST) {
                        fs_atime_set(fs, ino, rd.now);
                        rd.atime_set = rd.again = true;
                }
        } while (r >= 0 && rd.again);
        if (r < 0)
                return r;
        if (rd.atime_due)
                fs_atime_set(fs, ino, rd.now);
        return rd.result;
}

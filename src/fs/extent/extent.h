/* SPDX-License-Identifier: MIT */
/* Extents of files in transactions: writing blocks together with the inode (write.c), and changing the size
 * (truncate.c). */
#ifndef FS_EXTENT_EXTENT_H
#define FS_EXTENT_EXTENT_H

#include "base/cleanup.h"
#include "fs/inode/inode.h"
#include "record/block.h"

/* ---- writing (write.c) -------------------------------------------------------------------------- */

/* Blocks in one transaction at most; a request of 1 MiB is one even with blocks of 16 KiB. */
#define EXTENT_BLOCKS 80u

/* The bytes [from, to) of a block. */
struct extent_range {
        uint32_t from, to;
};

/* New plain bytes of one block: those of its ranges. The bytes between, before and behind them stay as they
 * are. How a block is stored is record/block.h's concern. */
struct extent_block {
        uint64_t offset; /* of the block in its file */
        unsigned n;
        const struct extent_range *ranges; /* sorted, with gaps between */
        const uint8_t *data;               /* from the first range's beginning on; zeros in the gaps */
};

/* The change of an inode by a write, beside data and size. */
struct extent_change {
        bool written, mtime_set; /* which of the times are valid */
        bool kill_priv;          /* as FS_WRITE_KILL_PRIV */
        bool kill_caps;          /* as FS_WRITE_KILL_CAPS; also if kill_priv */
        struct timespec mtime, ctime;
};

/* How blocks that exist and are not covered as a whole are written. */
enum extent_mode {
        EXTENT_PATCH, /* by kv_patch, which reads nothing in stores that keep patches; one range a block */
        EXTENT_MERGE, /* read, assembled in memory, and written as a whole */
};

/* The blocks that one transaction writes; filled in up to COUNT by the caller for each attempt, and not to be
 * initialized as a whole: it is large. */
struct extent_write {
        struct fs *fs;
        uint64_t ino;
        enum extent_mode mode;
        const struct extent_change *change; /* NULL: the inode is not written */
        const struct extent_block *blocks;
        unsigned count;

        /* Private to write.c. */
        bool blocks_started;
        struct rec_inode_read inode_read;
        struct fs_priv_read priv_read;
        struct rec_block_read reads[EXTENT_BLOCKS];
        bool existed[EXTENT_BLOCKS];
        size_t old_len[EXTENT_BLOCKS];
        const uint8_t *merged[EXTENT_BLOCKS]; /* NULL: the block is written from its data */
        uint8_t *merge_buffer;
};

/* Sets the members that every write needs; BLOCKS may follow before the first read of them. */
static inline void extent_write_init(struct extent_write *w, struct fs *fs, uint64_t ino,
                                     enum extent_mode mode, const struct extent_change *change)
{
        w->fs = fs;
        w->ino = ino;
        w->mode = mode;
        w->change = change;
        w->blocks = NULL;
        w->count = 0;
        w->blocks_started = false;
        w->merge_buffer = NULL;
}

/* Frees what reading allocated. */
static inline void extent_write_done(struct extent_write *w)
{
        free(w->merge_buffer);
}

#define _cleanup_extent_write_ _cleanup_(extent_write_done)

/* How many blocks one transaction is planned to write. */
size_t extent_max_blocks(const struct fs *fs);

/* The transaction of data, size and times, in three calls. extent_begin starts the reads: the inode, and
 * where a read costs a round trip also the blocks, if they are known yet. extent_load waits for the inode: 0,
 * EISDIR, EINVAL or an error. extent_finish then reads what is left, writes the blocks and stores the inode
 * with the size up to their end: 0, FS_TRIM_FIRST or an error. */
void extent_begin(struct extent_write *w, struct kv_txn *t);
int extent_load(struct extent_write *w, struct kv_txn *t, struct rec_inode *ret);
int extent_finish(struct extent_write *w, struct kv_txn *t, struct rec_inode *inode);

/* Its steps, for transactions that write blocks apart from the inode. */

/* Starts reading the first N blocks as they are in the store. */
void extent_start_blocks(struct extent_write *w, struct kv_txn *t, unsigned n);
/* Waits for the first N, of which the other blocks have nothing in the store. What was read is gone when the
 * transaction writes, so this puts together what is to be written. */
int extent_wait_blocks(struct extent_write *w, struct kv_txn *t, unsigned n);
/* Writes all blocks and adds what they take to *ALLOCATED (fmt_inode: modulo 2^64). */
int extent_put_blocks(const struct extent_write *w, struct kv_txn *t, uint64_t *allocated);
/* Applies the change, grows the size to END and stores the inode. */
int extent_store_inode(struct kv_txn *t, const struct extent_change *change, struct rec_inode *inode,
                       uint64_t end);
/* Whether INODE can be written: 0, EISDIR or EINVAL. */
int extent_check_file(const struct rec_inode *inode);

static inline uint32_t extent_block_end(const struct extent_block *b)
{
        return b->ranges[b->n - 1].to;
}

/* The end of the last block's bytes. */
static inline uint64_t extent_end(const struct extent_write *w)
{
        return w->blocks[w->count - 1].offset + extent_block_end(&w->blocks[w->count - 1]);
}

/* ---- what a write changes of the inode (change.c) ---------------------------------------------- */

/* Times follow ext4: a write sets mtime and ctime to the time of the write, not of the commit. A change that
 * waited in memory may be older than the stored times, so ctime never goes back. With FS_WRITE_KEEP_TIMES the
 * kernel sends mtime and ctime behind the data; until they come, ctime alone shows that the file changed. */

/* Adds a write with FLAGS (enum fs_write_flags) at NOW. */
void extent_change_add(struct extent_change *c, unsigned flags, struct timespec now);
/* Adds all of LATER. */
void extent_change_merge(struct extent_change *c, const struct extent_change *later);
void extent_change_times(const struct extent_change *c, struct timespec *mtime, struct timespec *ctime);

/* ---- changing the size (truncate.c) ------------------------------------------------------------- */

/* Shrinking by more than one transaction may clear leaves a mark (trim_from) in the inode and its number
 * under 'g': blocks from there on are dead, and cleared in bounded steps. */

/* Result of a body that would make dead blocks visible: call fs_trim_finish and run it again. */
#define FS_TRIM_FIRST 1

/* Gives INODE (a regular file loaded without KV_SNAPSHOT, stored by the caller afterwards) SIZE bytes. All of
 * the caller's reads have been waited for. 0, FS_TRIM_FIRST, EFBIG or an error. */
int fs_resize(struct fs *fs, struct kv_txn *t, struct rec_inode *inode, uint64_t size);

/* Whether writing or extending up to END would make dead blocks visible. */
static inline bool fs_trim_blocks(const struct rec_inode *inode, uint64_t end)
{
        return inode->rec.trim_from != 0 && end > inode->rec.trim_from;
}

/* Clears a bounded number of dead blocks in one transaction: 1 if more remain, 0 if none do. */
int fs_trim_step(struct fs *fs, uint64_t ino);

/* Clears all dead blocks, also those that a mount is writing: it notices, and writes them again. */
int fs_trim_finish(struct fs *fs, uint64_t ino);

/* Does the same, but leaves blocks alone as long as the mount that is writing them is registered. */
int fs_trim_abandoned(struct fs *fs, uint64_t ino);

/* Takes a bounded number of steps after a resize that left a mark. Unless it returns 0, the caller queues the
 * inode for the collector. */
int fs_trim_begin(struct fs *fs, uint64_t ino);

#endif

/* SPDX-License-Identifier: MIT */
/* Blocks of files, 'f' INO OFFSET. Only the plain form is written and read: the others (compressed, with
 * parity) need a feature bit in 'M', which this version refuses to open. One get therefore finds a block, and
 * replacing it has no other form to clear. */
#ifndef RECORD_BLOCK_H
#define RECORD_BLOCK_H

#include "format/format.h"
#include "kv/kv.h"

/* As long as the largest block. */
extern const uint8_t rec_zeros[FMT_BLOCK_SIZE_MAX];

/* Rounds OFFSET down to a block. */
static inline uint64_t rec_block_down(uint32_t block_size, uint64_t offset)
{
        return offset - offset % block_size;
}

/* Rounds OFFSET up to a block. OFFSET is at most FMT_FILE_SIZE_MAX. */
static inline uint64_t rec_block_up(uint32_t block_size, uint64_t offset)
{
        return rec_block_down(block_size, offset + block_size - 1);
}

/* ---- reading ------------------------------------------------------------------------------------ */

#define REC_BLOCK_KEY_MAX 24u

/* A read in flight. Must not move until rec_block_wait. */
struct rec_block_read {
        struct kv_read read;
        uint8_t key[REC_BLOCK_KEY_MAX];
};

/* Starts reading the block at OFFSET (of a block); rec_block_wait returns it. FLAGS: as kv_get_start. */
void rec_block_start(struct kv_txn *t, struct rec_block_read *r, uint64_t ino, uint64_t offset,
                     unsigned flags);
/* Returns 1 and the stored bytes, which zeros follow up to the block size; 0 and an empty slice if the block
 * is absent (all zeros); ERR_CORRUPT; or an error of the store. */
int rec_block_wait(struct kv_txn *t, uint32_t block_size, struct rec_block_read *r, struct slice *ret);

/* Iterates over the existing blocks in [BEGIN, END), offsets of blocks. */
struct rec_blocks {
        struct fmt_key begin, end;
        struct kv_range range;
};

/* Starts the iteration. HOW: limit, reverse, snapshot and mode of the range read. */
void rec_blocks_start(struct kv_txn *t, struct rec_blocks *r, uint64_t ino, uint64_t begin, uint64_t end,
                      const struct kv_range_opts *how);
/* Returns 1 with the next block's offset and stored bytes, 0 at the end, ERR_CORRUPT, or an error of the
 * store. */
int rec_blocks_next(struct rec_blocks *r, uint64_t *ret_offset, struct slice *ret_data);
void rec_blocks_end(struct rec_blocks *r);
#define _cleanup_blocks_ _cleanup_(rec_blocks_end)

/* Existing blocks, as counted by rec_block_find. */
struct rec_block_found {
        unsigned count;
        uint64_t allocated; /* their part of fmt_inode's */
        uint64_t last;      /* offset of the last one returned; undefined if COUNT is 0 */
};

/* Counts existing blocks in [begin, end) (offsets of blocks), at most LIMIT: the first ones, or with REVERSE
 * the last ones. */
int rec_block_find(struct kv_txn *t, uint64_t ino, uint64_t begin, uint64_t end, bool reverse, unsigned limit,
                   struct rec_block_found *ret);

/* Makes the transaction conflict with writes of blocks in [begin, end). */
int rec_block_depend(struct kv_txn *t, uint64_t ino, uint64_t begin, uint64_t end);

/* ---- writing ------------------------------------------------------------------------------------ */

/* A change of a block: DATA replaces the bytes from FROM on. OLD is a copy of the former bytes, because a
 * read slice ends with the transaction's first write. Bytes of OLD that DATA covers are not looked at; zeros
 * follow OLD. */
struct rec_block_edit {
        uint64_t offset; /* of the block */
        bool existed;
        size_t old_len; /* as it was stored; 0 if it did not exist */
        struct slice old;
        size_t from;
        struct slice data;
};

/* Writes the changed block in its stored form: without trailing zeros, absent if it is all zeros. Adjusts
 * ALLOCATED (fmt_inode: modulo 2^64). */
int rec_block_put(struct kv_txn *t, uint32_t block_size, uint64_t ino, const struct rec_block_edit *e,
                  uint64_t *allocated);

/* Writes the whole block at OFFSET from DATA. EXISTED and OLD_LEN describe the former block. */
int rec_block_set(struct kv_txn *t, uint64_t ino, uint64_t offset, bool existed, size_t old_len,
                  struct slice data, uint64_t *allocated);

/* Writes E's data into the block without its old bytes (E->old is not looked at). Zeros written over the
 * block's end stay stored until the block is written as a whole. */
int rec_block_patch(struct kv_txn *t, uint64_t ino, const struct rec_block_edit *e, uint64_t *allocated);

/* Clears the blocks in [begin, end), which are those in FOUND, and takes them from ALLOCATED. */
int rec_block_clear(struct kv_txn *t, uint32_t block_size, uint64_t ino, uint64_t begin, uint64_t end,
                    const struct rec_block_found *found, uint64_t *allocated);

/* Clears the block at OFFSET without counting it. */
int rec_block_clear_one(struct kv_txn *t, uint64_t ino, uint64_t offset);

/* How many existing blocks one transaction should find or clear at most. */
unsigned rec_block_step(const struct kv_limits *limits);

#endif

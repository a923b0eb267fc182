/* SPDX-License-Identifier: MIT */
/* Blocks of files in a transaction. Only the plain form exists so far: the others (compressed, with parity)
 * come with a feature bit in 'M', which this version refuses to open. So one get finds a block, and
 * replacing it has nothing else to clear. */
#ifndef RECORD_BLOCK_H
#define RECORD_BLOCK_H

#include "format/format.h"
#include "kv/kv.h"

/* As long as the largest block. */
extern const uint8_t rec_zeros[FMT_BLOCK_SIZE_MAX];

static inline uint64_t rec_block_down(uint32_t block_size, uint64_t offset)
{
        return offset - offset % block_size;
}

/* OFFSET at most FMT_FILE_SIZE_MAX. */
static inline uint64_t rec_block_up(uint32_t block_size, uint64_t offset)
{
        return rec_block_down(block_size, offset + block_size - 1);
}

#define REC_BLOCK_KEY_MAX 24u

/* A block being read. Keep it where it is until waited for. */
struct rec_block_read {
        struct kv_read read;
        uint8_t key[REC_BLOCK_KEY_MAX];
};

/* OFFSET: of the block. FLAGS: as kv_get_start. */
void rec_block_start(struct kv_txn *t, struct rec_block_read *r, uint64_t ino, uint64_t offset,
                     unsigned flags);
/* 1 and the stored bytes (zeros follow up to the block size), 0 if absent: all zeros, and an empty slice. */
int rec_block_wait(struct kv_txn *t, uint32_t block_size, struct rec_block_read *r, struct slice *ret);

/* A block about to be changed: DATA replaces what is at FROM. OLD is a copy of the former bytes (what
 * was read is gone once the transaction writes), of which those that DATA covers are not looked at;
 * zeros follow. */
struct rec_block_edit {
        uint64_t offset; /* of the block */
        bool existed;
        size_t old_len; /* as it was stored; 0 if it did not exist */
        struct slice old;
        size_t from;
        struct slice data;
};

/* Writes the changed block in its stored form, without trailing zeros and absent if it is all zeros, and
 * changes ALLOCATED (fmt_inode: modulo 2^64) accordingly. */
int rec_block_put(struct kv_txn *t, uint32_t block_size, uint64_t ino, const struct rec_block_edit *e,
                  uint64_t *allocated);

/* Writes the block at OFFSET as a whole, straight from DATA; what it was is in EXISTED and OLD_LEN. */
int rec_block_set(struct kv_txn *t, uint64_t ino, uint64_t offset, bool existed, size_t old_len,
                  struct slice data, uint64_t *allocated);

/* Writes E's data into the block without its old bytes (e->old is not looked at). Zeros that it puts over the
 * block's end stay stored, until it is written as a whole. */
int rec_block_patch(struct kv_txn *t, uint64_t ino, const struct rec_block_edit *e, uint64_t *allocated);

/* Existing blocks that rec_block_find met. */
struct rec_block_found {
        unsigned count;
        uint64_t allocated; /* their part of fmt_inode's */
        uint64_t last;      /* offset of the last one; of none, undefined */
};

/* Finds existing blocks in [begin, end) (offsets of blocks), at most LIMIT: the first of them, or with
 * REVERSE the last. */
int rec_block_find(struct kv_txn *t, uint64_t ino, uint64_t begin, uint64_t end, bool reverse, unsigned limit,
                   struct rec_block_found *ret);

/* This transaction fails if somebody writes a block in [begin, end) before it commits. */
int rec_block_depend(struct kv_txn *t, uint64_t ino, uint64_t begin, uint64_t end);

/* Clears the blocks in [begin, end), which are those FOUND, and takes them from ALLOCATED. */
int rec_block_clear(struct kv_txn *t, uint32_t block_size, uint64_t ino, uint64_t begin, uint64_t end,
                    const struct rec_block_found *found, uint64_t *allocated);

/* How many existing blocks one transaction should find or clear at most. */
unsigned rec_block_step(const struct kv_limits *limits);

#endif

/* Blocks of files in a transaction. Only the plain form exists so far: the others (compressed, with parity)
 * come with a feature bit in 'M', which this version refuses to open. So one get finds a block, and
 * replacing it has nothing else to clear. */
#ifndef FS_BLOCK_H
#define FS_BLOCK_H

#include "core.h"

/* As long as the largest block. */
extern const uint8_t fs_zeros[FS_BLOCK_MAX];

static inline uint64_t fs_block_down(const struct fs *fs, uint64_t offset)
{
        return offset & ~(uint64_t)(fs->block_size - 1);
}

/* OFFSET at most FS_SIZE_MAX. */
static inline uint64_t fs_block_up(const struct fs *fs, uint64_t offset)
{
        return fs_block_down(fs, offset + fs->block_size - 1);
}

#define FS_BLOCK_KEY_MAX 24u

/* A block being read. Keep it where it is until waited for. */
struct fs_block_read {
        struct kv_read read;
        uint8_t key[FS_BLOCK_KEY_MAX];
};

/* OFFSET: of the block. FLAGS: as kv_get_start. */
void fs_block_start(struct kv_txn *t, struct fs_block_read *r, uint64_t ino, uint64_t offset,
                    unsigned flags);
/* 1 and the stored bytes (zeros follow up to the block size), 0 if absent: all zeros, and an empty slice. */
int fs_block_wait(const struct fs *fs, struct kv_txn *t, struct fs_block_read *r, struct slice *ret);

/* A block about to be changed: DATA replaces what is at FROM. The slices must not point into the store: OLD is
 * a copy of the former bytes, of which those that DATA covers are not looked at; zeros follow it. */
struct fs_block_edit {
        uint64_t offset; /* of the block */
        bool existed;
        struct slice old;
        size_t from;
        struct slice data;
};

/* Writes the changed block in its stored form, without trailing zeros and absent if it is all zeros, and
 * changes ALLOCATED, the bytes of the inode's blocks, accordingly. */
int fs_block_put(const struct fs *fs, struct kv_txn *t, uint64_t ino, const struct fs_block_edit *e,
                 uint64_t *allocated);

/* The count of existing blocks in [begin, end) (offsets of blocks), up to LIMIT: the first of them, or with
 * REVERSE the last. *RET_LAST is the offset of the last one counted. */
int fs_block_count(struct kv_txn *t, uint64_t ino, uint64_t begin, uint64_t end, bool reverse,
                   unsigned limit, uint64_t *ret_last);

/* Clears the blocks in [begin, end), of which COUNT exist. */
int fs_block_clear(const struct fs *fs, struct kv_txn *t, uint64_t ino, uint64_t begin, uint64_t end,
                   unsigned count, uint64_t *allocated);

/* How many existing blocks one transaction should clear or count at most. */
unsigned fs_block_step(const struct fs *fs);

#endif

/* SPDX-License-Identifier: MIT */
/* Positions in directories.
 *
 * The kernel identifies a position in a directory by a 63-bit number. Without OPENDIR there is no state of
 * an open directory, so a position is the keyed hash of the name before it. A table of the names in recent
 * replies maps it back to the name, even if the name has been removed since. If the name was dropped from
 * the table, the caller searches the directory for a name with that hash.
 *
 * Any thread; a chunk is used by one thread until dirpos_remember.
 */
#ifndef FUSE_OPS_DIRPOS_H
#define FUSE_OPS_DIRPOS_H

#include "base/siphash.h"

#include <stdbool.h>

/* Positions that are not hashes. */
#define DIRPOS_START  0u /* before "." */
#define DIRPOS_DOT    1u /* after "." */
#define DIRPOS_DOTDOT 2u /* after ".." */

#define DIRPOS_NAME_MAX 255u /* bytes */

struct dirpos;
struct dirpos_chunk;

struct dirpos_name {
        uint8_t len;
        uint8_t data[DIRPOS_NAME_MAX];
};

/* KEY: specific to the file system and the same for all its mounts, so that positions stay valid across
 * mounts (NFS). MAX_BYTES: memory for names. ENOMEM. */
int dirpos_new(const uint8_t key[SIPHASH_KEY_SIZE], size_t max_bytes, struct dirpos **ret);
/* Takes NULL. */
void dirpos_free(struct dirpos *p);

/* Returns the position after NAME: above DIRPOS_DOTDOT, at most INT64_MAX. */
uint64_t dirpos_of(const struct dirpos *p, struct slice name);

/* Starts a chunk: the names of one reply, in order. */
struct dirpos_chunk *dirpos_chunk_new(uint64_t dir); /* NULL: no memory */
/* Adds NAME, of 1 to DIRPOS_NAME_MAX bytes (asserted), with its position. ENOMEM. */
int dirpos_chunk_add(struct dirpos_chunk *c, uint64_t pos, struct slice name);
/* Adds the chunk to the table, which takes it over. */
void dirpos_remember(struct dirpos *p, struct dirpos_chunk *c);

/* Finds the name before position POS of directory DIR. False: dropped, or never a position. */
bool dirpos_find(struct dirpos *p, uint64_t dir, uint64_t pos, struct dirpos_name *ret);

#endif

/* SPDX-License-Identifier: MIT */
/* Positions in directories.
 *
 * The kernel names a place in a directory by a 63-bit number, and since it is told not to send OPENDIR there
 * is nothing per open directory that could remember more. A position is the keyed hash of the last name
 * handed out. A table of what recent replies contained maps it back to the name, also when that name has been
 * removed since; if it was evicted, the caller searches the directory for a name with that hash.
 *
 * All functions may be called from any thread; a chunk being filled belongs to one.
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

/* KEY: secret or at least particular to the file system, and the same on each mount of it, so that positions
 * that outlive a mount (NFS) still work. MAX_BYTES bounds what is remembered. ENOMEM. */
int dirpos_new(const uint8_t key[SIPHASH_KEY_SIZE], size_t max_bytes, struct dirpos **ret);
/* Takes NULL. */
void dirpos_free(struct dirpos *p);

/* The position after NAME: never one of the reserved ones, never above INT64_MAX. */
uint64_t dirpos_of(const struct dirpos *p, struct slice name);

/* One reply's names: filled in order, then handed over, whereupon it may be evicted at any time. */
struct dirpos_chunk *dirpos_chunk_new(uint64_t dir); /* NULL: no memory */
/* NAME has 1 to DIRPOS_NAME_MAX bytes (asserted). ENOMEM. */
int dirpos_chunk_add(struct dirpos_chunk *c, uint64_t pos, struct slice name);
void dirpos_remember(struct dirpos *p, struct dirpos_chunk *c);

/* The name that POS of directory DIR stands for, if it is still remembered. */
bool dirpos_find(struct dirpos *p, uint64_t dir, uint64_t pos, struct dirpos_name *ret);

#endif

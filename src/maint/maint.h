/* SPDX-License-Identifier: MIT */
/* Maintenance: making and checking a file system in a store that need not be mounted.
 *
 * Errors are negative (base/err.h), and explained in TEXT.
 */
#ifndef MAINT_MAINT_H
#define MAINT_MAINT_H

#include "base/clock.h"
#include "base/err.h"
#include "kv/kv.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- mkfs --------------------------------------------------------------------------------------- */

struct maint_mkfs_opts {
        uint32_t block_size; /* bytes, fmt_block_size_valid(); 0: default for the store */
        const char *label;   /* may be NULL */
        uint32_t root_mode;  /* permission bits of the root directory; 0: 0755 */
        uint32_t root_uid, root_gid;
        bool force; /* erase what the store holds */
};

/* Makes an empty file system. EEXIST if the store holds any keys (without force). EBUSY if a mount is
 * registered in a remote store; in a local one the store's lock keeps mounts away. */
int maint_mkfs(struct kv_store *store, const struct maint_mkfs_opts *opts, const struct clock *clock,
               struct err_text *text);

/* ---- checking (check.c): walks all keys ---------------------------------------------------------- */

/* Called for each violation with one line of text. */
typedef void (*maint_check_fn)(const char *violation, void *arg);

struct maint_check_result {
        uint64_t inodes, directories, files, symlinks, others, dirents, blocks, xattrs, garbage;
        uint64_t data_bytes;
        uint64_t violations;
        bool snapshot; /* one state of the store was checked; otherwise changes during the check may look like
                        * violations */
};

/* Checks every key and value, of one snapshot if the store's transactions last long enough: decoding;
 * names without inodes, and inodes without names that 'g' does not list; link counts; parents; blocks
 * beyond the size, without an inode, overlapping or of the wrong size; allocated bytes; counters;
 * leftovers. PROGRESS (may be NULL) is called from time to time with the number of keys seen. ERR_NO_FS,
 * ERR_NEWER with TEXT; violations are no error. */
int maint_check(struct kv_store *store, maint_check_fn fn, void *arg,
                void (*progress)(uint64_t keys, void *arg), struct maint_check_result *ret,
                struct err_text *text);

#endif

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
        bool force; /* erase a file system that is already there */
};

/* Makes an empty file system. EEXIST if the store holds one (without force) or anything else; EBUSY if it is
 * a remote one and a mount is registered in it (who has a local one open has it alone, by its lock). */
int maint_mkfs(struct kv_store *store, const struct maint_mkfs_opts *opts, const struct clock *clock,
               struct err_text *text);

/* ---- checking (check.c): walks all keys ---------------------------------------------------------- */

/* Called for each violation with one line of text. */
typedef void (*maint_check_fn)(const char *violation, void *arg);

struct maint_check_result {
        uint64_t inodes, directories, files, symlinks, others, dirents, blocks, xattrs, garbage;
        uint64_t data_bytes;
        uint64_t violations;
        bool snapshot; /* all of it is one state of the store; otherwise changes meanwhile may look like
                        * violations */
};

/* Checks every key and value, of one snapshot if the store lets a transaction last long enough: decoding;
 * names without inodes and inodes without names outside 'g'; link counts; parents; blocks beyond the
 * size, of nobody, overlapping or of the wrong size; allocated bytes; counters; leftovers. PROGRESS (may
 * be NULL) is called now and then with the number of keys seen. ERR_NO_FS, ERR_NEWER with TEXT;
 * violations are no error. */
int maint_check(struct kv_store *store, maint_check_fn fn, void *arg,
                void (*progress)(uint64_t keys, void *arg), struct maint_check_result *ret,
                struct err_text *text);

#endif

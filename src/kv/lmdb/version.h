/* SPDX-License-Identifier: MIT */
/* Which LMDB libraries and files this engine supports. It relies on internals of LMDB that no interface
 * guarantees:
 *
 *     check.c     the layout of pages, nodes and headers
 *     free.c      the list of free pages, which of its records a writer reads, the text of mdb_reader_list
 *     pages.c     how many pages a commit copies and splits
 *     reserve.c   that reading for a long run merges records of the list
 *     env.c       that an environment is unusable after its header could not be written (MDB_PANIC)
 *
 * With another algorithm a reservation could be too small, and a write that was acknowledged could be lost on
 * a full disk. So an unknown version is refused.
 */
#ifndef KV_LMDB_VERSION_H
#define KV_LMDB_VERSION_H

#include "base/err.h"

/* LMDB 0.9, the patch levels whose sources were compared: from 0.9.24, which this was written for, to 0.9.33
 * the functions of allocation, free list, commit, page headers, rebalancing and reader list are the same.
 * mdb_page_split differs from 0.9.30 on, in where it splits pages that are not of 4096 bytes. Before a later
 * version is added here, compare mdb_page_alloc, mdb_find_oldest, mdb_freelist_save, mdb_page_touch,
 * mdb_page_split, mdb_rebalance, mdb_node_add, mdb_ovpage_free, mdb_page_spill, mdb_env_write_meta,
 * mdb_env_read_header and mdb_reader_list. */
#define LMDB_MAJOR     0
#define LMDB_MINOR     9
#define LMDB_PATCH_MIN 24
#define LMDB_PATCH_MAX 33

/* Bounds of pages.c hold for pages of at least this size; LMDB makes files with the machine's pages. */
#define LMDB_PAGE_MIN 4096u

/* Checks the version of the library, as mdb_version returns it. ENOTSUP with TEXT. */
int lmdb_check_version(int major, int minor, int patch, struct err_text *text);

/* Checks the longest key that the library was built for and the page size of the file. ENOTSUP with TEXT. */
int lmdb_check_sizes(unsigned key_bytes, unsigned page_bytes, const char *path, struct err_text *text);

#endif

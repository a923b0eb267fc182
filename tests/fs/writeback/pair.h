/* SPDX-License-Identifier: MIT */
/* Two mounts with write-back caches on one store. Transactions are planned so small that ten blocks are
 * already flushed in parallel. */
#ifndef PAIR_H
#define PAIR_H

#include "fixture.h"
#include "fs/writeback/writeback.h"
#include "kv/testing/testing.h"

#define BLOCK   4096u
#define FOREVER 1000000u /* ms: the timer never flushes */

/* Something to write. */
extern uint8_t big[200 * BLOCK];

struct pair {
        struct fixture a, b; /* both use the store of A */
};

/* Options of a cache that flushes nothing by itself until it is half full. */
extern const struct fs_writeback_opts lazy;

/* SPEC: as fixture_open; with faults too where the test's stack has them and SPEC is "mem+remote". */
void open_pair(struct pair *p, const char *spec, const struct fs_writeback_opts *opts);
void close_pair(struct pair *p);

/* Writes all of it, asserted. */
void write_at(struct fixture *f, uint64_t ino, uint64_t offset, const void *data, size_t len);
/* Fills BIG with bytes that differ by offset. */
void fill_big(void);

#endif

/* SPDX-License-Identifier: MIT */
/* Random records that the format allows. Their pointers point into BUF. */
#ifndef TESTS_FORMAT_RANDOM_H
#define TESTS_FORMAT_RANDOM_H

#include "base/rng.h"
#include "format/format.h"

/* Small, large and all magnitudes between, and the boundaries of varints. */
uint64_t random_number(struct rng *r);
struct timespec random_time(struct rng *r);
/* MIN to MAX bytes, none of them zero or '/', written to BUF. Neither "." nor "..". */
struct slice random_text(struct rng *r, uint8_t *buf, size_t min, size_t max);

/* BUF has FMT_SYMLINK_MAX bytes. */
struct fmt_inode random_inode(struct rng *r, uint8_t *buf);
struct fmt_dirent random_dirent(struct rng *r);
struct fmt_lock random_lock(struct rng *r);
/* BUF has 2048 bytes. */
struct fmt_process random_process(struct rng *r, uint8_t *buf);
/* BUF has 256 bytes. */
struct fmt_meta random_meta(struct rng *r, uint8_t *buf);

#endif

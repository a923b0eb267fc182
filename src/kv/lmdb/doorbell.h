/* SPDX-License-Identifier: MIT */
/* The doorbell wakes other threads and processes after a commit, which LMDB does not: a counter in a file
 * that all processes map, and a futex on it.
 */
#ifndef KV_LMDB_DOORBELL_H
#define KV_LMDB_DOORBELL_H

#include <stdbool.h>
#include <stdint.h>

struct lmdb_doorbell;

/* Opens the doorbell of the store in DIR_FD. If SHARED is false, or its file cannot be used, it works within
 * this process only. */
int lmdb_doorbell_open(int dir_fd, bool shared, struct lmdb_doorbell **ret);
/* Takes NULL. */
void lmdb_doorbell_close(struct lmdb_doorbell *d);
void lmdb_doorbell_ring(struct lmdb_doorbell *d);
/* Rings so far. */
uint32_t lmdb_doorbell_count(const struct lmdb_doorbell *d);
/* Waits until it was rung after COUNT was read, TIMEOUT_MS at most; may return early. */
void lmdb_doorbell_wait(struct lmdb_doorbell *d, uint32_t count, unsigned timeout_ms);

#endif

/* SPDX-License-Identifier: MIT */
/* Which errors of a transaction are transient, and the wait before it is run again. */
#ifndef KV_RETRY_H
#define KV_RETRY_H

#include "kv/engine.h"

bool kv_is_transient(int r);

/* Waits after attempt N (from 0) failed with R, as the store demands. Returns R if another attempt makes
 * sense now, or the error to fail with; R itself, without waiting, if it is not transient. T: see
 * kv_ops.backoff. */
int kv_backoff(struct kv_store *s, struct kv_txn *t, int r, unsigned n);

#endif

/* SPDX-License-Identifier: MIT */
/* Which errors of a transaction are transient, and the wait before it is run again. */
#ifndef KV_RETRY_H
#define KV_RETRY_H

#include "kv/engine.h"

static inline bool kv_is_transient(int r)
{
        return r == -ERR_CONFLICT || r == -ERR_RETRY || r == -ERR_UNKNOWN_RESULT;
}

int kv_backoff_transient(struct kv_store *s, struct kv_txn *t, int r, unsigned n);

/* Waits after attempt N (from 0) failed with R, as the store demands. Returns R if another attempt makes
 * sense now, or the error to fail with; R itself, without waiting, if it is not transient. T: see
 * kv_ops.backoff. */
static inline int kv_backoff(struct kv_store *s, struct kv_txn *t, int r, unsigned n)
{
        return kv_is_transient(r) ? kv_backoff_transient(s, t, r, n) : r;
}

#endif

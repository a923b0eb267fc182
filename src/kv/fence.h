/* SPDX-License-Identifier: MIT */
/* The fence: a key that every transaction of kv_run reads and that must exist. kv_set_fence and kv_confirm
 * are its public part. */
#ifndef KV_FENCE_H
#define KV_FENCE_H

#include "kv/engine.h"

/* Starts the read of the fence, which the store must have, in READ: before the body's reads, so that it costs
 * no extra round trip. kv_confirm waits for it. A blind transaction declares it instead. */
int kv_fence_start(struct kv_txn *t, struct kv_read *read);

/* Takes NULL. */
void kv_fence_free(struct kv_fence *f);

#endif

/* SPDX-License-Identifier: MIT */
/* Markers decide whether a commit with an unknown result happened: the transaction writes a marker of its
 * own, which exists afterwards only if it committed. A store has a few keys (slots) for them; a value names
 * the transaction, so that slots can be used again. kv_set_markers is the public part. */
#ifndef KV_MARKER_H
#define KV_MARKER_H

#include "kv/engine.h"

/* One slot in use by one kv_run. */
struct kv_marker {
        struct kv_store *store; /* NULL: no slot */
        unsigned slot;
        size_t key_len;
        uint8_t key[KV_KEY_MAX];
        uint8_t value[16]; /* sequence number, and random bytes that distinguish processes */
};

/* Takes a slot; waits for a free one. BLIND: takes one that is seldom used, because a recent write to the
 * slot is a conflict. EINTR, ERR_AWAY: the thread's deadline ended the wait. */
int kv_marker_take(struct kv_marker *m, struct kv_store *s, bool blind);
void kv_marker_release(struct kv_marker *m);

/* Writes the marker in the transaction that it stands for. */
int kv_marker_put(struct kv_txn *t, const struct kv_marker *m);

/* Finds out whether a transaction that wrote M committed: 1, 0, or an error. After 0 it never will. */
int kv_marker_settle(const struct kv_marker *m);

/* Takes NULL. */
void kv_markers_free(struct kv_markers *markers);

#endif

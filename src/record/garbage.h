/* SPDX-License-Identifier: MIT */
/* Garbage, 'g' INO: inodes that lost their last name, and files with blocks beyond their end. */
#ifndef RECORD_GARBAGE_H
#define RECORD_GARBAGE_H

#include "format/format.h"
#include "kv/kv.h"

/* The epoch with which a 'g' entry is tagged, being read. It is read with conflict, as docs/DESIGN.md
 * says: who unlinks and who declares an epoch over must not miss each other. */
struct rec_epoch_read {
        struct fmt_key key;
        struct kv_read read;
};

void rec_epoch_start(struct kv_txn *t, struct rec_epoch_read *r);
int rec_epoch_wait(struct kv_txn *t, struct rec_epoch_read *r, uint64_t *ret);
int rec_garbage_set(struct kv_txn *t, uint64_t ino, uint64_t epoch);
int rec_garbage_clear(struct kv_txn *t, uint64_t ino);

/* Lists up to CAP inodes under 'g' from FROM on into RET_INOS, as a snapshot. RET_END: there are no more behind
 * them. Keys that cannot be parsed are left out. */
int rec_garbage_list(struct kv_txn *t, uint64_t from, unsigned cap, uint64_t *ret_inos, unsigned *ret_count,
                     bool *ret_end);

#endif

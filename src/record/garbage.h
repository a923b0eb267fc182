/* SPDX-License-Identifier: MIT */
/* Garbage entries, 'g' INO: inodes without names, and files with blocks beyond their end, that are still to
 * be cleared. */
#ifndef RECORD_GARBAGE_H
#define RECORD_GARBAGE_H

#include "format/format.h"
#include "kv/kv.h"

/* A read in flight of the epoch, with which a garbage entry is tagged. It is read with conflict, so that an
 * unlink and the end of an epoch cannot miss each other (docs/DESIGN.md). */
struct rec_epoch_read {
        struct fmt_key key;
        struct kv_read read;
};

void rec_epoch_start(struct kv_txn *t, struct rec_epoch_read *r);
/* 0, ERR_CORRUPT, or an error of the store. An absent epoch is 0. */
int rec_epoch_wait(struct kv_txn *t, struct rec_epoch_read *r, uint64_t *ret);

int rec_garbage_set(struct kv_txn *t, uint64_t ino, uint64_t epoch);
int rec_garbage_clear(struct kv_txn *t, uint64_t ino);

#endif

/* SPDX-License-Identifier: MIT */
/* Extended attributes, 'i' INO \x02 NAME. Names have 1 to FMT_NAME_MAX bytes. */
#ifndef RECORD_XATTR_H
#define RECORD_XATTR_H

#include "format/format.h"
#include "kv/kv.h"

/* A read in flight. Must not move until rec_xattr_wait. */
struct rec_xattr_read {
        struct fmt_key key;
        struct kv_read read;
};

/* Starts reading the attribute; rec_xattr_wait returns it. FLAGS: KV_SNAPSHOT or 0. */
void rec_xattr_start(struct kv_txn *t, struct rec_xattr_read *r, uint64_t ino, struct slice name,
                     unsigned flags);
/* 0 and the value as it is stored (a damaged one may be longer than FMT_XATTR_MAX), ENOENT, or an error of
 * the store. */
int rec_xattr_wait(struct kv_txn *t, struct rec_xattr_read *r, struct slice *ret);

int rec_xattr_set(struct kv_txn *t, uint64_t ino, struct slice name, struct slice value);
int rec_xattr_clear(struct kv_txn *t, uint64_t ino, struct slice name);

/* Iterates over the names of an inode's attributes in their order, as a snapshot. */
struct rec_xattrs {
        struct fmt_key begin, end;
        struct kv_range range;
};

void rec_xattrs_start(struct kv_txn *t, struct rec_xattrs *r, uint64_t ino);
/* Returns 1 and the next name (valid until the next call), 0 at the end, ERR_CORRUPT, or an error of the
 * store. */
int rec_xattrs_next(struct rec_xattrs *r, struct slice *ret_name);
void rec_xattrs_end(struct rec_xattrs *r);
#define _cleanup_xattrs_ _cleanup_(rec_xattrs_end)

#endif

/* SPDX-License-Identifier: MIT */
/* The metadata block, 'M': version, features and block size of the file system. */
#ifndef RECORD_SUPER_H
#define RECORD_SUPER_H

#include "format/format.h"
#include "kv/kv.h"

/* Reads the metadata block. FLAGS: KV_SNAPSHOT or 0. ERR_NO_FS, ERR_NEWER (version and features are filled
 * in), ERR_CORRUPT, or an error of the store. */
int rec_super_read(struct kv_txn *t, unsigned flags, struct fmt_scratch *scratch, struct fmt_meta *ret);
int rec_super_set(struct kv_txn *t, const struct fmt_meta *meta);

/* Sets TEXT for the error R of rec_super_read, or of another read of WHAT that opening a file system needs.
 * Returns R. */
int rec_super_error(int r, const struct fmt_meta *meta, const char *what, struct err_text *text);

#endif

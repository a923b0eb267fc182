/* SPDX-License-Identifier: MIT */
/* The metadata block, 'M': what kind of file system the store holds. */
#ifndef RECORD_SUPER_H
#define RECORD_SUPER_H

#include "format/format.h"
#include "kv/kv.h"

/* The metadata block. FLAGS: KV_SNAPSHOT or 0. ERR_NO_FS, ERR_NEWER (with version and features filled in),
 * ERR_CORRUPT, or an error of the store. */
int rec_super_read(struct kv_txn *t, unsigned flags, struct fmt_scratch *scratch, struct fmt_meta *ret);
/* The text for such an error R, met when reading WHAT; returns R. */
int rec_super_error(int r, const struct fmt_meta *meta, const char *what, struct err_text *text);

#endif

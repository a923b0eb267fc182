/* SPDX-License-Identifier: MIT */
/* What a URL's rest after "fdb:" says: [CLUSTER_FILE][?prefix=NAME]. */
#ifndef KV_FDB_URL_H
#define KV_FDB_URL_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>

#define FDB_NAME_MAX     64u                 /* bytes of a prefix's name */
#define FDB_PREFIX_MAX   (FDB_NAME_MAX + 2u) /* bytes in front of every key */
#define FDB_NAME_DEFAULT "ashlar"

struct fdb_url {
        char *cluster_file;             /* free it with fdb_url_clear */
        uint8_t prefix[FDB_PREFIX_MAX]; /* as docs/FORMAT.md says */
        size_t prefix_len;
};

/* The cluster file is, in this order: what the URL says, $FDB_CLUSTER_FILE, the system's. EINVAL, ENOMEM. */
int fdb_url_parse(const char *rest, struct fdb_url *ret, struct err_text *text);
void fdb_url_clear(struct fdb_url *u);

#endif

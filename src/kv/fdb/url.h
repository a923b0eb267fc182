/* SPDX-License-Identifier: MIT */
/* The part of a URL after "fdb:": [CLUSTER_FILE][?prefix=NAME]. */
#ifndef KV_FDB_URL_H
#define KV_FDB_URL_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>

#define FDB_NAME_MAX     64u                 /* bytes of a prefix's name */
#define FDB_PREFIX_MAX   (FDB_NAME_MAX + 2u) /* bytes in front of every key */
#define FDB_NAME_DEFAULT "ashlar"

struct fdb_url {
        char *cluster_file;             /* owned: fdb_url_clear frees it */
        uint8_t prefix[FDB_PREFIX_MAX]; /* docs/FORMAT.md */
        size_t prefix_len;
};

/* Parses REST. The cluster file is that of the URL, or of $FDB_CLUSTER_FILE, or the system's, in this order.
 * On success *RET is to be cleared with fdb_url_clear. EINVAL or ENOMEM with TEXT. */
int fdb_url_parse(const char *rest, struct fdb_url *ret, struct err_text *text);
void fdb_url_clear(struct fdb_url *u);

#endif

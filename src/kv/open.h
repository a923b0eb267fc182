/* SPDX-License-Identifier: MIT */
/* How each engine is opened. REST is the URL behind its scheme. */
#ifndef KV_OPEN_H
#define KV_OPEN_H

#include "kv/kv.h"

/* A directory of LMDB files. REST is its path. */
int kv_lmdb_open(const char *rest, const struct kv_open_opts *opts, struct kv_store **ret,
                 struct err_text *text);

/* A FoundationDB cluster. REST is [CLUSTER_FILE][?prefix=NAME]. */
int kv_fdb_open(const char *rest, const struct kv_open_opts *opts, struct kv_store **ret,
                struct err_text *text);

#endif

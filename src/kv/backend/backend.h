/* How open.c opens each backend. REST is the URL after its scheme. */
#ifndef KV_BACKEND_BACKEND_H
#define KV_BACKEND_BACKEND_H

#include "kv/kv.h"

/* A store in memory, gone when closed. REST must be empty. */
int kv_mem_open(const char *rest, const struct kv_open_opts *opts, struct kv_store **ret,
                struct err_text *text);

/* A directory of LMDB files. REST is its path. */
int kv_lmdb_open(const char *rest, const struct kv_open_opts *opts, struct kv_store **ret,
                 struct err_text *text);

/* A FoundationDB cluster. REST is [CLUSTER_FILE][?prefix=NAME]. */
int kv_fdb_open(const char *rest, const struct kv_open_opts *opts, struct kv_store **ret,
                struct err_text *text);

#endif

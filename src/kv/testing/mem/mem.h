/* SPDX-License-Identifier: MIT */
/* The store in memory, with options for tests. "mem:" opens it with defaults (testing.h). */
#ifndef KV_TESTING_MEM_MEM_H
#define KV_TESTING_MEM_MEM_H

#include "base/clock.h"
#include "kv/kv.h"

struct kv_mem_opts {
        const struct clock *clock; /* for the age of transactions; NULL: clock_system */
        unsigned txn_ms;           /* 0: FoundationDB's 5,000 */
        size_t watches;            /* bound of watches that have not fired; 0: FoundationDB's 10,000 */
        uint64_t max_bytes;        /* bound of keys and values together, then ENOSPC; 0: 64 GiB */
        bool rdonly;               /* transactions with KV_WRITE give EROFS */
};

/* Opens a store in memory, freed when closed. REST must be empty. */
int kv_mem_open(const char *rest, const struct kv_open_opts *opts, struct kv_store **ret,
                struct err_text *text);
/* OPTS may be NULL. ENOMEM. */
int kv_mem_open_with(const struct kv_mem_opts *opts, struct kv_store **ret);

#endif

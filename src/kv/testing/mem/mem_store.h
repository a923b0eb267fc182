/* SPDX-License-Identifier: MIT */
/* Inside the mem store: store and transactions. See mem.c. */
#ifndef KV_TESTING_MEM_MEM_STORE_H
#define KV_TESTING_MEM_MEM_STORE_H

#include "base/clock.h"
#include "base/list.h"
#include "base/lock.h"
#include "kv/engine.h"
#include "kv/testing/mem/conflicts.h"
#include "kv/testing/mem/versions.h"
#include "kv/testing/mem/watch.h"
#include "kv/testing/mem/writes.h"

struct mem_store {
        struct kv_store base;
        const struct clock *clock;
        uint64_t max_bytes;
        bool rdonly;

        struct lock lock;   /* protects what follows */
        uint64_t committed; /* number of the last commit */
        struct mem_versions versions;
        struct mem_conflicts conflicts;
        struct mem_watches watches;
        struct list_link running; /* transactions, in order of what they see */
};

struct mem_txn {
        struct kv_txn base;
        struct mem_store *store;
        struct list_link link; /* in store->running */
        uint64_t sees;         /* the last commit that it sees */
        uint64_t since;        /* commits after this one may conflict */
        uint64_t begun_ns;
        bool may_write;
        bool failed; /* out of memory where no error could be returned: it must not commit */
        struct mem_writes writes;
        struct mem_span *read;    /* conflicts with writes of others; only if it may write */
        struct mem_span *written; /* explicit: conflicts with reads of others */
        struct list_link watches; /* pending */
};

static inline struct mem_txn *mem_txn_of(struct list_link *l)
{
        return list_entry(l, struct mem_txn, link);
}

/* The last commit that all running transactions see. */
static inline uint64_t mem_oldest_seen_locked(const struct mem_store *s)
{
        lock_assert_held(&s->lock);
        return list_empty(&s->running) ? s->committed : mem_txn_of(s->running.next)->sees;
}

/* 0, or ERR_CONFLICT if T is too old to go on. */
int mem_check_age(const struct mem_txn *t);

/* commit.c */
int mem_commit(struct kv_txn *t);

/* read.c */
void mem_get_start(struct kv_txn *t, struct kv_read *r);
void mem_range_start(struct kv_txn *t, struct kv_range *r);
int mem_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value);
void mem_range_end(struct kv_range *r);
/* Reads KEY for T: *RET is NULL if it is absent. */
int mem_see(struct mem_txn *t, struct slice key, bool snapshot, const struct mem_version **ret);

#endif

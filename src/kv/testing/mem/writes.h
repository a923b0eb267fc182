/* SPDX-License-Identifier: MIT */
/* The uncommitted writes of a transaction: entries by key, and cleared ranges below them.
 *
 * The transaction sees an entry's newest version. An entry with operations changes a value that the
 * transaction has not read: its result is computed by a read (mem_entry_fold), and again by the commit, from
 * the value that is then current. Any write invalidates what earlier look-ups returned.
 */
#ifndef KV_TESTING_MEM_WRITES_H
#define KV_TESTING_MEM_WRITES_H

#include "kv/kv.h"
#include "kv/testing/mem/versions.h"

struct mem_op {
        struct mem_op *next;
        enum kv_atomic_op op;
        size_t len;
        uint8_t operand[];
};

/* A cleared range; they neither overlap nor touch. Its node's key is BEGIN. */
struct mem_cleared {
        struct mem_node node;
        struct slice end;
        uint8_t bytes[];
};

struct mem_writes {
        struct mem_tree entries; /* of struct mem_entry; they hide CLEARED */
        struct mem_tree cleared; /* of struct mem_cleared */
};

void mem_writes_init(struct mem_writes *w);
void mem_writes_free(struct mem_writes *w);

/* All give 0 or ENOMEM. A set value of LEN bytes is filled in through *RET. */
int mem_writes_set(struct mem_writes *w, struct slice key, size_t len, uint8_t **ret);
int mem_writes_clear(struct mem_writes *w, struct slice key);
int mem_writes_clear_range(struct mem_writes *w, struct slice begin, struct slice end);
int mem_writes_atomic(struct mem_writes *w, enum kv_atomic_op op, struct slice key, struct slice operand);

/* The transaction's own entry for KEY, or NULL. */
struct mem_entry *mem_writes_find(const struct mem_writes *w, struct slice key);
/* Whether KEY is in a cleared range. */
bool mem_writes_cleared(const struct mem_writes *w, struct slice key);

/* Makes E's newest version what its operations make of BASE (NULL: absent). 0 or ENOMEM. */
int mem_entry_fold(struct mem_entry *e, const struct mem_version *base);
void mem_ops_free(struct mem_op *op);

#endif

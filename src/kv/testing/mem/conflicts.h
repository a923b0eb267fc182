/* SPDX-License-Identifier: MIT */
/* Which commit wrote each part of the key space last, as far as a running transaction may care.
 *
 * A step function over the keys, as FoundationDB's resolvers keep it: a boundary says that everything from
 * its key up to the next one was last written by that commit. It knows of writes that left no trace
 * in the data: cleared gaps and explicit conflicts. Threads: the owner's lock.
 */
#ifndef KV_TESTING_MEM_CONFLICTS_H
#define KV_TESTING_MEM_CONFLICTS_H

#include "kv/testing/mem/tree.h"

#include <stdbool.h>

struct mem_conflicts {
        struct mem_tree boundaries;
        uint64_t floor;  /* everything counts as written by this commit at least */
        uint64_t swept;  /* of what was written before this commit it is not known in which it was */
        size_t sweep_at; /* number of boundaries at which old ones are swept out */
};

/* A range of keys [BEGIN, END) that a transaction read or wrote, in its list of them. */
struct mem_span {
        struct mem_span *next;
        struct slice begin, end;
        uint8_t bytes[];
};

/* Adds a copy of [BEGIN, END) to LIST: 0 or ENOMEM. */
int mem_span_add(struct mem_span **list, struct slice begin, struct slice end);
/* Adds the key alone. */
int mem_span_add_key(struct mem_span **list, struct slice key);
void mem_spans_free(struct mem_span *list);

void mem_conflicts_init(struct mem_conflicts *c);
void mem_conflicts_free(struct mem_conflicts *c);

/* Commit AT, the newest, wrote the span. Transactions older than OLDEST will not ask any more. Without memory
 * everything counts as written: conflicts for nothing, never one missed. */
void mem_conflicts_add(struct mem_conflicts *c, const struct mem_span *s, uint64_t at, uint64_t oldest);
/* Whether a commit after AT wrote into the span. */
bool mem_conflicts_since(const struct mem_conflicts *c, const struct mem_span *s, uint64_t at);
/* Nobody runs who could conflict with a commit up to AT. */
void mem_conflicts_forget(struct mem_conflicts *c, uint64_t at);

#endif

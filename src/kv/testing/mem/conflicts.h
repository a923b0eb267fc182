/* SPDX-License-Identifier: MIT */
/* Which commit last wrote each part of the key space, as far back as a transaction may need it.
 *
 * A step function over the keys, as in FoundationDB's resolvers: a boundary says that everything from its key
 * up to the next boundary was last written by that commit. It includes writes that leave no trace in the
 * data: cleared gaps and explicit conflicts. Threads: the owner's lock.
 */
#ifndef KV_TESTING_MEM_CONFLICTS_H
#define KV_TESTING_MEM_CONFLICTS_H

#include "kv/testing/mem/tree.h"

#include <stdbool.h>

struct mem_conflicts {
        struct mem_tree boundaries;
        uint64_t floor;  /* everything counts as written by this commit at least */
        uint64_t swept;  /* writes before this commit are not distinguished any more */
        size_t sweep_at; /* number of boundaries at which old ones are removed */
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

/* Records that commit AT, the newest, wrote the span. No transaction older than OLDEST runs any more. Without
 * memory everything counts as written: conflicts may be spurious, but none is missed. */
void mem_conflicts_add(struct mem_conflicts *c, const struct mem_span *s, uint64_t at, uint64_t oldest);
/* Whether a commit after AT wrote into the span. */
bool mem_conflicts_since(const struct mem_conflicts *c, const struct mem_span *s, uint64_t at);
/* Forgets commits up to AT, with which no running transaction can conflict. */
void mem_conflicts_forget(struct mem_conflicts *c, uint64_t at);

#endif

/* SPDX-License-Identifier: MIT */
/* Keys with the history of their values: the contents of the store, for each reader's version.
 *
 * An entry is a key with a chain of versions, the newest first. A transaction collects its writes in entries
 * of the same kind (writes.h), so that a commit moves them in without allocating or copying.
 * Threads: the owner's lock protects entries and chains. A version in the store is never changed, and not
 * freed before the last reader that may see it has ended, so its bytes may be read without the lock.
 */
#ifndef KV_TESTING_MEM_VERSIONS_H
#define KV_TESTING_MEM_VERSIONS_H

#include "kv/testing/mem/tree.h"

#include <stdbool.h>

struct mem_version {
        uint64_t at; /* number of the commit that made it */
        struct mem_version *older;
        struct mem_version *next_made; /* in order of commits */
        struct mem_entry *entry;
        bool absent; /* the key was cleared */
        size_t len;
        uint8_t data[];
};

struct mem_op;

struct mem_entry {
        struct mem_node node; /* its key is BYTES */
        struct mem_version *newest;
        struct mem_op *ops; /* of a transaction: atomic operations on a value it does not know (writes.h) */
        uint8_t bytes[];
};

struct mem_versions {
        struct mem_tree entries;
        struct mem_version *made_first, **made_last; /* all versions whose predecessors may still exist */
        uint64_t live_bytes;                         /* keys and newest values */
};

void mem_versions_init(struct mem_versions *v);
void mem_versions_free(struct mem_versions *v);

/* The caller fills in the value. NULL: no memory. */
struct mem_version *mem_version_new(size_t len, bool absent);
struct mem_entry *mem_entry_new(struct slice key);
/* Frees the entry with all versions and operations. Takes NULL. */
void mem_entry_free(struct mem_entry *e);

static inline struct mem_entry *mem_entry_of(struct mem_node *n)
{
        return (struct mem_entry *)n;
}

/* The entry's version that was current at commit AT; NULL if the key was absent. */
struct mem_version *mem_entry_at(const struct mem_entry *e, uint64_t at);
/* The same by key. */
struct mem_version *mem_versions_at(const struct mem_versions *v, struct slice key, uint64_t at);

/* Makes NEWEST the current version of E as of commit AT, which is not older than any other. */
void mem_versions_push(struct mem_versions *v, struct mem_entry *e, struct mem_version *newest, uint64_t at);
/* Moves the new version of FRESH, an entry in no tree, into the store; takes FRESH over. */
void mem_versions_merge(struct mem_versions *v, struct mem_entry *fresh, uint64_t at);

/* Frees the versions that no transaction sees that began at commit OLDEST or later. */
void mem_versions_prune(struct mem_versions *v, uint64_t oldest);

#endif

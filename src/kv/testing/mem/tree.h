/* SPDX-License-Identifier: MIT */
/* An ordered set of keys: a treap whose nodes are the first members of their owners' structs.
 *
 * The tree neither allocates nor frees. A node's key must stay where it is and as it is while the node is in
 * a tree. Threads: the owner's lock. Cost: expected O(log n), amortized O(1) for next and prev.
 */
#ifndef KV_TESTING_MEM_TREE_H
#define KV_TESTING_MEM_TREE_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

struct mem_node {
        struct slice key; /* set by the owner before mem_tree_insert */
        struct mem_node *parent, *left, *right;
        uint64_t priority;
};

struct mem_tree {
        struct mem_node *root;
        size_t count;
        uint64_t random; /* state of the generator of priorities */
};

void mem_tree_init(struct mem_tree *t);

/* The key of N must not be in the tree (asserted). */
void mem_tree_insert(struct mem_tree *t, struct mem_node *n);
void mem_tree_remove(struct mem_tree *t, struct mem_node *n);

/* Each gives NULL if there is no such node. */
struct mem_node *mem_tree_find(const struct mem_tree *t, struct slice key);
struct mem_node *mem_tree_at_or_after(const struct mem_tree *t, struct slice key);
struct mem_node *mem_tree_before(const struct mem_tree *t, struct slice key);
struct mem_node *mem_tree_first(const struct mem_tree *t);
struct mem_node *mem_tree_next(const struct mem_node *n);
struct mem_node *mem_tree_prev(const struct mem_node *n);

/* Removes all nodes, handing each to RELEASE. */
void mem_tree_empty(struct mem_tree *t, void (*release)(struct mem_node *n));

#endif

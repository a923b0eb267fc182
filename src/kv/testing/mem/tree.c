/* SPDX-License-Identifier: MIT */
#include "kv/testing/mem/tree.h"

#include <assert.h>

void mem_tree_init(struct mem_tree *t)
{
        *t = (struct mem_tree){ .random = UINT64_C(0x9e3779b97f4a7c15) };
}

/* Marsaglia's xorshift: a treap only needs priorities that do not depend on the keys. */
static uint64_t next_priority(struct mem_tree *t)
{
        t->random ^= t->random << 13;
        t->random ^= t->random >> 7;
        t->random ^= t->random << 17;
        return t->random;
}

/* The pointer that points to N. */
static struct mem_node **link_of(struct mem_tree *t, struct mem_node *n)
{
        if (!n->parent)
                return &t->root;
        return n->parent->left == n ? &n->parent->left : &n->parent->right;
}

/* Puts CHILD (which may be NULL) where N is. */
static void replace(struct mem_tree *t, struct mem_node *n, struct mem_node *child)
{
        *link_of(t, n) = child;
        if (child)
                child->parent = n->parent;
}

/* Makes N the parent of its parent. */
static void rotate_up(struct mem_tree *t, struct mem_node *n)
{
        struct mem_node *p = n->parent, *moved;

        replace(t, p, n);
        if (p->left == n) {
                moved = p->left = n->right;
                n->right = p;
        } else {
                moved = p->right = n->left;
                n->left = p;
        }
        if (moved)
                moved->parent = p;
        p->parent = n;
}

void mem_tree_insert(struct mem_tree *t, struct mem_node *n)
{
        struct mem_node **link = &t->root, *parent = NULL;

        while (*link) {
                int c = slice_cmp(n->key, (*link)->key);

                assert(c != 0);
                parent = *link;
                link = c < 0 ? &parent->left : &parent->right;
        }
        *link = n;
        n->parent = parent;
        n->left = n->right = NULL;
        n->priority = next_priority(t);
        t->count++;
        while (n->parent && n->parent->priority < n->priority)
                rotate_up(t, n);
}

void mem_tree_remove(struct mem_tree *t, struct mem_node *n)
{
        while (n->left && n->right)
                rotate_up(t, n->left->priority > n->right->priority ? n->left : n->right);
        replace(t, n, n->left ? n->left : n->right);
        t->count--;
}

struct mem_node *mem_tree_find(const struct mem_tree *t, struct slice key)
{
        struct mem_node *n = t->root;

        while (n) {
                int c = slice_cmp(key, n->key);

                if (c == 0)
                        break;
                n = c < 0 ? n->left : n->right;
        }
        return n;
}

struct mem_node *mem_tree_at_or_after(const struct mem_tree *t, struct slice key)
{
        struct mem_node *n = t->root, *best = NULL;

        while (n) {
                if (slice_cmp(n->key, key) >= 0) {
                        best = n;
                        n = n->left;
                } else {
                        n = n->right;
                }
        }
        return best;
}

struct mem_node *mem_tree_before(const struct mem_tree *t, struct slice key)
{
        struct mem_node *n = t->root, *best = NULL;

        while (n) {
                if (slice_cmp(n->key, key) < 0) {
                        best = n;
                        n = n->right;
                } else {
                        n = n->left;
                }
        }
        return best;
}

static struct mem_node *leftmost(struct mem_node *n)
{
        while (n && n->left)
                n = n->left;
        return n;
}

struct mem_node *mem_tree_first(const struct mem_tree *t)
{
        return leftmost(t->root);
}

struct mem_node *mem_tree_next(const struct mem_node *n)
{
        if (n->right)
                return leftmost(n->right);
        while (n->parent && n->parent->right == n)
                n = n->parent;
        return n->parent;
}

struct mem_node *mem_tree_prev(const struct mem_node *n)
{
        struct mem_node *p;

        if (n->left) {
                for (p = n->left; p->right;)
                        p = p->right;
                return p;
        }
        while (n->parent && n->parent->left == n)
                n = n->parent;
        return n->parent;
}

void mem_tree_empty(struct mem_tree *t, void (*release)(struct mem_node *n))
{
        struct mem_node *n = t->root;

        /* Bottom up, so that nothing is rebalanced. */
        while (n) {
                struct mem_node *parent = n->parent;

                if (n->left) {
                        n = n->left;
                } else if (n->right) {
                        n = n->right;
                } else {
                        replace(t, n, NULL);
                        release(n);
                        n = parent;
                }
        }
        t->count = 0;
}

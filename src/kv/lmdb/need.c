/* SPDX-License-Identifier: MIT */
/* How many pages a commit takes at most. LMDB never changes a page in place: whatever a transaction touches
 * is written to other pages first, and so are the branches above it and the list of free pages.
 *
 * Figures of the tree as of the last commit bound what can be touched. What is certain: every key changes one
 * leaf and, when that runs empty, a neighbour; a leaf splits once for a key set into it at most, and no more
 * often than its halves fill up again. A branch has room for eight keys at the very least.
 */
#include "kv/lmdb/internal.h"

/* Pages of the longest value. */
#define VALUE_PAGES_MAX ((KV_VALUE_MAX + 16u) / 4096u + 1)

/* A value that fits into a leaf (two must) has no pages of its own. */
#define VALUE_IN_LEAF_MAX 2000u

/* Numbers of free pages in one page of the list. */
#define LISTED_PER_PAGE 500u

static uint64_t smaller(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

/* Branches and leaves. Returns how many pages of the tree as it is are given up. */
static uint64_t tree_pages(const struct lmdb_store *s, const struct kv_need *need, struct lmdb_pages *p)
{
        uint64_t leaves = atomic_load(&s->leaf_pages), branches = atomic_load(&s->branch_pages);
        uint64_t depth = atomic_load(&s->depth) + 1, keys = need->keys, commits = need->commits;
        uint64_t new = smaller(need->sets, commits * leaves + need->bytes / 1024 + commits);
        uint64_t copied = smaller(2 * keys, commits * leaves + (commits - 1) * new) +
                          smaller(2 * keys * depth, commits * branches);

        p->singles += copied + new + new / 8 + 2 * commits *depth;
        return copied;
}

static void value_pages(const struct lmdb_store *s, const struct kv_need *need, struct lmdb_pages *p)
{
        if (need->largest <= VALUE_IN_LEAF_MAX)
                return;
        p->values = smaller(need->sets, need->bytes / VALUE_IN_LEAF_MAX);
        p->value_pages = need->bytes / s->page_bytes + p->values;
        p->row = (need->largest + 16) / s->page_bytes + 1;
        if (p->row > 1)
                p->rows = smaller(p->values, need->bytes / (s->page_bytes - 16));
}

/* What a commit frees is one record of LMDB's list, with its pages in a row. */
static void list_pages(const struct lmdb_store *s, const struct kv_need *need, uint64_t freed,
                       struct lmdb_pages *p)
{
        uint64_t used = atomic_load(&s->used_end) / s->page_bytes, number = atomic_load(&s->number);
        uint64_t taken =
                atomic_load(&s->leaf_pages) + atomic_load(&s->branch_pages) + atomic_load(&s->overflow_pages);
        uint64_t listed = used > taken ? used - taken : 0;

        p->singles += need->commits * (atomic_load(&s->list_tree_pages) + 8);
        p->relisted = need->commits * atomic_load(&s->list_record_pages) + freed / LISTED_PER_PAGE;
        if (freed > LISTED_PER_PAGE) {
                p->list_row = freed / LISTED_PER_PAGE + 1;
                p->list_pages = p->list_row + need->commits;
        }
        /* The rest of the list goes into records with numbers below its newest: few, so long ones, in a store
         * that has seen few transactions. */
        if (number > 0 && listed / number > LISTED_PER_PAGE / 2) {
                uint64_t row = listed / number / LISTED_PER_PAGE + 2;

                p->list_row = row > p->list_row ? row : p->list_row;
                p->list_pages += need->commits * (2 * listed / LISTED_PER_PAGE + row);
        }
}

void lmdb_pages_needed(const struct lmdb_store *s, const struct kv_need *need, struct lmdb_pages *ret)
{
        uint64_t freed;

        *ret = (struct lmdb_pages){ .commits = need->commits };
        freed = tree_pages(s, need, ret);
        /* Values that are replaced or cleared. */
        freed += smaller(VALUE_PAGES_MAX * need->keys, need->commits * atomic_load(&s->overflow_pages));
        value_pages(s, need, ret);
        list_pages(s, need, freed, ret);
}

uint64_t lmdb_pages_total(const struct lmdb_pages *p)
{
        return p->singles + p->value_pages + p->list_pages;
}

bool lmdb_pages_fit(const struct lmdb_pages *p, uint64_t end, const struct lmdb_free *f)
{
        uint64_t total = lmdb_pages_total(p), in_rows = p->list_pages + (p->row > 1 ? p->value_pages : 0);
        uint64_t row = p->row > p->list_row ? p->row : p->list_row;

        /* Rows from the end of the file, the others from anywhere. */
        if (in_rows <= end && total <= end + f->pages)
                return true;
        /* Everything from the free pages. Of the rows among them a page taken elsewhere breaks one at most, a
         * row two, as it may lie across. */
        return row >= 1 && row <= LMDB_ROW_MAX && total + p->relisted <= f->pages &&
               f->rows[row] > p->singles + p->relisted + p->values + 2 * (p->rows + p->commits);
}

/* SPDX-License-Identifier: MIT */
/* LMDB never changes a page in place: the pages that a transaction changes, the branches above them and the
 * list of free pages are written to other pages.
 *
 * The figures of the tree as of the last commit bound what can be changed. Each key changes one leaf, and a
 * neighbour when the leaf runs empty. A leaf splits once at most for each key set into it, and no more often
 * than its halves fill up again. A branch holds at least eight keys.
 */
#include "kv/lmdb/internal.h"

/* Pages of the longest value. */
#define VALUE_PAGES_MAX ((KV_VALUE_MAX + 16u) / 4096u + 1)

/* A value that fits into half a leaf is stored in the leaf. */
#define VALUE_IN_LEAF_MAX 2000u

/* Page numbers in one page of the list of free pages. */
#define LISTED_PER_PAGE 500u

static uint64_t smaller(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

/* Counts branches and leaves. Returns how many pages of the tree are freed. */
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
        p->run_pages = (need->largest + 15) / s->page_bytes + 1; /* with a header of 16 bytes, rounded up */
        if (p->run_pages > 1)
                p->runs = smaller(p->values, need->bytes / (s->page_bytes - 16));
}

/* The pages that a commit frees become one record of the list, which is in a run. */
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
                p->list_run_pages = freed / LISTED_PER_PAGE + 1;
                p->list_pages = p->list_run_pages + need->commits;
        }
        /* The rest of the list is spread over records with lower numbers: in a store with few transactions
         * these are few and long. */
        if (number > 0 && listed / number > LISTED_PER_PAGE / 2) {
                uint64_t run_pages = listed / number / LISTED_PER_PAGE + 2;

                p->list_run_pages = run_pages > p->list_run_pages ? run_pages : p->list_run_pages;
                p->list_pages += need->commits * (2 * listed / LISTED_PER_PAGE + run_pages);
        }
}

void lmdb_pages_needed(const struct lmdb_store *s, const struct kv_need *need, struct lmdb_pages *ret)
{
        uint64_t freed;

        *ret = (struct lmdb_pages){ .commits = need->commits };
        freed = tree_pages(s, need, ret);
        /* Values that are replaced or cleared free their pages. */
        freed += smaller(VALUE_PAGES_MAX * need->keys, need->commits * atomic_load(&s->overflow_pages));
        value_pages(s, need, ret);
        list_pages(s, need, freed, ret);
}

uint64_t lmdb_pages_total(const struct lmdb_pages *p)
{
        return p->singles + p->value_pages + p->list_pages;
}

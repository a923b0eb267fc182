/* SPDX-License-Identifier: MIT */
/* The state of one key in some tables: patches, and perhaps the value that they apply to. */
#ifndef KV_LAYER_WRITEBEHIND_LOOKUP_H
#define KV_LAYER_WRITEBEHIND_LOOKUP_H

#include "kv/layer/writebehind/internal.h"

/* Patches in a row in one table, at most; the next change writes the whole value. */
#define WB_PATCHES_MAX 32u

struct wb_lookup {
        /* The newest version that is not a patch; NULL: the store below has it. */
        const struct mt_version *base;
        unsigned n;
        const struct mt_version *patches[WB_TABLES_MAX * WB_PATCHES_MAX]; /* newest first */
};

/* Looks up KEY as of version NUMBER in TABLES, newest first. False: it is in none of them. */
bool wb_lookup(struct wb_table *const tables[], int n, uint64_t number, struct slice key,
               struct wb_lookup *ret);

/* The length of a value that has patches. */
static inline size_t wb_patched_len(const struct wb_lookup *l)
{
        return l->patches[0]->total;
}

/* Assembles a value that has patches in OUT, of wb_patched_len() bytes. BASE is the value of the store below,
 * used if the tables do not have one. */
void wb_compose(const struct wb_lookup *l, struct slice base, uint8_t *out);

#endif

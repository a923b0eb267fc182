/* SPDX-License-Identifier: MIT */
/* What the tables know of one key: patches, and perhaps the value that they lie on. */
#ifndef KV_LAYER_WRITEBEHIND_LOOKUP_H
#define KV_LAYER_WRITEBEHIND_LOOKUP_H

#include "kv/layer/writebehind/internal.h"

/* Patches in a row in one table at most; the next change writes the value as a whole again. */
#define WB_PATCHES_MAX 32u

struct wb_lookup {
        /* The newest version that is not a patch; NULL: the store below has it. */
        const struct mt_version *base;
        unsigned n;
        const struct mt_version *patches[WB_TABLES_MAX * WB_PATCHES_MAX]; /* newest first */
};

/* Looks KEY up as of version NUMBER in TABLES (newest first). False: they know nothing of it. */
bool wb_lookup(struct wb_table *const tables[], int n, uint64_t number, struct slice key,
               struct wb_lookup *ret);

/* The length of a value that has patches. */
static inline size_t wb_patched_len(const struct wb_lookup *l)
{
        return l->patches[0]->total;
}

/* Puts a value that has patches together in OUT, which has room for wb_patched_len(). BASE is the value
 * of the store below, used if the tables do not have one. */
void wb_compose(const struct wb_lookup *l, struct slice base, uint8_t *out);

#endif

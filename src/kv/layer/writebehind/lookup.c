/* SPDX-License-Identifier: MIT */
#include "kv/layer/writebehind/lookup.h"

#include <assert.h>

/* Adds the versions of one table. True: the value is complete. */
static bool lookup_in(const struct mt_entry *e, uint64_t number, struct wb_lookup *l)
{
        const struct mt_version *v = mt_visible(e, number);

        while (v && v->depth > 0) {
                bool last = v->depth == 1;

                assert(l->n < WB_TABLES_MAX * WB_PATCHES_MAX);
                l->patches[l->n++] = v;
                v = v->older;
                /* Below the last patch in a row is a whole value or nothing. */
                if (last)
                        break;
        }
        l->base = v;
        return v != NULL;
}

bool wb_lookup(struct wb_table *const tables[], int n, uint64_t number, struct slice key,
               struct wb_lookup *ret)
{
        uint32_t hash = mt_hash(tables[0]->mt, key);

        ret->base = NULL;
        ret->n = 0;
        for (int i = 0; i < n; i++) {
                const struct mt_entry *e = mt_find(tables[i]->mt, hash, key);

                if (e && lookup_in(e, number, ret))
                        return true;
        }
        return ret->n > 0;
}

void wb_compose(const struct wb_lookup *l, struct slice base, uint8_t *out)
{
        size_t len = wb_patched_len(l);

        if (l->base)
                base = l->base->cleared ? slice_of(NULL, 0) : slice_of(l->base->data, l->base->len);
        if (base.len > len)
                base.len = len; /* another process changed the store below */
        if (base.len > 0)
                memcpy(out, base.data, base.len);
        memset(out + base.len, 0, len - base.len);
        for (unsigned i = l->n; i-- > 0;) {
                const struct mt_version *p = l->patches[i];

                memcpy(out + p->at, p->data, p->len);
        }
}

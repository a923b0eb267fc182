/* SPDX-License-Identifier: MIT */
/* Views: which tables a transaction reads. */
#include "kv/layer/writebehind/internal.h"

#include <assert.h>
#include <stdlib.h>

static struct wb_table *table_new(const struct hash_seed *seed)
{
        struct wb_table *t = calloc(1, sizeof(*t));

        if (!t)
                return NULL;
        t->mt = mt_new(seed);
        if (!t->mt) {
                free(t);
                return NULL;
        }
        return t;
}

int wb_view_make_locked(struct wb_store *wb, bool add_active, int drop, struct wb_view **ret)
{
        const struct wb_view *current = wb->view; /* NULL: the first view */
        int kept = current ? current->n - drop : 0;
        struct wb_view *v;

        lock_assert_held(&wb->lock);
        assert(kept + add_active >= 1 && kept + add_active <= WB_TABLES_MAX);
        v = calloc(1, sizeof(*v));
        if (!v)
                return -ENOMEM;
        v->refs = 1;
        if (add_active) {
                v->tables[v->n] = table_new(&wb->seed);
                if (!v->tables[v->n]) {
                        free(v);
                        return -ENOMEM;
                }
                v->n++;
        }
        for (int i = 0; i < kept; i++)
                v->tables[v->n++] = current->tables[i];
        for (int i = 0; i < v->n; i++)
                v->tables[i]->refs++;
        *ret = v;
        return 0;
}

int wb_view_unref_locked(struct wb_store *wb, struct wb_view *v, struct wb_table *dead[WB_TABLES_MAX])
{
        int n = 0;

        lock_assert_held(&wb->lock);
        assert(v->refs > 0);
        if (--v->refs > 0)
                return 0;
        for (int i = 0; i < v->n; i++)
                if (--v->tables[i]->refs == 0)
                        dead[n++] = v->tables[i];
        free(v);
        return n;
}

void wb_tables_free(struct wb_store *wb, struct wb_table *dead[], int n)
{
        size_t bytes = 0;

        if (n == 0)
                return;
        for (int i = 0; i < n; i++) {
                bytes += dead[i]->bytes;
                mt_free(dead[i]->mt);
                free(dead[i]);
        }
        lock_acquire(&wb->lock);
        wb->memory_used -= bytes;
        waitlist_wake_all(&wb->batch_done);
        lock_release(&wb->lock);
}

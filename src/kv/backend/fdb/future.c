/* Waiting for a future: a sleep that its callback ends, so that patience can end it too. */
#include "internal.h"

#include <stdatomic.h>

static void on_ready(FDBFuture *f, void *arg)
{
        (void)f;
        kv_waiter_wake(arg);
}

int fdb_wait(const struct fdb_api *api, FDBFuture *f, enum kv_wait until)
{
        struct kv_waiter w;
        int r;

        if (api->future_is_ready(f))
                return 0;
        kv_waiter_init(&w);
        if (api->future_set_callback(f, on_ready, &w))
                return -EIO;
        r = kv_waiter_wait(&w, until);
        if (r < 0) {
                /* The callback holds on to W: a cancelled future becomes ready at once. */
                api->future_cancel(f);
                kv_waiter_wait(&w, KV_WAIT_NOTHING);
        }
        return r;
}

struct group {
        atomic_uint left; /* to become ready, and one for whoever adds them */
        struct kv_waiter waiter;
};

static void on_one_ready(FDBFuture *f, void *arg)
{
        struct group *g = arg;

        (void)f;
        if (atomic_fetch_sub(&g->left, 1) == 1)
                kv_waiter_wake(&g->waiter);
}

int fdb_wait_gets(struct fdb_txn *t)
{
        const struct fdb_api *api = fdb_api_of(t);
        struct group g = { .left = 1 };
        size_t first = t->awaited;
        int r = 0;

        kv_waiter_init(&g.waiter);
        t->awaited = t->n_kept;
        for (size_t i = first; i < t->n_kept && r == 0; i++) {
                FDBFuture *f = t->kept[i].future;

                if (!t->kept[i].is_get || api->future_is_ready(f))
                        continue;
                atomic_fetch_add(&g.left, 1);
                if (api->future_set_callback(f, on_one_ready, &g)) {
                        atomic_fetch_sub(&g.left, 1);
                        r = -EIO;
                }
        }
        if (atomic_fetch_sub(&g.left, 1) == 1)
                return r;
        if (r == 0)
                r = kv_waiter_wait(&g.waiter, KV_WAIT_CANCELLED);
        if (r < 0) {
                for (size_t i = first; i < t->n_kept; i++)
                        if (t->kept[i].is_get)
                                api->future_cancel(t->kept[i].future);
                kv_waiter_wait(&g.waiter, KV_WAIT_NOTHING);
        }
        return r;
}

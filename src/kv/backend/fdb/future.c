/* Waiting for a future: a sleep that its callback ends, so that patience can end it too. */
#include "internal.h"

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

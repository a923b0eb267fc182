/* SPDX-License-Identifier: MIT */
#include "kv/retry.h"

#include "base/rng.h"

#define FIRST_US    20u
#define DOUBLED_MAX 11u /* times: 41 ms */

/* Exponential and randomized, so that two transactions that conflicted do not run in step again. The first
 * conflict costs no wait. */
static int default_backoff(unsigned n)
{
        uint64_t random, us;

        if (n == 0)
                return 0;
        us = (uint64_t)FIRST_US << (n - 1 < DOUBLED_MAX ? n - 1 : DOUBLED_MAX);
        rng_system(&random, sizeof(random));
        return deadline_sleep((us / 2 + random % (us / 2 + 1)) * 1000);
}

int kv_backoff_transient(struct kv_store *s, struct kv_txn *t, int r, unsigned n)
{
        int q;

        if (r == -ERR_UNKNOWN_RESULT)
                deadline_mask_cancel(true); /* until the outcome is known */
        q = s->ops->backoff ? s->ops->backoff(s, t, r, n) : default_backoff(n);
        return q < 0 ? q : r;
}

/* SPDX-License-Identifier: MIT */
#include "fuse/proto/interrupts.h"

#include "base/lock.h"

#include <stdlib.h>

#define SHARDS 16u

/* Interrupts kept for requests that have not arrived: another thread may still be about to serve them. An
 * interrupt of a request that is answered already stays until it is overwritten; numbers are never reused. */
#define EARLY_MAX 8u

struct shard {
        _Alignas(64) struct lock lock;
        struct fuse_interruptible *requests;
        uint64_t early[EARLY_MAX]; /* numbers of requests; 0: free */
        unsigned next_early;
};

struct fuse_interrupts {
        struct shard shards[SHARDS];
};

/* The kernel numbers requests in steps of two. */
static struct shard *shard_of(struct fuse_interrupts *t, uint64_t unique)
{
        return &t->shards[unique / 2 % SHARDS];
}

struct fuse_interrupts *fuse_interrupts_new(void)
{
        struct fuse_interrupts *t = aligned_alloc(_Alignof(struct fuse_interrupts), sizeof(*t));

        if (!t)
                return NULL;
        for (unsigned i = 0; i < SHARDS; i++) {
                t->shards[i] = (struct shard){ .requests = NULL };
                lock_init(&t->shards[i].lock);
        }
        return t;
}

void fuse_interrupts_free(struct fuse_interrupts *t)
{
        if (!t)
                return;
        for (unsigned i = 0; i < SHARDS; i++)
                lock_destroy(&t->shards[i].lock);
        free(t);
}

static bool take_early_locked(struct shard *s, uint64_t unique)
{
        lock_assert_held(&s->lock);
        for (unsigned i = 0; i < EARLY_MAX; i++)
                if (s->early[i] == unique) {
                        s->early[i] = 0;
                        return true;
                }
        return false;
}

void fuse_interruptible_begin(struct fuse_interrupts *t, struct fuse_interruptible *r, uint64_t unique,
                              unsigned timeout_ms)
{
        struct shard *s = shard_of(t, unique);

        r->unique = unique;
        deadline_begin(&r->deadline, timeout_ms);
        LOCK_GUARD(&s->lock);
        r->next = s->requests;
        s->requests = r;
        if (take_early_locked(s, unique))
                deadline_cancel(&r->deadline);
}

static void remove_request(struct shard *s, struct fuse_interruptible *r)
{
        struct fuse_interruptible **at = &s->requests;

        LOCK_GUARD(&s->lock);
        while (*at != r)
                at = &(*at)->next;
        *at = r->next;
}

void fuse_interruptible_end(struct fuse_interrupts *t, struct fuse_interruptible *r)
{
        remove_request(shard_of(t, r->unique), r);
        deadline_end(&r->deadline);
}

void fuse_interrupts_deliver(struct fuse_interrupts *t, uint64_t unique)
{
        struct shard *s = shard_of(t, unique);
        struct fuse_interruptible *r;

        LOCK_GUARD(&s->lock);
        for (r = s->requests; r && r->unique != unique; r = r->next)
                ;
        if (r)
                deadline_cancel(&r->deadline);
        else
                s->early[s->next_early++ % EARLY_MAX] = unique;
}

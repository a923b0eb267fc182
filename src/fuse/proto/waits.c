/* SPDX-License-Identifier: MIT */
#include "fuse/proto/waits.h"

#include <pthread.h>
#include <stdlib.h>

#define SHARDS 16u

/* Interrupts that came before their request, by another thread. Those of requests that were answered
 * already stay until others take their place: numbers are never used again. */
#define EARLY 8u

struct shard {
        _Alignas(64) pthread_mutex_t lock;
        struct fuse_wait *waits;
        uint64_t early[EARLY]; /* 0: none */
        unsigned next_early;
};

struct fuse_waits {
        struct shard shards[SHARDS];
};

/* The kernel counts requests by twos. */
static struct shard *shard_of(struct fuse_waits *w, uint64_t unique)
{
        return &w->shards[unique / 2 % SHARDS];
}

struct fuse_waits *fuse_waits_new(void)
{
        struct fuse_waits *w = aligned_alloc(_Alignof(struct fuse_waits), sizeof(*w));

        if (!w)
                return NULL;
        for (unsigned i = 0; i < SHARDS; i++) {
                w->shards[i] = (struct shard){ .waits = NULL };
                pthread_mutex_init(&w->shards[i].lock, NULL);
        }
        return w;
}

void fuse_waits_free(struct fuse_waits *w)
{
        if (!w)
                return;
        for (unsigned i = 0; i < SHARDS; i++)
                pthread_mutex_destroy(&w->shards[i].lock);
        free(w);
}

static bool take_early(struct shard *s, uint64_t unique)
{
        for (unsigned i = 0; i < EARLY; i++)
                if (s->early[i] == unique) {
                        s->early[i] = 0;
                        return true;
                }
        return false;
}

void fuse_wait_begin(struct fuse_waits *w, struct fuse_wait *wait, uint64_t unique, unsigned timeout_ms)
{
        struct shard *s = shard_of(w, unique);

        wait->unique = unique;
        deadline_begin(&wait->deadline, timeout_ms);
        pthread_mutex_lock(&s->lock);
        wait->next = s->waits;
        s->waits = wait;
        if (take_early(s, unique))
                deadline_cancel(&wait->deadline);
        pthread_mutex_unlock(&s->lock);
}

void fuse_wait_end(struct fuse_waits *w, struct fuse_wait *wait)
{
        struct shard *s = shard_of(w, wait->unique);
        struct fuse_wait **at = &s->waits;

        pthread_mutex_lock(&s->lock);
        while (*at != wait)
                at = &(*at)->next;
        *at = wait->next;
        pthread_mutex_unlock(&s->lock);
        deadline_end(&wait->deadline);
}

void fuse_waits_interrupt(struct fuse_waits *w, uint64_t unique)
{
        struct shard *s = shard_of(w, unique);
        struct fuse_wait *wait;

        pthread_mutex_lock(&s->lock);
        for (wait = s->waits; wait && wait->unique != unique; wait = wait->next)
                ;
        if (wait)
                deadline_cancel(&wait->deadline);
        else
                s->early[s->next_early++ % EARLY] = unique;
        pthread_mutex_unlock(&s->lock);
}

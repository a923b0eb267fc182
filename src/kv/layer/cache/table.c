/* SPDX-License-Identifier: MIT */
#include "kv/layer/cache/table.h"

#include "base/list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define SHARDS  64u /* each a power of two */
#define BUCKETS 1024u
#define MARKS   1024u

/* 4 MiB: of a million keys that were never written one in 10,000 is taken for written, with four million one
 * in 50. */
#define BLOOM_BITS   (UINT64_C(1) << 25)
#define BLOOM_PROBES 4u

struct entry {
        struct entry *next;    /* in its bucket */
        struct list_link link; /* in its shard */
        uint64_t hash;
        bool present, used; /* used since it was last looked at for eviction */
        uint32_t key_len, value_len;
        uint8_t data[];
};

struct shard {
        pthread_mutex_t lock; /* protects what follows */
        size_t bytes;
        struct list_link all; /* by when they were put there */
        struct entry *buckets[BUCKETS];
        uint64_t marks[MARKS];
};

struct cache_table {
        size_t shard_bytes; /* bound of each */
        struct shard shards[SHARDS];
        _Atomic uint64_t written[BLOOM_BITS / 64];
};

struct cache_table *cache_table_new(size_t bytes)
{
        struct cache_table *t = calloc(1, sizeof(*t)); /* pages that are not used cost nothing */

        if (!t)
                return NULL;
        t->shard_bytes = bytes / SHARDS;
        for (unsigned i = 0; i < SHARDS; i++) {
                pthread_mutex_init(&t->shards[i].lock, NULL);
                list_init(&t->shards[i].all);
        }
        return t;
}

static size_t entry_bytes(const struct entry *e)
{
        return sizeof(*e) + e->key_len + e->value_len;
}

static struct slice entry_key(const struct entry *e)
{
        return slice_of(e->data, e->key_len);
}

/* ---- a shard: all with its lock held --------------------------------------------------------------- */

static struct entry **bucket(struct shard *s, uint64_t hash)
{
        return &s->buckets[hash / SHARDS % BUCKETS];
}

static uint64_t *mark(struct shard *s, uint64_t hash)
{
        return &s->marks[hash / SHARDS / BUCKETS % MARKS];
}

static struct entry *find(struct shard *s, uint64_t hash, struct slice key)
{
        struct entry *e = *bucket(s, hash);

        while (e && (e->hash != hash || !slice_eq(entry_key(e), key)))
                e = e->next;
        return e;
}

static void drop(struct shard *s, struct entry *e)
{
        struct entry **at = bucket(s, e->hash);

        while (*at != e)
                at = &(*at)->next;
        *at = e->next;
        list_remove(&e->link);
        s->bytes -= entry_bytes(e);
        free(e);
}

/* The oldest go first, but for those that were used meanwhile. */
static void evict(struct shard *s, size_t bytes)
{
        while (s->bytes > bytes && !list_empty(&s->all)) {
                struct entry *e = list_entry(s->all.next, struct entry, link);

                if (!e->used) {
                        drop(s, e);
                        continue;
                }
                e->used = false;
                list_remove(&e->link);
                list_append(&s->all, &e->link);
        }
}

void cache_table_free(struct cache_table *t)
{
        if (!t)
                return;
        for (unsigned i = 0; i < SHARDS; i++) {
                evict(&t->shards[i], 0);
                pthread_mutex_destroy(&t->shards[i].lock);
        }
        free(t);
}

/* ---- the table ------------------------------------------------------------------------------------- */

static struct shard *shard_of(struct cache_table *t, uint64_t hash)
{
        return &t->shards[hash % SHARDS];
}

static uint64_t mix(uint64_t h)
{
        h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
        h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
        return h ^ h >> 32;
}

uint64_t cache_hash(struct slice key)
{
        /* An address is random for each process: names of files cannot be chosen so that they collide. */
        uint64_t h = (uint64_t)(uintptr_t)&cache_hash ^ key.len, word;
        size_t i = 0;

        for (; i + 8 <= key.len; i += 8) {
                memcpy(&word, key.data + i, 8);
                h = mix(h ^ word);
        }
        word = 0;
        if (i < key.len)
                memcpy(&word, key.data + i, key.len - i);
        return mix(h ^ word);
}

int cache_table_get(struct cache_table *t, uint64_t hash, struct slice key, uint64_t since,
                    cache_found_fn found, void *arg)
{
        struct shard *s = shard_of(t, hash);
        struct entry *e;
        int r = -1;

        pthread_mutex_lock(&s->lock);
        e = *mark(s, hash) <= since ? find(s, hash, key) : NULL;
        if (e) {
                e->used = true;
                r = e->present;
                if (r > 0)
                        found(arg, slice_of(e->data + e->key_len, e->value_len));
        }
        pthread_mutex_unlock(&s->lock);
        return r;
}

void cache_table_put(struct cache_table *t, uint64_t hash, struct slice key, const struct slice *value,
                     uint64_t since)
{
        struct shard *s = shard_of(t, hash);
        size_t value_len = value ? value->len : 0;
        struct entry *e = malloc(sizeof(*e) + key.len + value_len), *former;

        if (e) {
                e->hash = hash;
                e->present = value != NULL;
                e->used = false;
                e->key_len = (uint32_t)key.len;
                e->value_len = (uint32_t)value_len;
                if (key.len > 0)
                        memcpy(e->data, key.data, key.len);
                if (value_len > 0)
                        memcpy(e->data + key.len, value->data, value_len);
        }
        pthread_mutex_lock(&s->lock);
        former = *mark(s, hash) <= since ? find(s, hash, key) : NULL;
        if (former)
                drop(s, former);
        if (e && *mark(s, hash) <= since) {
                e->next = *bucket(s, hash);
                *bucket(s, hash) = e;
                list_append(&s->all, &e->link);
                s->bytes += entry_bytes(e);
                evict(s, t->shard_bytes);
                e = NULL;
        }
        pthread_mutex_unlock(&s->lock);
        free(e);
}

void cache_table_mark(struct cache_table *t, uint64_t hash, struct slice key, uint64_t number)
{
        struct shard *s = shard_of(t, hash);
        struct entry *e;

        pthread_mutex_lock(&s->lock);
        *mark(s, hash) = number;
        e = find(s, hash, key);
        if (e)
                drop(s, e);
        pthread_mutex_unlock(&s->lock);
}

void cache_table_mark_all(struct cache_table *t, uint64_t number)
{
        for (unsigned i = 0; i < SHARDS; i++) {
                struct shard *s = &t->shards[i];

                pthread_mutex_lock(&s->lock);
                for (unsigned k = 0; k < MARKS; k++)
                        s->marks[k] = number;
                evict(s, 0);
                pthread_mutex_unlock(&s->lock);
        }
}

/* ---- which keys were written ----------------------------------------------------------------------- */

static uint64_t bit(uint64_t hash, unsigned probe)
{
        return (hash + probe * (mix(hash) | 1)) % BLOOM_BITS;
}

void cache_table_written(struct cache_table *t, uint64_t hash)
{
        for (unsigned i = 0; i < BLOOM_PROBES; i++) {
                uint64_t b = bit(hash, i);

                atomic_fetch_or_explicit(&t->written[b / 64], UINT64_C(1) << b % 64, memory_order_relaxed);
        }
}

bool cache_table_may_be_written(const struct cache_table *t, uint64_t hash)
{
        for (unsigned i = 0; i < BLOOM_PROBES; i++) {
                uint64_t b = bit(hash, i);
                uint64_t word = atomic_load_explicit(&t->written[b / 64], memory_order_relaxed);

                if (!(word & UINT64_C(1) << b % 64))
                        return false;
        }
        return true;
}

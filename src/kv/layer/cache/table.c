/* SPDX-License-Identifier: MIT */
#include "kv/layer/cache/table.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/lock.h"

#include <stdatomic.h>
#include <stdlib.h>

#define SHARDS  64u /* these three are powers of two */
#define BUCKETS 1024u
#define MARKS   1024u

/* 4 MiB: after a million keys one in 10,000 that were never written is taken for written, after four million
 * one in 50. */
#define BLOOM_BITS   (UINT64_C(1) << 25)
#define BLOOM_PROBES 4u

struct entry {
        struct entry *next;    /* in its bucket */
        struct list_link link; /* in its shard */
        uint64_t hash;
        bool present;
        bool used; /* since drop_oldest_locked last considered it */
        uint32_t key_len, value_len;
        uint8_t data[];
};

struct shard {
        struct lock lock; /* protects what follows */
        size_t bytes;
        struct list_link all; /* entries, oldest first */
        struct entry *buckets[BUCKETS];
        uint64_t marks[MARKS];
};

struct cache_table {
        struct hash_seed seed;
        size_t shard_bytes; /* bound of each shard */
        struct shard shards[SHARDS];
        _Atomic uint64_t written[BLOOM_BITS / 64];
};

struct cache_table *cache_table_new(size_t bytes)
{
        struct cache_table *t = calloc(1, sizeof(*t)); /* pages that are not used cost nothing */

        if (!t)
                return NULL;
        hash_seed_init(&t->seed);
        t->shard_bytes = bytes / SHARDS;
        for (unsigned i = 0; i < SHARDS; i++) {
                lock_init(&t->shards[i].lock);
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

/* ---- shards ---------------------------------------------------------------------------------------- */

static struct entry **bucket(struct shard *s, uint64_t hash)
{
        return &s->buckets[hash / SHARDS % BUCKETS];
}

static uint64_t *mark(struct shard *s, uint64_t hash)
{
        return &s->marks[hash / SHARDS / BUCKETS % MARKS];
}

static struct entry *find_locked(struct shard *s, uint64_t hash, struct slice key)
{
        struct entry *e = *bucket(s, hash);

        lock_assert_held(&s->lock);
        while (e && (e->hash != hash || !slice_eq(entry_key(e), key)))
                e = e->next;
        return e;
}

static void drop_locked(struct shard *s, struct entry *e)
{
        struct entry **at = bucket(s, e->hash);

        lock_assert_held(&s->lock);
        while (*at != e)
                at = &(*at)->next;
        *at = e->next;
        list_remove(&e->link);
        s->bytes -= entry_bytes(e);
        free(e);
}

/* Drops the oldest entries until at most BYTES are left; an entry that was used gets a second chance. */
static void drop_oldest_locked(struct shard *s, size_t bytes)
{
        lock_assert_held(&s->lock);
        while (s->bytes > bytes) {
                struct entry *e = list_first(&s->all, struct entry, link);

                if (!e->used) {
                        drop_locked(s, e);
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
                struct shard *s = &t->shards[i];

                lock_acquire(&s->lock);
                drop_oldest_locked(s, 0);
                lock_release(&s->lock);
                lock_destroy(&s->lock);
        }
        free(t);
}

/* ---- the table ------------------------------------------------------------------------------------- */

static struct shard *shard_of(struct cache_table *t, uint64_t hash)
{
        return &t->shards[hash % SHARDS];
}

uint64_t cache_table_hash(const struct cache_table *t, struct slice key)
{
        return hash_bytes(&t->seed, key);
}

int cache_table_get(struct cache_table *t, uint64_t hash, struct slice key, uint64_t since,
                    cache_found_fn found, void *arg)
{
        struct shard *s = shard_of(t, hash);
        struct entry *e;
        LOCK_GUARD(&s->lock);

        e = *mark(s, hash) <= since ? find_locked(s, hash, key) : NULL;
        if (!e)
                return -1;
        e->used = true;
        if (e->present)
                found(arg, slice_of(e->data + e->key_len, e->value_len));
        return e->present;
}

static struct entry *entry_new(uint64_t hash, struct slice key, const struct slice *value)
{
        size_t value_len = value ? value->len : 0;
        struct entry *e = malloc(sizeof(*e) + key.len + value_len);

        if (!e)
                return NULL;
        e->hash = hash;
        e->present = value != NULL;
        e->used = false;
        e->key_len = (uint32_t)key.len;
        e->value_len = (uint32_t)value_len;
        if (key.len > 0)
                memcpy(e->data, key.data, key.len);
        if (value_len > 0)
                memcpy(e->data + key.len, value->data, value_len);
        return e;
}

void cache_table_put(struct cache_table *t, uint64_t hash, struct slice key, const struct slice *value,
                     uint64_t since)
{
        struct shard *s = shard_of(t, hash);
        struct entry *e = entry_new(hash, key, value), *former;
        bool put;

        lock_acquire(&s->lock);
        put = *mark(s, hash) <= since;
        former = put ? find_locked(s, hash, key) : NULL;
        if (former)
                drop_locked(s, former);
        if (put && e) {
                e->next = *bucket(s, hash);
                *bucket(s, hash) = e;
                list_append(&s->all, &e->link);
                s->bytes += entry_bytes(e);
                drop_oldest_locked(s, t->shard_bytes);
        }
        lock_release(&s->lock);
        if (!put)
                free(e);
}

void cache_table_mark(struct cache_table *t, uint64_t hash, struct slice key, uint64_t number)
{
        struct shard *s = shard_of(t, hash);
        struct entry *e;
        LOCK_GUARD(&s->lock);

        *mark(s, hash) = number;
        e = find_locked(s, hash, key);
        if (e)
                drop_locked(s, e);
}

void cache_table_mark_all(struct cache_table *t, uint64_t number)
{
        for (unsigned i = 0; i < SHARDS; i++) {
                struct shard *s = &t->shards[i];
                LOCK_GUARD(&s->lock);

                for (unsigned k = 0; k < MARKS; k++)
                        s->marks[k] = number;
                drop_oldest_locked(s, 0);
        }
}

/* ---- keys that were written ------------------------------------------------------------------------ */

/* Double hashing: the upper bits, which one probe does not use, give the step. */
static uint64_t bit(uint64_t hash, unsigned probe)
{
        return (hash + probe * (hash >> 32 | 1)) % BLOOM_BITS;
}

void cache_table_add_written(struct cache_table *t, uint64_t hash)
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

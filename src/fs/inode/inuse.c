/* SPDX-License-Identifier: MIT */
/* Open addressing with linear probing, in shards that each have a lock and grow by themselves, so that no
 * growth stalls the mount or needs the whole table twice. */
#include "fs/inode/inode.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define SHARD_BITS 8u
#define SHARDS     (1u << SHARD_BITS)
#define SLOTS_MIN  16u

#define ORPHAN   (UINT64_C(1) << 63)
#define NAMELESS (UINT64_C(1) << 62)
#define MARKS    (ORPHAN | NAMELESS)

struct entry {
        uint64_t ino;  /* 0: free */
        uint64_t refs; /* references, and MARKS */
};

struct shard {
        _Alignas(64) struct lock lock; /* protects the shard */
        const struct hash_seed *seed;
        struct entry *slots;
        uint32_t capacity, used;
};

struct fs_inuse {
        struct hash_seed seed;
        struct shard shards[SHARDS];
};

/* Four consecutive numbers share a hash and so a cache line: files made together are used together. */
static uint64_t hash(const struct hash_seed *seed, uint64_t ino)
{
        uint64_t group = ino >> 2;

        return hash_bytes(seed, slice_of(&group, sizeof(group)));
}

/* The slot at which the search for INO begins. The upper bits of the hash choose the shard, the lower ones
 * the slot. */
static uint32_t home(const struct shard *s, uint64_t ino)
{
        uint32_t base = (uint32_t)(((hash(s->seed, ino) & UINT32_MAX) * s->capacity) >> 32);

        return (base + (uint32_t)(ino & 3)) % s->capacity;
}

static uint32_t next(const struct shard *s, uint32_t i)
{
        return i + 1 == s->capacity ? 0 : i + 1;
}

/* The slot of INO, or the free one where it belongs. */
static uint32_t find(const struct shard *s, uint64_t ino)
{
        uint32_t i = home(s, ino);

        while (s->slots[i].ino != 0 && s->slots[i].ino != ino)
                i = next(s, i);
        return i;
}

static struct entry *find_existing_locked(struct shard *s, uint64_t ino)
{
        struct entry *e;

        lock_assert_held(&s->lock);
        if (s->used == 0)
                return NULL;
        e = &s->slots[find(s, ino)];
        return e->ino != 0 ? e : NULL;
}

static int resize_locked(struct shard *s, uint32_t capacity)
{
        struct shard bigger = { .seed = s->seed, .capacity = capacity };

        lock_assert_held(&s->lock);
        bigger.slots = calloc(capacity, sizeof(*bigger.slots));
        if (!bigger.slots)
                return -ENOMEM;
        for (uint32_t i = 0; i < s->capacity; i++)
                if (s->slots[i].ino != 0)
                        bigger.slots[find(&bigger, s->slots[i].ino)] = s->slots[i];
        free(s->slots);
        s->slots = bigger.slots;
        s->capacity = capacity;
        return 0;
}

/* Makes a free slot: at most four fifths are used, and the table grows by a quarter, so that little memory is
 * idle. */
static int reserve_locked(struct shard *s)
{
        lock_assert_held(&s->lock);
        if (s->used + 1 <= s->capacity / 5 * 4)
                return 0;
        return resize_locked(s, s->capacity == 0 ? SLOTS_MIN : s->capacity + s->capacity / 4);
}

/* Frees slot I and moves entries behind it closer to their home. */
static void remove_locked(struct shard *s, uint32_t i)
{
        lock_assert_held(&s->lock);
        for (uint32_t j = next(s, i); s->slots[j].ino != 0; j = next(s, j)) {
                uint32_t h = home(s, s->slots[j].ino);

                /* J may move to I unless its home is (cyclically) after I and not after J. */
                if (i <= j ? (h <= i || h > j) : (h <= i && h > j)) {
                        s->slots[i] = s->slots[j];
                        i = j;
                }
        }
        s->slots[i].ino = 0;
        s->used--;
        /* Shrinks well below the size at which it would grow again. Without memory for that it stays as it
         * is. */
        if (s->capacity > SLOTS_MIN * 4 && s->used < s->capacity / 4)
                (void)resize_locked(s, s->capacity / 2);
}

static struct shard *shard_of(struct fs_inuse *u, uint64_t ino)
{
        assert(ino != 0);
        return &u->shards[hash(&u->seed, ino) >> (64 - SHARD_BITS)];
}

struct fs_inuse *fs_inuse_new(const struct hash_seed *seed)
{
        struct fs_inuse *u = aligned_alloc(64, sizeof(*u));

        if (!u)
                return NULL;
        u->seed = *seed;
        for (unsigned i = 0; i < SHARDS; i++) {
                u->shards[i] = (struct shard){ .seed = &u->seed };
                lock_init(&u->shards[i].lock);
        }
        return u;
}

void fs_inuse_free(struct fs_inuse *u)
{
        if (!u)
                return;
        for (unsigned i = 0; i < SHARDS; i++) {
                lock_destroy(&u->shards[i].lock);
                free(u->shards[i].slots);
        }
        free(u);
}

int fs_inuse_add(struct fs_inuse *u, uint64_t ino)
{
        struct shard *s = shard_of(u, ino);
        struct entry *e;
        int r;

        LOCK_GUARD(&s->lock);
        r = reserve_locked(s);
        if (r < 0)
                return r;
        e = &s->slots[find(s, ino)];
        if (e->ino == 0) {
                *e = (struct entry){ .ino = ino };
                s->used++;
        }
        e->refs++;
        return 0;
}

bool fs_inuse_drop(struct fs_inuse *u, uint64_t ino, uint64_t n)
{
        struct shard *s = shard_of(u, ino);
        struct entry *e;
        uint64_t refs;
        bool orphan;

        LOCK_GUARD(&s->lock);
        e = find_existing_locked(s, ino);
        if (!e)
                return false;
        refs = e->refs & ~MARKS;
        if (n < refs) {
                e->refs -= n;
                return false;
        }
        orphan = e->refs & ORPHAN;
        remove_locked(s, (uint32_t)(e - s->slots));
        return orphan;
}

bool fs_inuse_orphan(struct fs_inuse *u, uint64_t ino)
{
        struct shard *s = shard_of(u, ino);
        struct entry *e;

        LOCK_GUARD(&s->lock);
        e = find_existing_locked(s, ino);
        if (e)
                e->refs |= ORPHAN;
        return e != NULL;
}

void fs_inuse_set_nameless(struct fs_inuse *u, uint64_t ino, bool nameless)
{
        struct shard *s = shard_of(u, ino);
        struct entry *e;

        LOCK_GUARD(&s->lock);
        e = find_existing_locked(s, ino);
        if (e)
                e->refs = nameless ? e->refs | NAMELESS : e->refs & ~NAMELESS;
}

bool fs_inuse_is_nameless(struct fs_inuse *u, uint64_t ino)
{
        struct shard *s = shard_of(u, ino);
        const struct entry *e;

        LOCK_GUARD(&s->lock);
        e = find_existing_locked(s, ino);
        return e && (e->refs & NAMELESS);
}

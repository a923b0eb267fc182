/* SPDX-License-Identifier: MIT */
/* Open addressing with linear probing, in shards that each have a lock and grow by themselves, so that no
 * growth stalls the mount or needs the whole table twice. */
#include "fs/inode/inode.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
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
        _Alignas(64) pthread_mutex_t lock;
        struct entry *slots;
        uint32_t capacity, used;
};

struct fs_inuse {
        struct shard shards[SHARDS];
};

/* Four consecutive numbers share a hash and so a cache line: files made together are used together. */
static uint64_t hash(uint64_t ino)
{
        uint64_t h = (ino >> 2) * UINT64_C(0x9e3779b97f4a7c15);

        h ^= h >> 32;
        return h * UINT64_C(0xd6e8feb86659fd93);
}

/* Where INO would like to be. The hash's upper bits chose the shard, the lower ones choose the slot. */
static uint32_t home(const struct shard *s, uint64_t ino)
{
        uint32_t base = (uint32_t)(((hash(ino) & UINT32_MAX) * s->capacity) >> 32);

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

static int resize(struct shard *s, uint32_t capacity)
{
        struct shard bigger = { .capacity = capacity, .used = s->used };

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

/* Room for one more: at most four fifths full, and growing by a quarter, so that little memory is idle. */
static int make_room(struct shard *s)
{
        if (s->used + 1 <= s->capacity / 5 * 4)
                return 0;
        return resize(s, s->capacity == 0 ? SLOTS_MIN : s->capacity + s->capacity / 4);
}

/* Frees slot I and moves back those behind it that it kept from their home. */
static void remove_at(struct shard *s, uint32_t i)
{
        for (uint32_t j = next(s, i); s->slots[j].ino != 0; j = next(s, j)) {
                uint32_t h = home(s, s->slots[j].ino);

                /* J may move to I unless its home lies (cyclically) after I and not after J. */
                if (i <= j ? (h <= i || h > j) : (h <= i && h > j)) {
                        s->slots[i] = s->slots[j];
                        i = j;
                }
        }
        s->slots[i].ino = 0;
        s->used--;
        /* Give memory back, with distance to the size at which it would grow again. If there is none to do
         * it with, the table stays as it is. */
        if (s->capacity > SLOTS_MIN * 4 && s->used < s->capacity / 4)
                (void)resize(s, s->capacity / 2);
}

static struct shard *lock_shard(struct fs_inuse *u, uint64_t ino)
{
        struct shard *s = &u->shards[hash(ino) >> (64 - SHARD_BITS)];

        assert(ino != 0);
        pthread_mutex_lock(&s->lock);
        return s;
}

struct fs_inuse *fs_inuse_new(void)
{
        struct fs_inuse *u = aligned_alloc(64, sizeof(*u));

        if (!u)
                return NULL;
        for (unsigned i = 0; i < SHARDS; i++) {
                u->shards[i] = (struct shard){ .slots = NULL };
                pthread_mutex_init(&u->shards[i].lock, NULL);
        }
        return u;
}

void fs_inuse_free(struct fs_inuse *u)
{
        if (!u)
                return;
        for (unsigned i = 0; i < SHARDS; i++) {
                pthread_mutex_destroy(&u->shards[i].lock);
                free(u->shards[i].slots);
        }
        free(u);
}

int fs_inuse_add(struct fs_inuse *u, uint64_t ino)
{
        struct shard *s = lock_shard(u, ino);
        int r = make_room(s);

        if (r == 0) {
                struct entry *e = &s->slots[find(s, ino)];

                if (e->ino == 0) {
                        *e = (struct entry){ .ino = ino };
                        s->used++;
                }
                e->refs++;
        }
        pthread_mutex_unlock(&s->lock);
        return r;
}

bool fs_inuse_drop(struct fs_inuse *u, uint64_t ino, uint64_t n)
{
        struct shard *s = lock_shard(u, ino);
        bool last_of_orphan = false;

        if (s->used > 0) {
                uint32_t i = find(s, ino);
                struct entry *e = &s->slots[i];

                if (e->ino != 0) {
                        uint64_t refs = e->refs & ~MARKS;

                        e->refs -= n < refs ? n : refs;
                        if ((e->refs & ~MARKS) == 0) {
                                last_of_orphan = e->refs & ORPHAN;
                                remove_at(s, i);
                        }
                }
        }
        pthread_mutex_unlock(&s->lock);
        return last_of_orphan;
}

bool fs_inuse_orphan(struct fs_inuse *u, uint64_t ino)
{
        struct shard *s = lock_shard(u, ino);
        bool found = false;

        if (s->used > 0) {
                struct entry *e = &s->slots[find(s, ino)];

                found = e->ino != 0;
                if (found)
                        e->refs |= ORPHAN;
        }
        pthread_mutex_unlock(&s->lock);
        return found;
}

void fs_inuse_set_nameless(struct fs_inuse *u, uint64_t ino, bool nameless)
{
        struct shard *s = lock_shard(u, ino);

        if (s->used > 0) {
                struct entry *e = &s->slots[find(s, ino)];

                if (e->ino != 0)
                        e->refs = nameless ? e->refs | NAMELESS : e->refs & ~NAMELESS;
        }
        pthread_mutex_unlock(&s->lock);
}

bool fs_inuse_is_nameless(struct fs_inuse *u, uint64_t ino)
{
        struct shard *s = lock_shard(u, ino);
        bool nameless = false;

        if (s->used > 0) {
                const struct entry *e = &s->slots[find(s, ino)];

                nameless = e->ino != 0 && (e->refs & NAMELESS);
        }
        pthread_mutex_unlock(&s->lock);
        return nameless;
}

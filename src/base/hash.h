/* SPDX-License-Identifier: MIT */
/* A seeded hash for tables in memory. Users choose names, which become keys: without the seed they cannot
 * choose keys that collide. Where that needs a cryptographic argument, see base/siphash.h, which is
 * slower. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/rng.h"
#include "base/slice.h"

/* Random numbers; hashes of different seeds have nothing in common. */
struct hash_seed {
        uint64_t start, factor, last_factor;
};

static inline void hash_seed_init(struct hash_seed *ret)
{
        rng_system(ret, sizeof(*ret));
        ret->factor |= 1;
        ret->last_factor |= 1;
}

/* Both halves of the product, folded: each bit of the result depends on all bits of A. */
static inline uint64_t hash_fold_(uint64_t a, uint64_t b)
{
        unsigned __int128 m = (unsigned __int128)a * b;

        return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t hash_bytes(const struct hash_seed *seed, struct slice key)
{
        uint64_t h = seed->start ^ key.len, word;
        const uint8_t *p = key.data;
        size_t n = key.len;

        for (; n >= sizeof(word); n -= sizeof(word), p += sizeof(word)) {
                memcpy(&word, p, sizeof(word));
                h = hash_fold_(h ^ word, seed->factor);
        }
        word = 0;
        if (n > 0)
                memcpy(&word, p, n);
        return hash_fold_(h ^ word, seed->last_factor);
}

#endif

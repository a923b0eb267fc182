/* SPDX-License-Identifier: MIT */
#include "base/siphash.h"

#include <endian.h>

struct state {
        uint64_t v0, v1, v2, v3;
};

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
        return x << bits | x >> (64 - bits);
}

static uint64_t load_le64(const uint8_t *p)
{
        uint64_t x;

        memcpy(&x, p, sizeof(x));
        return le64toh(x);
}

static void mix(struct state *s, unsigned rounds)
{
        for (unsigned i = 0; i < rounds; i++) {
                s->v0 += s->v1;
                s->v1 = rotate_left(s->v1, 13) ^ s->v0;
                s->v0 = rotate_left(s->v0, 32);
                s->v2 += s->v3;
                s->v3 = rotate_left(s->v3, 16) ^ s->v2;
                s->v0 += s->v3;
                s->v3 = rotate_left(s->v3, 21) ^ s->v0;
                s->v2 += s->v1;
                s->v1 = rotate_left(s->v1, 17) ^ s->v2;
                s->v2 = rotate_left(s->v2, 32);
        }
}

static void absorb(struct state *s, uint64_t word)
{
        s->v3 ^= word;
        mix(s, 2);
        s->v0 ^= word;
}

uint64_t siphash(const uint8_t key[SIPHASH_KEY_SIZE], struct slice data)
{
        uint64_t k0 = load_le64(key), k1 = load_le64(key + 8);
        struct state s = {
                .v0 = k0 ^ UINT64_C(0x736f6d6570736575),
                .v1 = k1 ^ UINT64_C(0x646f72616e646f6d),
                .v2 = k0 ^ UINT64_C(0x6c7967656e657261),
                .v3 = k1 ^ UINT64_C(0x7465646279746573),
        };
        size_t whole = data.len & ~(size_t)7;
        uint64_t last = (uint64_t)(data.len & 0xff) << 56;

        for (size_t i = 0; i < whole; i += 8)
                absorb(&s, load_le64(data.data + i));
        for (size_t i = whole; i < data.len; i++)
                last |= (uint64_t)data.data[i] << (8 * (i - whole));
        absorb(&s, last);
        s.v2 ^= 0xff;
        mix(&s, 4);
        return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

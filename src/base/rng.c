/* SPDX-License-Identifier: MIT */
#include "base/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* splitmix64 spreads a small seed over the state; xoshiro256** by Blackman and Vigna. */
static uint64_t splitmix(uint64_t *x)
{
        uint64_t z = (*x += 0x9e3779b97f4a7c15u);

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
        return (x << k) | (x >> (64 - k));
}

void rng_seed(struct rng *r, uint64_t seed)
{
        for (int i = 0; i < 4; i++)
                r->s[i] = splitmix(&seed);
}

uint64_t rng_next(struct rng *r)
{
        uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = rotl(s[3], 45);
        return result;
}

uint64_t rng_below(struct rng *r, uint64_t bound)
{
        /* Multiply-shift; a bias of BOUND / 2^64 does not matter to tests or back-off. */
        return (uint64_t)(((unsigned __int128)rng_next(r) * bound) >> 64);
}

void rng_fill(struct rng *r, void *data, size_t len)
{
        uint8_t *p = data;

        while (len > 0) {
                uint64_t x = rng_next(r);
                size_t n = len < sizeof(x) ? len : sizeof(x);

                memcpy(p, &x, n);
                p += n;
                len -= n;
        }
}

void rng_system(void *data, size_t len)
{
        uint8_t *p = data;

        while (len > 0) {
                ssize_t n = getrandom(p, len, 0);

                if (n < 0 && errno != EINTR)
                        abort();
                if (n > 0) {
                        p += n;
                        len -= (size_t)n;
                }
        }
}

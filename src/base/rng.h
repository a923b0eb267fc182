/* SPDX-License-Identifier: MIT */
/* Random numbers: a seeded generator whose sequence can be replayed (xoshiro256**), and the system's
 * entropy. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
        uint64_t s[4];
};

/* The same seed gives the same sequence on every machine. */
void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);
/* Uniform in [0, BOUND), BOUND > 0. */
uint64_t rng_below(struct rng *r, uint64_t bound);
void rng_fill(struct rng *r, void *data, size_t len);

/* Fills DATA from the kernel's entropy pool (getrandom); aborts if that fails. Any thread. */
void rng_system(void *data, size_t len);

#endif

/* SPDX-License-Identifier: MIT */
#include "seed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void test_seed(struct rng *r, const char *test)
{
        const char *given = getenv("ASHLAR_SEED");
        uint64_t seed;

        if (given)
                seed = strtoull(given, NULL, 0);
        else
                rng_system(&seed, sizeof(seed));
        fprintf(stderr, "replay: ASHLAR_SEED=%" PRIu64 " %s\n", seed, test);
        rng_seed(r, seed);
}

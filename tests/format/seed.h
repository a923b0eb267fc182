/* SPDX-License-Identifier: MIT */
/* The seed of a random test: ASHLAR_SEED, or a new one. */
#ifndef TESTS_FORMAT_SEED_H
#define TESTS_FORMAT_SEED_H

#include "base/rng.h"

/* Seeds R and prints the line that replays TEST. */
void test_seed(struct rng *r, const char *test);

#endif

/* SPDX-License-Identifier: MIT */
/* SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash of short strings. Without the key, colliding
 * inputs cannot be chosen. Any thread. */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include "base/slice.h"

#define SIPHASH_KEY_SIZE 16u

uint64_t siphash(const uint8_t key[SIPHASH_KEY_SIZE], struct slice data);

#endif

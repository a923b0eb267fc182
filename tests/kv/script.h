/* SPDX-License-Identifier: MIT */
/* Transactions written as text, so that interleavings read as a table.
 *
 * Each word is an operation, with its arguments after colons:
 *   get:K sget:K        read, as a snapshot          range:B:E srange:B:E   all pairs
 *   first:B:E last:B:E  one pair from either end     set:K clear:K add:K    write
 *   clearr:B:E          clear a range                rck:K wck:K rcr:B:E wcr:B:E  explicit conflicts
 */
#ifndef TESTS_KV_SCRIPT_H
#define TESTS_KV_SCRIPT_H

#include "harness.h"

/* Performs SCRIPT in the transaction X. */
void script_perform(struct tx *x, const char *script);

#endif

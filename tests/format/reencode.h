/* SPDX-License-Identifier: MIT */
/* Decoding and encoding again: a canonical value must give the same bytes. */
#ifndef TESTS_FORMAT_REENCODE_H
#define TESTS_FORMAT_REENCODE_H

#include "format/format.h"

/* The key that P was parsed from, built with the functions of format.h as far as they reach. */
void reencode_key(const struct fmt_parsed_key *p, struct fmt_key *k);

/* Decodes VALUE as that of a key like P and encodes the result into OUT, which has FMT_INODE_MAX
 * bytes. Returns the length, an error of the decoder, or -ENODATA for values that have no structure (blocks,
 * xattrs, markers) or are never stored. Only kind, which and name of P matter. */
int reencode_value(const struct fmt_parsed_key *p, struct slice value, uint8_t *out);

#endif

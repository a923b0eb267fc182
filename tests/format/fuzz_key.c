/* SPDX-License-Identifier: MIT */
/* Input: a key. A key that parses is built again to the same bytes. */
#include "fuzz.h"
#include "reencode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct slice key = slice_of(data, len);
        struct fmt_parsed_key p;
        struct fmt_key k;

        if (fmt_key_parse(key, &p) < 0)
                return 0;
        reencode_key(&p, &k);
        FUZZ_CHECK(slice_eq(fmt_slice(&k), key));
        return 0;
}

/* SPDX-License-Identifier: MIT */
/* Input: the kind of the value (enum fmt_kind), the letter of a partial update, the value. What decodes is
 * encoded to something that decodes to the same. */
#include "fuzz.h"
#include "reencode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        uint8_t once[FMT_INODE_MAX], twice[FMT_INODE_MAX];
        struct fmt_parsed_key p = { 0 };
        int n, m;

        if (len < 2)
                return 0;
        p.kind = data[0] % (FMT_STATUS + 1);
        p.which = data[1];
        n = reencode_value(&p, slice_of(data + 2, len - 2), once);
        if (n < 0) {
                FUZZ_CHECK(n == -ERR_CORRUPT || n == -ENODATA || (n == -ERR_NEWER && p.kind == FMT_META));
                return 0;
        }
        m = reencode_value(&p, slice_of(once, (size_t)n), twice);
        FUZZ_CHECK(m == n && memcmp(once, twice, (size_t)n) == 0);
        return 0;
}

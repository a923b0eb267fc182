/* SPDX-License-Identifier: MIT */
/* Input: whether compressed, the algorithm, the block size (4096 << n % 5), the value. */
#include "format/format.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        static uint8_t out[65536 + 1];
        struct fmt_parsed_key p = { .kind = FMT_BLOCK };
        uint32_t block_size;
        size_t n;
        int r;

        if (len < 3)
                return 0;
        p.compressed = data[0] & 1;
        p.algorithm = data[1];
        block_size = UINT32_C(4096) << data[2] % 5;
        out[block_size] = 0xa5;
        r = fmt_block_decode(&p, slice_of(data + 3, len - 3), block_size, out, &n);
        FUZZ_CHECK(r == 0 || r == -ERR_CORRUPT || r == -ENOTSUP);
        FUZZ_CHECK(out[block_size] == 0xa5);
        if (r == 0)
                FUZZ_CHECK(n <= block_size && (n == 0 || out[n - 1] != 0));
        return 0;
}

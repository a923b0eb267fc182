/* SPDX-License-Identifier: MIT */
/* Input: the length of the key as 16-bit little-endian, the key, the value. */
#include "format/format.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        char out[8192 + 1];
        size_t key_len, cap, n;

        if (len < 2)
                return 0;
        key_len = data[0] | (size_t)data[1] << 8;
        if (key_len > len - 2)
                return 0;
        /* Whole lines and cut ones. */
        cap = len % 2 || len >= sizeof(out) ? sizeof(out) - 1 : len;
        out[cap] = '#';
        n = fmt_describe(slice_of(data + 2, key_len), slice_of(data + 2 + key_len, len - 2 - key_len), out,
                         cap);
        FUZZ_CHECK(n < cap && out[n] == '\0' && out[cap] == '#' && strlen(out) == n);
        for (size_t i = 0; i < n; i++)
                FUZZ_CHECK(out[i] >= ' ' && out[i] <= '~');
        return 0;
}

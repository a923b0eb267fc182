/* SPDX-License-Identifier: MIT */
/* 'f' inode offset ... -> the bytes of a block. */
#include "format/format.h"

#include <assert.h>
#include <limits.h>
#include <lz4.h>
#include <zstd.h>
#include <zstd_errors.h>

/* Whether the 64 bytes at P are zero. Without branches inside, so that compilers use vectors. */
static inline bool chunk_is_zero(const uint8_t *p)
{
        uint64_t w[8], any = 0;

        memcpy(w, p, sizeof(w));
        for (size_t i = 0; i < 8; i++)
                any |= w[i];
        return any == 0;
}

static inline bool word_is_zero(const uint8_t *p)
{
        uint64_t w;

        memcpy(&w, p, sizeof(w));
        return w == 0;
}

size_t fmt_block_trim(const void *data, size_t len)
{
        const uint8_t *p = data;

        while (len >= 64 && chunk_is_zero(p + len - 64))
                len -= 64;
        while (len >= 8 && word_is_zero(p + len - 8))
                len -= 8;
        while (len > 0 && p[len - 1] == 0)
                len--;
        return len;
}

static int copy_plain(struct slice value, uint32_t block_size, uint8_t *out)
{
        if (value.len > block_size)
                return -ERR_CORRUPT;
        if (value.len > 0)
                memcpy(out, value.data, value.len);
        return (int)value.len;
}

static int decompress_lz4(struct slice value, uint32_t block_size, uint8_t *out)
{
        int n;

        if (value.len == 0 || value.len > INT_MAX)
                return -ERR_CORRUPT;
        n = LZ4_decompress_safe((const char *)value.data, (char *)out, (int)value.len, (int)block_size);
        return n < 0 ? -ERR_CORRUPT : n;
}

/* Accepts exactly one frame of the current format. zstd itself would also accept none, several, and in some
 * distributions those of its first versions, whose decoders are not safe with hostile bytes. */
static bool is_zstd_frame(struct slice value)
{
        static const uint8_t magic[4] = { 0x28, 0xb5, 0x2f, 0xfd };

        return slice_starts_with(value, slice_of(magic, sizeof(magic))) &&
               ZSTD_findFrameCompressedSize(value.data, value.len) == value.len;
}

static int decompress_zstd(struct slice value, uint32_t block_size, uint8_t *out)
{
        size_t n;

        if (!is_zstd_frame(value))
                return -ERR_CORRUPT;
        n = ZSTD_decompress(out, block_size, value.data, value.len);
        if (!ZSTD_isError(n))
                return (int)n;
        return ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation ? -ENOMEM : -ERR_CORRUPT;
}

/* Returns the unpacked length, or an error. */
static int unpack(const struct fmt_parsed_key *key, struct slice value, uint32_t block_size, uint8_t *out)
{
        /* No parity code is assigned yet. Refusing is better than returning bytes without the check that
         * they were stored with. */
        if (key->parity.len > 0)
                return -ENOTSUP;
        if (!key->compressed)
                return copy_plain(value, block_size, out);
        switch (key->algorithm) {
        case FMT_LZ4:
                return decompress_lz4(value, block_size, out);
        case FMT_ZSTD:
                return decompress_zstd(value, block_size, out);
        default:
                return -ENOTSUP;
        }
}

int fmt_block_decode(const struct fmt_parsed_key *key, struct slice value, uint32_t block_size, uint8_t *out,
                     size_t *ret_len)
{
        int n;

        assert(key->kind == FMT_BLOCK);
        assert(block_size > 0 && block_size <= INT_MAX);
        n = unpack(key, value, block_size, out);
        if (n < 0)
                return n;
        assert((uint32_t)n <= block_size);
        *ret_len = fmt_block_trim(out, (size_t)n);
        return 0;
}

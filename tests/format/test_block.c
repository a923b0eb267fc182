/* SPDX-License-Identifier: MIT */
/* Blocks: trailing zeros, and every stored form that this version reads. */
#include "format/format.h"
#include "random.h"
#include "seed.h"

#include <lz4.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <zstd.h>
#include <cmocka.h>

#define BLOCK 16384u

static size_t trim_reference(const uint8_t *p, size_t len)
{
        while (len > 0 && p[len - 1] == 0)
                len--;
        return len;
}

/* Every length and every position of the last byte around the sizes of words and vectors, unaligned too. */
static void test_trim_small(void **state)
{
        uint8_t buf[300] = { 0 };

        for (size_t at = 0; at < 8; at++) {
                for (size_t len = 0; len <= 200; len++) {
                        assert_int_equal(fmt_block_trim(buf + at, len), 0);
                        for (size_t last = 0; last < len; last++) {
                                buf[at + last] = 0x80;
                                assert_int_equal(fmt_block_trim(buf + at, len), last + 1);
                                buf[at + last] = 0;
                        }
                        /* Bytes beyond do not count. */
                        buf[at + len] = 1;
                        assert_int_equal(fmt_block_trim(buf + at, len), 0);
                        buf[at + len] = 0;
                }
        }
        assert_int_equal(fmt_block_trim(NULL, 0), 0);
}

static void test_trim_random(void **state)
{
        static uint8_t buf[65536];
        struct rng r;

        test_seed(&r, "test_block");
        for (int n = 0; n < 500; n++) {
                size_t len = rng_below(&r, sizeof(buf) + 1), data = rng_below(&r, len + 1);

                memset(buf, 0, len);
                rng_fill(&r, buf, data);
                assert_int_equal(fmt_block_trim(buf, len), trim_reference(buf, len));
        }
}

/* Compressible bytes: runs of random lengths. */
static size_t random_block(struct rng *r, uint8_t *buf)
{
        size_t len = 1 + rng_below(r, BLOCK);

        for (size_t i = 0; i < len;) {
                size_t run = 1 + rng_below(r, 200);

                if (run > len - i)
                        run = len - i;
                memset(buf + i, (int)rng_below(r, 256), run);
                i += run;
        }
        buf[len - 1] |= 1;
        return len;
}

static struct fmt_parsed_key block_key(bool compressed, enum fmt_algorithm algorithm)
{
        return (struct fmt_parsed_key){ .kind = FMT_BLOCK, .compressed = compressed, .algorithm = algorithm };
}

static size_t compress(enum fmt_algorithm algorithm, const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
        size_t n;

        if (algorithm == FMT_LZ4) {
                int m = LZ4_compress_default((const char *)in, (char *)out, (int)len, (int)cap);

                assert_true(m > 0);
                return (size_t)m;
        }
        n = ZSTD_compress(out, cap, in, len, 1);
        assert_false(ZSTD_isError(n));
        return n;
}

static void test_compressed(void **state)
{
        static uint8_t in[BLOCK + 100], packed[2 * BLOCK];
        uint8_t *out = malloc(BLOCK); /* exact, for sanitizers */
        struct rng r;

        test_seed(&r, "test_block");
        for (int n = 0; n < 400; n++) {
                enum fmt_algorithm algorithm = n % 2 ? FMT_LZ4 : FMT_ZSTD;
                struct fmt_parsed_key k = block_key(true, algorithm);
                size_t len = random_block(&r, in), zeros = rng_below(&r, BLOCK - len + 1), ret, m;

                /* Trailing zeros that were compressed too are trimmed on reading. */
                memset(in + len, 0, zeros);
                m = compress(algorithm, in, len + zeros, packed, sizeof(packed));
                assert_int_equal(fmt_block_decode(&k, slice_of(packed, m), BLOCK, out, &ret), 0);
                assert_int_equal(ret, len);
                assert_memory_equal(out, in, len);
                /* Cut short, or with a byte more. */
                for (size_t wrong = m - 1; wrong <= m + 1; wrong += 2)
                        assert_int_equal(fmt_block_decode(&k, slice_of(packed, wrong), BLOCK, out, &ret),
                                         -ERR_CORRUPT);
        }
        free(out);
}

static void test_compressed_rules(void **state)
{
        static uint8_t in[BLOCK + 1], out[BLOCK], packed[2 * BLOCK];
        static const enum fmt_algorithm algorithms[] = { FMT_LZ4, FMT_ZSTD };
        struct fmt_parsed_key zstd = block_key(true, FMT_ZSTD);
        size_t ret = 12345, frame;

        for (size_t i = 0; i < 2; i++) {
                struct fmt_parsed_key k = block_key(true, algorithms[i]);
                size_t m;

                /* One byte more than a block. */
                m = compress(algorithms[i], in, BLOCK + 1, packed, sizeof(packed));
                assert_int_equal(fmt_block_decode(&k, slice_of(packed, m), BLOCK, out, &ret), -ERR_CORRUPT);
                assert_int_equal(fmt_block_decode(&k, slice_of(packed, 0), BLOCK, out, &ret), -ERR_CORRUPT);
                assert_int_equal(ret, 12345);
                /* All zero. */
                m = compress(algorithms[i], in, BLOCK, packed, sizeof(packed));
                assert_int_equal(fmt_block_decode(&k, slice_of(packed, m), BLOCK, out, &ret), 0);
                assert_int_equal(ret, 0);
                ret = 12345;
        }
        /* Two zstd frames. */
        in[0] = 1;
        frame = compress(FMT_ZSTD, in, 10, packed, sizeof(packed));
        memcpy(packed + frame, packed, frame);
        assert_int_equal(fmt_block_decode(&zstd, slice_of(packed, 2 * frame), BLOCK, out, &ret),
                         -ERR_CORRUPT);
}

static void test_plain(void **state)
{
        struct fmt_parsed_key k = block_key(false, 0);
        uint8_t in[5000] = { 1, 2, 3 }, out[4096];
        size_t ret;

        assert_int_equal(fmt_block_decode(&k, slice_of(in, 4096), 4096, out, &ret), 0);
        assert_int_equal(ret, 3);
        assert_memory_equal(out, in, 3);
        assert_int_equal(fmt_block_decode(&k, slice_of(NULL, 0), 4096, out, &ret), 0);
        assert_int_equal(ret, 0);
        assert_int_equal(fmt_block_decode(&k, slice_of(in, 4097), 4096, out, &ret), -ERR_CORRUPT);
}

static void test_unsupported(void **state)
{
        struct fmt_parsed_key k = block_key(true, 99);
        uint8_t out[4096];
        size_t ret;

        assert_int_equal(fmt_block_decode(&k, slice_str("x"), 4096, out, &ret), -ENOTSUP);
        k = block_key(false, 0);
        k.parity = slice_str("parity");
        assert_int_equal(fmt_block_decode(&k, slice_str("x"), 4096, out, &ret), -ENOTSUP);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_trim_small), cmocka_unit_test(test_trim_random),
                cmocka_unit_test(test_compressed), cmocka_unit_test(test_compressed_rules),
                cmocka_unit_test(test_plain),      cmocka_unit_test(test_unsupported),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

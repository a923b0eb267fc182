/* SPDX-License-Identifier: MIT */
/* Descriptions that FORMAT.md's examples do not show: lengths, escapes and damage. */
#include "format/format.h"
#include "random.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void assert_text(struct slice key, struct slice value, const char *expected)
{
        char out[1024];
        size_t n = fmt_describe(key, value, out, sizeof(out));

        assert_string_equal(out, expected);
        assert_int_equal(n, strlen(expected));
}

static void test_damage(void **state)
{
        struct fmt_key k;

        assert_text(slice_of("x\0\"", 3), slice_str("v\n"),
                    "damaged key 3 bytes \"x\\x00\\\"\": 2 bytes \"v\\x0a\"");
        fmt_key_inode(&k, 5);
        assert_text(fmt_slice(&k), slice_str("\xff"), "inode 5: damaged value 1 bytes \"\\xff\"");
        fmt_key_attr(&k, 5, FMT_ATTR_TIMES);
        assert_text(fmt_slice(&k), slice_str(""), "inode 5 attr times: damaged value 0 bytes \"\"");
        fmt_key_attr(&k, 5, FMT_ATTR_SIZE);
        assert_text(fmt_slice(&k), slice_str(""), "inode 5 attr size: damaged value 0 bytes \"\"");
        fmt_key_meta_counter(&k, FMT_COUNTER_EPOCH);
        assert_text(fmt_slice(&k), slice_str("123"), "meta epoch: damaged value 3 bytes \"123\"");
        fmt_key_meta(&k);
        assert_text(fmt_slice(&k), slice_of("\x08\x07", 2),
                    "meta: version=7 features=0x0 newer than this program");
}

static void test_times_beyond_calendars(void **state)
{
        struct {
                struct timespec t;
                const char *expected;
        } cases[] = {
                { { .tv_sec = 0 }, "inode 5 attr times: 1970-01-01T00:00:00.000000000Z" },
                { { .tv_sec = -1, .tv_nsec = 5 }, "inode 5 attr times: 1969-12-31T23:59:59.000000005Z" },
                { { .tv_sec = 253402300799 }, "inode 5 attr times: 9999-12-31T23:59:59.000000000Z" },
                { { .tv_sec = 253402300800 }, "inode 5 attr times: @253402300800.000000000" },
                { { .tv_sec = INT64_MIN }, "inode 5 attr times: @-9223372036854775808.000000000" },
                { { .tv_sec = INT64_MAX }, "inode 5 attr times: @9223372036854775807.000000000" },
        };
        uint8_t value[FMT_TIME_SIZE];
        struct fmt_key k;

        fmt_key_attr(&k, 5, FMT_ATTR_TIMES);
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                fmt_time_encode(cases[i].t, value);
                assert_text(fmt_slice(&k), slice_of(value, sizeof(value)), cases[i].expected);
        }
}

/* A shorter buffer gets the beginning of the line, and nothing is written beyond it. */
static void test_cut(void **state)
{
        char whole[1024], out[1024];
        struct fmt_key k;
        size_t len;

        fmt_key_xattr(&k, 5, slice_str("user.\xc3\xa4"));
        len = fmt_describe(fmt_slice(&k), slice_str("value"), whole, sizeof(whole));
        assert_string_equal(whole, "inode 5 xattr \"user.\\xc3\\xa4\": 5 bytes \"value\"");
        for (size_t cap = 0; cap <= len + 1; cap++) {
                size_t expected = cap == 0 ? 0 : cap - 1 < len ? cap - 1 : len;

                memset(out, '#', sizeof(out));
                assert_int_equal(fmt_describe(fmt_slice(&k), slice_str("value"), out, cap), expected);
                assert_memory_equal(out, whole, expected);
                if (cap > 0)
                        assert_int_equal(out[expected], 0);
                assert_int_equal(out[cap], '#');
        }
}

static void test_long_values(void **state)
{
        uint8_t value[65] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        struct fmt_key k;

        fmt_key_xattr(&k, 5, slice_str("a"));
        value[64] = '!';
        assert_text(fmt_slice(&k), slice_of(value, 64),
                    "inode 5 xattr \"a\": 64 bytes "
                    "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"");
        assert_text(fmt_slice(&k), slice_of(value, 65),
                    "inode 5 xattr \"a\": 65 bytes "
                    "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"...");
}

/* Any bytes give one printable line. */
static void test_random(void **state)
{
        char out[8192];
        uint8_t key[600], value[600];
        struct rng r;

        test_seed(&r, "test_describe");
        for (int n = 0; n < 5000; n++) {
                size_t klen = rng_below(&r, 40), vlen = rng_below(&r, sizeof(value)), len;

                rng_fill(&r, key, sizeof(key));
                rng_fill(&r, value, sizeof(value));
                key[0] = (uint8_t) "Midfgp"[rng_below(&r, 6)];
                len = fmt_describe(slice_of(key, klen), slice_of(value, vlen), out, sizeof(out));
                assert_int_equal(len, strlen(out));
                for (size_t i = 0; i < len; i++)
                        assert_true(out[i] >= ' ' && out[i] <= '~');
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_damage), cmocka_unit_test(test_times_beyond_calendars),
                cmocka_unit_test(test_cut),    cmocka_unit_test(test_long_values),
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

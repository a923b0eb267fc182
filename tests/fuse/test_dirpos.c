/* SPDX-License-Identifier: MIT */
/* Directory positions: the hash, the table, its bound and dropped names. */
#include "fuse/ops/dirpos.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const uint8_t key[SIPHASH_KEY_SIZE] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static struct slice format_name(char *buf, size_t cap, unsigned i)
{
        return slice_of(buf, (size_t)snprintf(buf, cap, "name-%u", i));
}

/* The vectors of the SipHash paper's reference implementation: input 00 01 02 ... of growing length. */
static void test_siphash_vectors(void **state)
{
        static const struct {
                size_t len;
                uint64_t hash;
        } vectors[] = {
                { 0, UINT64_C(0x726fdb47dd0e0e31) },  { 1, UINT64_C(0x74f839c593dc67fd) },
                { 7, UINT64_C(0xab0200f58b01d137) },  { 8, UINT64_C(0x93f5f5799a932462) },
                { 15, UINT64_C(0xa129ca6149be45e5) },
        };
        uint8_t input[16];

        for (size_t i = 0; i < sizeof(input); i++)
                input[i] = (uint8_t)i;
        for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++)
                assert_int_equal(siphash(key, slice_of(input, vectors[i].len)), vectors[i].hash);
}

static void test_positions_avoid_reserved(void **state)
{
        struct dirpos *p;
        char buf[32];

        assert_int_equal(dirpos_new(key, 4096, &p), 0);
        for (unsigned i = 0; i < 10000; i++) {
                uint64_t pos = dirpos_of(p, format_name(buf, sizeof(buf), i));

                assert_true(pos > DIRPOS_DOTDOT);
                assert_true(pos <= INT64_MAX);
                assert_int_equal(pos, dirpos_of(p, format_name(buf, sizeof(buf), i)));
        }
        dirpos_free(p);
}

/* Remembers names FIRST to END-1 as one reply in directory DIR. */
static void remember(struct dirpos *p, uint64_t dir, unsigned first, unsigned end)
{
        struct dirpos_chunk *c = dirpos_chunk_new(dir);
        char buf[32];

        assert_non_null(c);
        for (unsigned i = first; i < end; i++) {
                struct slice name = format_name(buf, sizeof(buf), i);

                assert_int_equal(dirpos_chunk_add(c, dirpos_of(p, name), name), 0);
        }
        dirpos_remember(p, c);
}

static bool is_known(struct dirpos *p, uint64_t dir, unsigned i)
{
        struct dirpos_name found;
        char buf[32];
        struct slice name = format_name(buf, sizeof(buf), i);

        if (!dirpos_find(p, dir, dirpos_of(p, name), &found))
                return false;
        assert_true(slice_eq(slice_of(found.data, found.len), name));
        return true;
}

static void test_find_in_all_places(void **state)
{
        struct dirpos *p;

        assert_int_equal(dirpos_new(key, 1 << 20, &p), 0);
        remember(p, 7, 0, 500);
        remember(p, 8, 500, 501);
        remember(p, 7, 501, 501); /* an empty reply adds nothing */
        remember(p, 7, 501, 1000);
        for (unsigned i = 0; i < 1000; i++) {
                assert_int_equal(is_known(p, 7, i), i != 500);
                assert_int_equal(is_known(p, 8, i), i == 500);
                assert_false(is_known(p, 9, i));
        }
        dirpos_free(p);
}

static void test_bounded(void **state)
{
        struct dirpos *p;
        unsigned known = 0;

        assert_int_equal(dirpos_new(key, 64 << 10, &p), 0);
        for (unsigned i = 0; i < 100000; i += 100)
                remember(p, 1, i, i + 100);
        for (unsigned i = 0; i < 100000; i++)
                known += is_known(p, 1, i);
        /* Records of some 20 bytes, in buffers that are at least half full. */
        assert_in_range(known, 1000, 4000);
        assert_true(is_known(p, 1, 99999));
        assert_false(is_known(p, 1, 0));

        /* A reply larger than the bound is kept until the next one. */
        remember(p, 2, 0, 50000);
        assert_true(is_known(p, 2, 0));
        assert_false(is_known(p, 1, 99999));
        remember(p, 3, 0, 1);
        assert_false(is_known(p, 2, 0));
        assert_true(is_known(p, 3, 0));
        dirpos_free(p);
}

static void test_longest_name(void **state)
{
        struct dirpos *p;
        struct dirpos_chunk *c = dirpos_chunk_new(1);
        struct dirpos_name found;
        char name[DIRPOS_NAME_MAX];

        assert_int_equal(dirpos_new(key, 1 << 20, &p), 0);
        for (unsigned i = 0; i < 26; i++) {
                memset(name, 'a' + (int)i, sizeof(name));
                assert_int_equal(dirpos_chunk_add(c, 100 + i, slice_of(name, sizeof(name))), 0);
        }
        dirpos_remember(p, c);
        for (unsigned i = 0; i < 26; i++) {
                memset(name, 'a' + (int)i, sizeof(name));
                assert_true(dirpos_find(p, 1, 100 + i, &found));
                assert_true(slice_eq(slice_of(found.data, found.len), slice_of(name, sizeof(name))));
        }
        assert_false(dirpos_find(p, 1, 126, &found));
        dirpos_free(p);
        dirpos_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_siphash_vectors),    cmocka_unit_test(test_positions_avoid_reserved),
                cmocka_unit_test(test_find_in_all_places), cmocka_unit_test(test_bounded),
                cmocka_unit_test(test_longest_name),
        };

        return cmocka_run_group_tests_name("dirpos", tests, NULL, NULL);
}

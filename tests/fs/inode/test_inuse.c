/* SPDX-License-Identifier: MIT */
/* The table of referenced inodes, compared with plain counters. */
#include "base/rng.h"
#include "fs/inode/inode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#define INODES 6000u

struct reference {
        uint64_t refs;
        bool orphan;
};

static uint64_t seed(void)
{
        const char *given = getenv("ASHLAR_SEED");
        uint64_t s;

        if (given)
                return strtoull(given, NULL, 10);
        rng_system(&s, sizeof(s));
        return s >> 32;
}

/* Inode numbers: dense runs, and some far away. */
static uint64_t number(uint64_t i)
{
        return i < INODES / 2 ? i + 1 : i < INODES - 10 ? (i << 20) + i : UINT64_MAX - (i - (INODES - 10));
}

static void step(struct fs_inuse *u, struct reference *table, struct rng *r, unsigned add_percent)
{
        uint64_t i = rng_below(r, INODES), n;
        struct reference *ref = &table[i];

        if (rng_below(r, 100) < add_percent) {
                assert_int_equal(fs_inuse_add(u, number(i)), 0);
                ref->refs++;
        } else if (rng_below(r, 8) == 0) {
                assert_int_equal(fs_inuse_orphan(u, number(i)), ref->refs > 0);
                ref->orphan = ref->refs > 0;
        } else {
                n = 1 + rng_below(r, 3);
                assert_int_equal(fs_inuse_drop(u, number(i), n),
                                 ref->refs > 0 && n >= ref->refs && ref->orphan);
                ref->refs -= n < ref->refs ? n : ref->refs;
                if (ref->refs == 0)
                        ref->orphan = false;
        }
}

static void test_random(void **state)
{
        struct reference *table = calloc(INODES, sizeof(*table));
        uint64_t s = seed();
        struct hash_seed hashes;
        struct fs_inuse *u;
        struct rng r;

        printf("replay: ASHLAR_SEED=%llu test_inuse\n", (unsigned long long)s);
        rng_seed(&r, s);
        rng_fill(&r, &hashes, sizeof(hashes));
        hashes.factor |= 1;
        hashes.last_factor |= 1;
        u = fs_inuse_new(&hashes);
        assert_non_null(u);
        for (unsigned round = 0; round < 6; round++) {
                for (unsigned i = 0; i < 100000; i++)
                        step(u, table, &r, round % 2 == 0 ? 70 : 30); /* it grows and shrinks */
        }
        for (unsigned i = 0; i < INODES; i++) {
                assert_int_equal(fs_inuse_orphan(u, number(i)), table[i].refs > 0);
                assert_int_equal(fs_inuse_drop(u, number(i), UINT64_MAX), table[i].refs > 0);
                assert_false(fs_inuse_orphan(u, number(i)));
        }
        fs_inuse_free(u);
        free(table);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

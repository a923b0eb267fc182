/* SPDX-License-Identifier: MIT */
/* The store contract (kv.h), run over one stack of stores: kv_contract SPEC [TEST]. See harness.h. */
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
        static struct test_table (*const tables[])(void) = {
                tests_basic, tests_keys,  tests_own_writes, tests_conflicts, tests_snapshots,
                tests_run,   tests_since, tests_watches,    tests_model,     tests_threads,
        };
        struct CMUnitTest tests[256];
        size_t n = 0;

        if (argc < 2) {
                fprintf(stderr, "usage: kv_contract SPEC [TEST], SPEC as lmdb+writebehind\n");
                return 2;
        }
        ctx_set_spec(argv[1]);
        if (argc > 2)
                cmocka_set_test_filter(argv[2]);
        for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
                struct test_table t = tables[i]();

                for (size_t j = 0; j < t.n; j++) {
                        if (n == sizeof(tests) / sizeof(tests[0]))
                                abort();
                        tests[n++] = t.tests[j];
                }
        }
        /* As cmocka_run_group_tests, for a table that is not an array with a name. */
        return _cmocka_run_group_tests(argv[1], tests, n, NULL, NULL);
}

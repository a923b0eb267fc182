/* SPDX-License-Identifier: MIT */
/* Shared by the tests of src/record: an empty store in memory, and transactions on it. */
#ifndef RECORD_FIXTURE_H
#define RECORD_FIXTURE_H

#include "format/format.h"
#include "kv/testing/testing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* After the headers that it needs. */
#include <cmocka.h>

#define assert_ok(r)       assert_int_equal((r), 0)
#define assert_fails(r, e) assert_int_equal((r), -(e))

/* Pids sort as A < B < C; that of C has the largest possible bytes. */
extern const uint8_t pid_a[FMT_PID_SIZE], pid_b[FMT_PID_SIZE], pid_c[FMT_PID_SIZE];

/* cmocka's setup and teardown: *STATE is the store. */
int store_setup(void **state);
int store_teardown(void **state);
#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)

struct kv_txn *begin(struct kv_store *s);
/* Commits T and ends it; returns kv_commit's result. */
int finish(struct kv_txn *t);

/* Writes KEY with VALUE in a separate transaction. */
void set_raw(struct kv_store *s, struct slice key, struct slice value);
/* Pairs in the store. */
size_t count_pairs(struct kv_store *s);

#endif

/* SPDX-License-Identifier: MIT */
/* What the tests of the LMDB backend share: a directory of their own, opening stores, small transactions. */
#ifndef TESTS_LMDB_FIXTURE_H
#define TESTS_LMDB_FIXTURE_H

#include "base/rng.h"
#include "kv/kv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

struct fixture {
        char dir[64];  /* of this test, removed at its end */
        char path[80]; /* of the store: dir/store, not made yet */
        struct err_text text;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Opens the test's store with FLAGS; must succeed. */
struct kv_store *store_open(struct fixture *f, unsigned flags);
/* Must fail with ERR and a line of text that contains PART. */
void store_open_fails(struct fixture *f, unsigned flags, int err, const char *part);

/* One transaction each. */
int try_put(struct kv_store *s, unsigned flags, struct slice key, struct slice value);
void put(struct kv_store *s, const char *key, const char *value);
/* VALUE NULL: absent. */
void expect(struct kv_store *s, const char *key, const char *value);

/* Runs FN in a child process; returns its wait status. */
int in_child(void (*fn)(struct fixture *f, void *arg), struct fixture *f, void *arg);

/* ASHLAR_SEED, or a random number, printed with what replays it. */
uint64_t test_seed(const char *test);

/* A path in the store's directory. */
const char *file_path(struct fixture *f, const char *name, char buf[128]);

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

#endif

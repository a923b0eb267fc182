/* SPDX-License-Identifier: MIT */
/* Shared by the tests of the LMDB engine: a temporary directory, opening stores, small transactions. */
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
        char dir[64];  /* removed at the end of the test */
        char path[80]; /* of the store: DIR/store; the setup does not make it */
        struct err_text text;
};

int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Opens the test's store with FLAGS, which must succeed. */
struct kv_store *store_open(struct fixture *f, unsigned flags);
/* Opens it, which must fail with ERR and one line of text that contains PART. */
void store_open_fails(struct fixture *f, unsigned flags, int err, const char *part);
/* Makes a store with the pair "key", "value". */
void make_store(struct fixture *f);

/* Each runs one transaction. */
int try_put(struct kv_store *s, unsigned flags, struct slice key, struct slice value);
void put(struct kv_store *s, const char *key, const char *value);
/* The value of KEY must be VALUE; NULL: it must be absent. */
void expect(struct kv_store *s, const char *key, const char *value);

/* Puts a record that the engine might never write, with LMDB alone; it makes what is missing. An empty key:
 * only makes an empty database. */
void put_raw(struct fixture *f, struct slice key, const char *value);

/* Runs FN in a child process; returns its wait status. */
int in_child(void (*fn)(struct fixture *f, void *arg), struct fixture *f, void *arg);

/* Returns ASHLAR_SEED or a random number, and prints the line that replays the test. */
uint64_t test_seed(const char *test);

/* Writes a path in the store's directory to BUF and returns it. */
const char *file_path(struct fixture *f, const char *name, char buf[128]);
void write_file(const char *path, const void *data, size_t len);

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

#endif

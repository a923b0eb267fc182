/* SPDX-License-Identifier: MIT */
/* Shared by the tests of the FoundationDB engine: stores over the stand-in, and its controls. */
#ifndef TESTS_FDB_FIXTURE_H
#define TESTS_FDB_FIXTURE_H

#include "kv/kv.h"
#include "standin/standin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct fixture {
        char dir[128];
        char url[256]; /* fdb:DIR/cluster?prefix=test */
        struct kv_store *store;
        standin_set_faults_fn set_faults;
        standin_set_bool_fn set_away, set_locked;
        standin_get_counts_fn get_counts;
};

/* Make a directory with a cluster file, and open a store (fixture_store). The teardown closes it and checks
 * that no object of it is left in the library. */
int fixture_dir(void **state);
int fixture_store(void **state);
int fixture_teardown(void **state);

/* Makes a file in the fixture's directory. */
void fixture_file(const struct fixture *f, const char *name, const char *content);

struct kv_store *fixture_open(const struct fixture *f, const char *url);
struct standin_counts fixture_counts(const struct fixture *f);

/* One key, by kv_run. VALUE NULL: absent. */
void put(struct kv_store *s, const char *key, const char *value);
void expect(struct kv_store *s, const char *key, const char *value);

/* Bodies: read "k", which may be absent; set "k" to the string ARG. */
int get_k(struct kv_txn *t, void *arg);
int set_k(struct kv_txn *t, void *arg);

#define IN_DIR(test)   cmocka_unit_test_setup_teardown(test, fixture_dir, fixture_teardown)
#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_store, fixture_teardown)

#endif

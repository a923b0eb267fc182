/* SPDX-License-Identifier: MIT */
/* All pairs of a store in memory: to carry them into another store, damaged or whole. */
#ifndef DUMP_H
#define DUMP_H

#include "kv/kv.h"

struct dump_pair {
        uint8_t *key, *value;
        size_t key_len, value_len;
};

struct dump {
        struct dump_pair *pairs; /* sorted by key */
        size_t n;
};

/* Reads one snapshot of the whole store. */
void dump_load(struct dump *d, struct kv_store *from);
void dump_free(struct dump *d);
/* Writes all of it. */
void dump_restore(const struct dump *d, struct kv_store *to);
/* A mem store that holds it. */
struct kv_store *dump_open(const struct dump *d);

/* Change the dump: SET adds or replaces, DELETE takes a key that is there (asserted). */
void dump_set(struct dump *d, struct slice key, struct slice value);
void dump_delete(struct dump *d, struct slice key);
/* The value of KEY; .data is NULL if there is none. */
struct slice dump_get(const struct dump *d, struct slice key);
struct slice dump_key(const struct dump_pair *p);
struct slice dump_value(const struct dump_pair *p);

#endif

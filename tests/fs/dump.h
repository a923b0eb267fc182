/* SPDX-License-Identifier: MIT */
/* A copy of all pairs of a store in memory, which can be damaged and written into another store. */
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
/* Writes all pairs of the dump into STORE. */
void dump_restore(const struct dump *d, struct kv_store *to);
/* Returns a mem store with the pairs of the dump. */
struct kv_store *dump_open(const struct dump *d);

/* Change the dump: dump_set adds or replaces a pair; dump_delete removes one, which must be there. */
void dump_set(struct dump *d, struct slice key, struct slice value);
void dump_delete(struct dump *d, struct slice key);
/* Returns the value of KEY; .data is NULL if there is none. */
struct slice dump_get(const struct dump *d, struct slice key);
struct slice dump_key(const struct dump_pair *p);
struct slice dump_value(const struct dump_pair *p);

#endif

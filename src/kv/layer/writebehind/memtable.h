/* SPDX-License-Identifier: MIT */
/* A memtable: an ordered map in memory from keys to versions of their values, written by one thread at a time
 * and read by any number of threads without locks. The overlay of the writebehind layer is a list of
 * memtables.
 *
 * Two indexes share the entries: a hash table with open addressing for point reads, which nearly all reads
 * are, and a skip list for order. Entries are never removed; a table is freed as a whole. A reader at version
 * V sees, per key, the newest version that is not above V.
 *
 * Readers are safe without locks because an entry or version is complete before it is published by a store
 * with release order, and because only the memory of versions that no active reader can reach is used again
 * (mt_push). */
#ifndef KV_LAYER_WRITEBEHIND_MEMTABLE_H
#define KV_LAYER_WRITEBEHIND_MEMTABLE_H

#include "base/hash.h"
#include "base/slice.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MT_HEIGHT_MAX 16

/* A version is a whole value, an absence, or a patch: a part of the value, the rest of which is that of the
 * next older version, in this table or in an older one or below. */
struct mt_version {
        struct mt_version *older; /* written only by the writer, before a reader may follow it */
        uint64_t number;
        uint32_t len;      /* of data */
        uint32_t capacity; /* bytes of data */
        uint32_t at;       /* patch: where in the value */
        uint32_t total;    /* the length of the value */
        uint32_t patched;  /* patch: bytes in it and in the patches right below it */
        uint8_t depth;     /* patches in a row, this one included; 0: not a patch */
        bool cleared;      /* the key is absent in this version */
        bool large;        /* allocated on its own */
        _Alignas(16) uint8_t data[];
};

struct mt_entry {
        _Atomic(struct mt_version *) head; /* newest first; NULL if its only transaction was undone */
        uint32_t hash;
        uint16_t key_len;
        uint8_t height;
        _Atomic(struct mt_entry *) next[]; /* of each level; the key follows */
};

struct memtable;

/* SEED: of the hash and the heights in the skip list; the same for all tables of a store. NULL: no memory. */
struct memtable *mt_new(const struct hash_seed *seed);
/* No reader may use it any more. Takes NULL. */
void mt_free(struct memtable *mt);

/* Bytes allocated for entries and values. Writer's thread, or after the last write. */
size_t mt_bytes(const struct memtable *mt);

/* The hash of KEY in this table and in all others of the same seed. */
uint32_t mt_hash(const struct memtable *mt, struct slice key);

static inline struct slice mt_key(const struct mt_entry *e)
{
        return slice_of((const uint8_t *)&e->next[e->height], e->key_len);
}

/* ---- readers, any thread ------------------------------------------------------------------------- */

/* The entry of KEY, or NULL. */
struct mt_entry *mt_find(const struct memtable *mt, uint32_t hash, struct slice key);

/* The newest version of E that is not above NUMBER, or NULL. */
static inline const struct mt_version *mt_visible(const struct mt_entry *e, uint64_t number)
{
        const struct mt_version *v = atomic_load_explicit(&e->head, memory_order_acquire);

        while (v && v->number > number)
                v = v->older;
        return v;
}

/* In order of keys; NULL at the end. */
struct mt_entry *mt_seek_ge(const struct memtable *mt, struct slice key);
struct mt_entry *mt_seek_lt(const struct memtable *mt, struct slice key);

static inline struct mt_entry *mt_next(const struct mt_entry *e)
{
        return atomic_load_explicit(&e->next[0], memory_order_acquire);
}

/* ---- the writer, one thread at a time ------------------------------------------------------------- */

/* The entry of KEY, made if there is none. NULL: no memory. */
struct mt_entry *mt_insert(struct memtable *mt, uint32_t hash, struct slice key);

/* Gives E a version NUMBER of LEN bytes, or a cleared one, on top of the older ones. The caller fills in its
 * data before it lets readers at NUMBER begin. If the newest version is NUMBER already, it is replaced: no
 * reader can see it yet. No active reader is below OLDEST_READER. NULL: no memory. */
struct mt_version *mt_push(struct memtable *mt, struct mt_entry *e, uint64_t number, uint64_t oldest_reader,
                           size_t len, bool cleared);

/* As mt_push, but with a patch of LEN bytes at AT, by which the value has TOTAL bytes. */
struct mt_version *mt_push_patch(struct memtable *mt, struct mt_entry *e, uint64_t number, size_t len,
                                 size_t at, size_t total);

/* Takes back version NUMBER of E, if it has one. */
void mt_undo(struct memtable *mt, struct mt_entry *e, uint64_t number);

#endif

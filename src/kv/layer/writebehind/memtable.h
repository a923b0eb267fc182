/* SPDX-License-Identifier: MIT */
/* A memtable: an ordered map in memory from keys to versions of their values, written by one thread at a
 * time and read by any number of threads without locks. The overlay of the writebehind layer is a list
 * of them.
 *
 * Two indexes lead to the same entries: an open-addressing hash table for point reads, which nearly all
 * are, and a skip list for order. Entries are never removed; a table is freed as a whole. A reader at
 * version V sees, per key, the newest version that is not above V.
 *
 * What makes readers safe without locks: an entry or version is complete before it is published by a
 * store with release order, and memory is used again only for versions that no active reader can reach
 * (mt_push). */
#ifndef KV_LAYER_WRITEBEHIND_MEMTABLE_H
#define KV_LAYER_WRITEBEHIND_MEMTABLE_H

#include "base/slice.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MT_HEIGHT_MAX 16

/* A version is a whole value, an absence, or a patch: a part of the value, whose rest is that of the next
 * older version, in this table or beyond it. */
struct mt_version {
        struct mt_version *older; /* written only by the writer, before anybody may follow it */
        uint64_t number;
        uint32_t len;      /* of data */
        uint32_t capacity; /* bytes of data */
        uint32_t at;       /* patch: where in the value */
        uint32_t total;    /* the length of the value */
        uint32_t patched;  /* patch: bytes in it and those right behind it */
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

/* NULL without memory. */
struct memtable *mt_new(void);
/* No reader may be left. Takes NULL. */
void mt_free(struct memtable *mt);

/* Bytes allocated for entries and values. Writer's thread, or after the last write. */
size_t mt_bytes(const struct memtable *mt);

/* The hash of KEY, the same for all tables of this process. */
uint32_t mt_hash(struct slice key);

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

/* The entry of KEY, made if there is none. NULL without memory. */
struct mt_entry *mt_insert(struct memtable *mt, uint32_t hash, struct slice key);

/* Gives E a version NUMBER of LEN bytes (or a cleared one) on top of its older ones; the caller fills in
 * its data before it lets readers at NUMBER begin. If the newest already is NUMBER it is replaced:
 * nobody can see it yet. No active reader is below OLDEST_READER. NULL without memory. */
struct mt_version *mt_push(struct memtable *mt, struct mt_entry *e, uint64_t number, uint64_t oldest_reader,
                           size_t len, bool cleared);

/* As mt_push, but a patch: LEN bytes at AT of a value that has TOTAL bytes with it. */
struct mt_version *mt_push_patch(struct memtable *mt, struct mt_entry *e, uint64_t number, size_t len,
                                 size_t at, size_t total);

/* Takes version NUMBER of E back, if it has one. */
void mt_undo(struct memtable *mt, struct mt_entry *e, uint64_t number);

#endif

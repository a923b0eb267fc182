/* SPDX-License-Identifier: MIT */
#include "kv/layer/writebehind/memtable.h"

#include <assert.h>
#include <stdlib.h>

#define CHUNK_BYTES   ((size_t)64 << 10)
#define LARGE_BYTES   1024u /* values of this size and above are allocated one by one, to be freed early */
#define SLOTS_INITIAL 256u
#define HINTS         8u /* positions of the last insertions, by the key's first byte */

/* Open addressing with linear probing, at most half full. When it grows, readers may still use the smaller
 * array, which has all entries that they can see: it is kept until the table is freed. */
struct slots {
        struct slots *smaller;
        uint32_t mask;
        _Atomic(struct mt_entry *) entry[];
};

struct chunk {
        struct chunk *next;
        uint8_t data[];
};

/* The entries before the position of the last insertion, on each level. */
struct hint {
        struct mt_entry *before[MT_HEIGHT_MAX];
};

/* A large version that was taken back. A reader may still be passing it, so it is freed with the table. */
struct undone {
        struct undone *next;
        struct mt_version *version;
};

struct memtable {
        _Atomic(struct slots *) slots;
        size_t entries;
        struct chunk *chunks;
        size_t chunk_used, chunk_size;
        size_t bytes;
        struct hash_seed seed;
        uint64_t random; /* for heights; not 0 */
        int height;      /* of the highest entry; for the writer only */
        struct undone *undone;
        struct hint hints[HINTS];
        struct mt_entry *sentinel; /* before the first entry, of full height */
};

/* ---- memory -------------------------------------------------------------------------------------- */

/* Allocates from the current chunk; freed with the table. */
static void *arena_alloc(struct memtable *mt, size_t size)
{
        void *p;

        size = (size + 15) & ~(size_t)15;
        if (!mt->chunks || size > mt->chunk_size - mt->chunk_used) {
                size_t data = size > CHUNK_BYTES ? size : CHUNK_BYTES;
                struct chunk *c = malloc(sizeof(*c) + 8 + data);

                if (!c)
                        return NULL;
                c->next = mt->chunks;
                mt->chunks = c;
                mt->chunk_used = 0;
                mt->chunk_size = data;
                mt->bytes += data;
        }
        /* sizeof(struct chunk) is 8: 8 more bytes align the data to 16. */
        p = mt->chunks->data + 8 + mt->chunk_used;
        mt->chunk_used += size;
        return p;
}

static struct mt_version *version_alloc(struct memtable *mt, size_t len)
{
        size_t capacity = (len + 15) & ~(size_t)15;
        bool large = capacity >= LARGE_BYTES;
        size_t size = sizeof(struct mt_version) + capacity;
        struct mt_version *v = large ? malloc(size) : arena_alloc(mt, size);

        if (!v)
                return NULL;
        if (large)
                mt->bytes += size;
        v->capacity = (uint32_t)capacity;
        v->large = large;
        return v;
}

static void version_free(struct memtable *mt, struct mt_version *v)
{
        if (!v->large)
                return;
        mt->bytes -= sizeof(*v) + v->capacity;
        free(v);
}

static void versions_free(struct memtable *mt, struct mt_version *v)
{
        while (v) {
                struct mt_version *older = v->older;

                version_free(mt, v);
                v = older;
        }
}

struct memtable *mt_new(const struct hash_seed *seed)
{
        struct memtable *mt = calloc(1, sizeof(*mt));
        struct slots *slots = calloc(1, sizeof(*slots) + SLOTS_INITIAL * sizeof(slots->entry[0]));
        struct mt_entry *sentinel = calloc(1, sizeof(*sentinel) + MT_HEIGHT_MAX * sizeof(sentinel->next[0]));

        if (!mt || !slots || !sentinel) {
                free(mt);
                free(slots);
                free(sentinel);
                return NULL;
        }
        slots->mask = SLOTS_INITIAL - 1;
        atomic_init(&mt->slots, slots);
        sentinel->height = MT_HEIGHT_MAX;
        mt->sentinel = sentinel;
        mt->height = 1;
        mt->seed = *seed;
        mt->random = seed->start | 1;
        for (size_t h = 0; h < HINTS; h++)
                for (int l = 0; l < MT_HEIGHT_MAX; l++)
                        mt->hints[h].before[l] = sentinel;
        return mt;
}

void mt_free(struct memtable *mt)
{
        struct slots *slots;

        if (!mt)
                return;
        for (struct mt_entry *e = mt_next(mt->sentinel); e; e = mt_next(e))
                versions_free(mt, atomic_load_explicit(&e->head, memory_order_relaxed));
        for (struct undone *u = mt->undone; u; u = u->next)
                version_free(mt, u->version);
        slots = atomic_load_explicit(&mt->slots, memory_order_relaxed);
        while (slots) {
                struct slots *smaller = slots->smaller;

                free(slots);
                slots = smaller;
        }
        while (mt->chunks) {
                struct chunk *next = mt->chunks->next;

                free(mt->chunks);
                mt->chunks = next;
        }
        free(mt->sentinel);
        free(mt);
}

size_t mt_bytes(const struct memtable *mt)
{
        return mt->bytes;
}

/* ---- hash index ---------------------------------------------------------------------------------- */

uint32_t mt_hash(const struct memtable *mt, struct slice key)
{
        uint64_t h = hash_bytes(&mt->seed, key);

        return (uint32_t)(h ^ (h >> 32));
}

struct mt_entry *mt_find(const struct memtable *mt, uint32_t hash, struct slice key)
{
        const struct slots *s = atomic_load_explicit(&mt->slots, memory_order_acquire);

        for (uint32_t i = hash & s->mask;; i = (i + 1) & s->mask) {
                struct mt_entry *e = atomic_load_explicit(&s->entry[i], memory_order_acquire);

                if (!e || (e->hash == hash && slice_eq(mt_key(e), key)))
                        return e;
        }
}

static void slots_add(struct slots *s, struct mt_entry *e)
{
        uint32_t i = e->hash & s->mask;

        while (atomic_load_explicit(&s->entry[i], memory_order_relaxed))
                i = (i + 1) & s->mask;
        atomic_store_explicit(&s->entry[i], e, memory_order_release);
}

/* Ensures that one more entry fits. */
static bool slots_reserve(struct memtable *mt)
{
        struct slots *old = atomic_load_explicit(&mt->slots, memory_order_relaxed), *new;
        size_t size = (size_t)old->mask + 1;

        if (mt->entries < size / 2)
                return true;
        size *= 4;
        new = calloc(1, sizeof(*new) + size * sizeof(new->entry[0]));
        if (!new)
                return false;
        new->smaller = old;
        new->mask = (uint32_t)(size - 1);
        for (uint32_t i = 0; i <= old->mask; i++) {
                struct mt_entry *e = atomic_load_explicit(&old->entry[i], memory_order_relaxed);

                if (e)
                        slots_add(new, e);
        }
        mt->bytes += size * sizeof(new->entry[0]);
        atomic_store_explicit(&mt->slots, new, memory_order_release);
        return true;
}

/* ---- skip list ----------------------------------------------------------------------------------- */

static struct mt_entry *next_at(const struct mt_entry *e, int level)
{
        return atomic_load_explicit(&e->next[level], memory_order_acquire);
}

/* Finds the last entry below KEY, searching from FROM, which is below KEY, on LEVEL downwards; the sentinel
 * if there is none. Fills in BEFORE for the levels passed, if not NULL. */
static struct mt_entry *seek_before(struct mt_entry *from, int level, struct slice key,
                                    struct mt_entry **before)
{
        struct mt_entry *e = from, *beyond = NULL;

        for (; level >= 0; level--) {
                struct mt_entry *n = next_at(e, level);

                /* The entry beyond KEY on the level above needs no second comparison. */
                while (n && n != beyond && slice_cmp(mt_key(n), key) < 0) {
                        e = n;
                        n = next_at(e, level);
                }
                beyond = n;
                if (before)
                        before[level] = e;
        }
        return e;
}

/* Finds the last entry below KEY on one level, from FROM on. */
static struct mt_entry *seek_level(struct mt_entry *from, int level, struct slice key)
{
        struct mt_entry *n;

        while ((n = next_at(from, level)) && slice_cmp(mt_key(n), key) < 0)
                from = n;
        return from;
}

struct mt_entry *mt_seek_ge(const struct memtable *mt, struct slice key)
{
        return mt_next(seek_before(mt->sentinel, MT_HEIGHT_MAX - 1, key, NULL));
}

struct mt_entry *mt_seek_lt(const struct memtable *mt, struct slice key)
{
        struct mt_entry *e = seek_before(mt->sentinel, MT_HEIGHT_MAX - 1, key, NULL);

        return e == mt->sentinel ? NULL : e;
}

/* One entry in four reaches the next level. */
static int random_height(struct memtable *mt)
{
        uint64_t x = mt->random;
        int height = 1;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        mt->random = x;
        while (height < MT_HEIGHT_MAX && (x & 3) == 0) {
                height++;
                x >>= 2;
        }
        return height;
}

static bool is_before(const struct memtable *mt, const struct mt_entry *e, struct slice key)
{
        return e == mt->sentinel || slice_cmp(mt_key(e), key) < 0;
}

/* Moves HINT to the position of KEY on the levels below the one that it returns. New keys tend to follow the
 * last one of their kind (inode numbers, blocks, names in order), so the search goes up only as far as the
 * old position does not fit. From that level on the hint is still before KEY, but perhaps not right before
 * it. */
static int hint_move(struct memtable *mt, struct hint *hint, struct slice key)
{
        int level = 0;

        while (level < mt->height) {
                struct mt_entry *b = hint->before[level], *n = next_at(b, level);

                if (is_before(mt, b, key) && (!n || slice_cmp(mt_key(n), key) > 0))
                        break;
                level++;
        }
        if (level == mt->height)
                seek_before(mt->sentinel, mt->height - 1, key, hint->before);
        else if (level > 0)
                seek_before(hint->before[level], level - 1, key, hint->before);
        return level;
}

static void insert_in_order(struct memtable *mt, struct mt_entry *e)
{
        struct slice key = mt_key(e);
        struct hint *hint = &mt->hints[key.len > 0 ? (key.data[0] ^ (key.data[0] >> 3)) % HINTS : 0];
        int exact = hint_move(mt, hint, key);

        for (int l = 0; l < e->height; l++) {
                struct mt_entry *b = l < mt->height ? hint->before[l] : mt->sentinel;

                if (l >= exact)
                        b = seek_level(b, l, key);
                atomic_store_explicit(&e->next[l], next_at(b, l), memory_order_relaxed);
                atomic_store_explicit(&b->next[l], e, memory_order_release);
                hint->before[l] = e;
        }
        if (e->height > mt->height)
                mt->height = e->height;
}

/* ---- writing ------------------------------------------------------------------------------------- */

struct mt_entry *mt_insert(struct memtable *mt, uint32_t hash, struct slice key)
{
        struct mt_entry *e = mt_find(mt, hash, key);
        int height;

        if (e)
                return e;
        if (!slots_reserve(mt))
                return NULL;
        height = random_height(mt);
        e = arena_alloc(mt, sizeof(*e) + (size_t)height * sizeof(e->next[0]) + key.len);
        if (!e)
                return NULL;
        atomic_init(&e->head, NULL);
        e->hash = hash;
        e->key_len = (uint16_t)key.len;
        e->height = (uint8_t)height;
        if (key.len > 0)
                memcpy(&e->next[height], key.data, key.len);
        insert_in_order(mt, e);
        slots_add(atomic_load_explicit(&mt->slots, memory_order_relaxed), e);
        mt->entries++;
        return e;
}

/* Takes the memory of the versions behind HEAD for a version of LEN bytes, if no reader can reach them
 * because each active one sees HEAD or a newer version. Frees those that it does not use. NULL: allocate. */
static struct mt_version *version_recycle(struct memtable *mt, struct mt_version *head,
                                          uint64_t oldest_reader, size_t len)
{
        struct mt_version *old;

        if (!head || !head->older || head->depth > 0 || head->number > oldest_reader)
                return NULL;
        old = head->older;
        head->older = NULL;
        versions_free(mt, old->older);
        if (len <= old->capacity && (!old->large || len >= old->capacity / 2))
                return old;
        version_free(mt, old);
        return NULL;
}

static void whole_value(struct mt_version *v, size_t len, bool cleared)
{
        v->len = v->total = (uint32_t)len;
        v->at = v->patched = 0;
        v->depth = 0;
        v->cleared = cleared;
}

/* Makes V the newest version; readers at NUMBER begin once the transaction is published. */
static void publish(struct mt_entry *e, struct mt_version *v, uint64_t number)
{
        v->number = number;
        v->older = atomic_load_explicit(&e->head, memory_order_relaxed);
        atomic_store_explicit(&e->head, v, memory_order_release);
}

struct mt_version *mt_push(struct memtable *mt, struct mt_entry *e, uint64_t number, uint64_t oldest_reader,
                           size_t len, bool cleared)
{
        struct mt_version *head = atomic_load_explicit(&e->head, memory_order_relaxed);
        struct mt_version *v;

        assert(!head || head->number <= number);
        if (head && head->number == number && len <= head->capacity) {
                v = head;
                whole_value(v, len, cleared);
                return v;
        }
        v = version_recycle(mt, head, oldest_reader, len);
        if (!v)
                v = version_alloc(mt, len);
        if (!v)
                return NULL;
        whole_value(v, len, cleared);
        publish(e, v, number);
        return v;
}

struct mt_version *mt_push_patch(struct memtable *mt, struct mt_entry *e, uint64_t number, size_t len,
                                 size_t at, size_t total)
{
        const struct mt_version *head = atomic_load_explicit(&e->head, memory_order_relaxed);
        struct mt_version *v = version_alloc(mt, len);
        bool on_patch = head && head->depth > 0;

        if (!v)
                return NULL;
        assert(!head || head->number <= number);
        assert(!on_patch || head->depth < UINT8_MAX);
        v->len = (uint32_t)len;
        v->at = (uint32_t)at;
        v->total = (uint32_t)total;
        v->patched = (uint32_t)len + (on_patch ? head->patched : 0);
        v->depth = (uint8_t)(1 + (on_patch ? head->depth : 0));
        v->cleared = false;
        publish(e, v, number);
        return v;
}

void mt_undo(struct memtable *mt, struct mt_entry *e, uint64_t number)
{
        struct mt_version *v = atomic_load_explicit(&e->head, memory_order_relaxed);

        while (v && v->number == number) {
                struct mt_version *older = v->older;

                atomic_store_explicit(&e->head, older, memory_order_release);
                if (v->large) {
                        struct undone *u = arena_alloc(mt, sizeof(*u));

                        /* Without memory to list it the version leaks, rather than being freed in use. */
                        if (u) {
                                *u = (struct undone){ .next = mt->undone, .version = v };
                                mt->undone = u;
                        }
                }
                v = older;
        }
}

/* SPDX-License-Identifier: MIT */
#include "fs/writeback/entry.h"
#include "fs/writeback/cache.h"

/* Clean entries that are kept; they save readers from reading twice. */
#define CLEAN_ENTRIES 1024u

static struct writeback_entry **bucket(struct writeback *wb, uint64_t ino)
{
        return &wb->buckets[(ino * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

_Static_assert(WRITEBACK_BUCKETS == 1 << 10, "a hash has 10 bits");

static struct writeback_entry *find_locked(struct writeback *wb, uint64_t ino)
{
        struct writeback_entry *e = *bucket(wb, ino);

        lock_assert_held(&wb->lock);
        while (e && e->ino != ino)
                e = e->next_in_bucket;
        return e;
}

static void entry_free(struct writeback_entry *e)
{
        batch_clear(&e->dirty);
        batch_clear(&e->frozen);
        lock_destroy(&e->lock);
        free(e);
}

static void remove_locked(struct writeback *wb, struct writeback_entry *e)
{
        struct writeback_entry **at = bucket(wb, e->ino);

        lock_assert_held(&wb->lock);
        while (*at != e)
                at = &(*at)->next_in_bucket;
        *at = e->next_in_bucket;
        list_remove(&e->link);
        wb->n_entries--;
        if (e->retired > wb->freed_retired)
                wb->freed_retired = e->retired;
        entry_free(e);
}

/* Frees some of the oldest entries that are clean. One with a loss to report stays, unless the inode is gone:
 * then usually no caller is left. */
static void sweep_locked(struct writeback *wb)
{
        for (unsigned i = 0; i < 4 && wb->n_entries > CLEAN_ENTRIES; i++) {
                struct writeback_entry *e = list_entry(wb->entries.next, struct writeback_entry, link);

                if (e->refs == 0 && e->bytes == 0 && (!e->lost || e->lost == -ESTALE)) {
                        remove_locked(wb, e);
                } else {
                        list_remove(&e->link);
                        list_append(&wb->entries, &e->link);
                }
        }
}

static void add_locked(struct writeback *wb, struct writeback_entry *e)
{
        lock_assert_held(&wb->lock);
        e->retired = wb->freed_retired; /* there may have been an entry before */
        e->next_in_bucket = *bucket(wb, e->ino);
        *bucket(wb, e->ino) = e;
        list_append(&wb->entries, &e->link);
        wb->n_entries++;
}

struct writeback_entry *entry_get(struct writeback *wb, uint64_t ino)
{
        struct writeback_entry *e;

        LOCK_GUARD(&wb->lock);
        e = find_locked(wb, ino);
        if (e)
                e->refs++;
        return e;
}

void entry_put(struct writeback_entry *e)
{
        LOCK_GUARD(&e->cache->lock);
        assert(e->refs > 0);
        e->refs--;
}

static struct writeback_entry *entry_new(struct writeback *wb, uint64_t ino)
{
        struct writeback_entry *e = calloc(1, sizeof(*e));

        if (!e)
                return NULL;
        lock_init(&e->lock);
        e->cache = wb;
        e->ino = ino;
        return e;
}

struct writeback_entry *entry_make(struct writeback *wb, uint64_t ino)
{
        struct writeback_entry *e = entry_get(wb, ino), *made;

        if (e)
                return e;
        made = entry_new(wb, ino);
        if (!made)
                return NULL;
        lock_acquire(&wb->lock);
        e = find_locked(wb, ino); /* another thread may have been faster */
        if (!e) {
                e = steal_ptr(made);
                add_locked(wb, e);
        }
        e->refs++;
        sweep_locked(wb);
        lock_release(&wb->lock);
        if (made)
                entry_free(made);
        return e;
}

void entries_free(struct writeback *wb)
{
        while (!list_empty(&wb->entries)) {
                struct writeback_entry *e = list_entry(wb->entries.next, struct writeback_entry, link);

                list_remove(&e->link);
                entry_free(e);
        }
}

bool entries_freed_since(struct writeback *wb, fs_writeback_mark mark)
{
        LOCK_GUARD(&wb->lock);
        return wb->freed_retired > mark;
}

/* ---- states -------------------------------------------------------------------------------------- */

#define TO(state) (1u << FLUSH_##state)

/* The table of flush_state.h. */
static const unsigned legal[FLUSH_STATES] = {
        [FLUSH_CLEAN] = TO(DIRTY),
        [FLUSH_DIRTY] = TO(FLUSHING) | TO(CLEAN),
        [FLUSH_FLUSHING] = TO(FINISHING) | TO(CLEAN) | TO(DIRTY) | TO(FROZEN) | TO(FAILING),
        [FLUSH_FINISHING] = TO(CLEAN) | TO(DIRTY) | TO(FROZEN) | TO(FAILING),
        [FLUSH_FROZEN] = TO(FLUSHING) | TO(CLEAN) | TO(DIRTY),
        [FLUSH_FAILING] = TO(FLUSHING) | TO(CLEAN) | TO(DIRTY),
};

#ifndef NDEBUG
static bool fits_batches(const struct writeback_entry *e, enum flush_state s)
{
        switch (s) {
        case FLUSH_CLEAN:
                return batch_is_empty(&e->frozen) && batch_is_empty(&e->dirty);
        case FLUSH_DIRTY:
                return batch_is_empty(&e->frozen) && !batch_is_empty(&e->dirty);
        default:
                return !batch_is_empty(&e->frozen);
        }
}
#endif

void entry_set_state_locked(struct writeback_entry *e, enum flush_state to, int error)
{
        lock_assert_held(&e->lock);
        assert(legal[e->state] & (1u << to));
        assert(fits_batches(e, to));
        assert((to == FLUSH_FAILING) == (error < 0));
        LOCK_GUARD(&e->cache->lock);

        e->state = to;
        if (!flush_state_is_active(to))
                e->error = error;
}

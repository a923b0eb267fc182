/* SPDX-License-Identifier: MIT */
/* What is remembered of inodes, as long as something of them is dirty, and some time longer. */
#include "fs/writeback/internal.h"

#include <assert.h>
#include <stdlib.h>

/* Entries of inodes of which nothing is dirty any more; they save readers from reading twice. */
#define CLEAN_ENTRIES 1024u

static struct writeback_entry **bucket(struct writeback *g, uint64_t ino)
{
        return &g->buckets[(ino * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

_Static_assert(WRITEBACK_BUCKETS == 1 << 10, "a hash has 10 bits");

/* Under the lock. */
static struct writeback_entry *find(struct writeback *g, uint64_t ino)
{
        struct writeback_entry *e = *bucket(g, ino);

        while (e && e->ino != ino)
                e = e->next_in_bucket;
        return e;
}

static void entry_free(struct writeback_entry *e)
{
        dirty_blocks_free(&e->dirty.blocks);
        dirty_blocks_free(&e->frozen.blocks);
        lock_destroy(&e->lock);
        free(e);
}

/* Under the lock. */
static void entry_remove(struct writeback *g, struct writeback_entry *e)
{
        struct writeback_entry **at = bucket(g, e->ino);

        while (*at != e)
                at = &(*at)->next_in_bucket;
        *at = e->next_in_bucket;
        list_remove(&e->link);
        g->entries--;
        if (e->retired > g->floor)
                g->floor = e->retired;
        entry_free(e);
}

/* Under the lock: looks at some of the oldest. What still has an error to tell stays, but for that of an
 * inode that is gone: mostly, nobody is left to be told. */
static void sweep(struct writeback *g)
{
        for (unsigned i = 0; i < 4 && g->entries > CLEAN_ENTRIES; i++) {
                struct writeback_entry *e = list_entry(g->all.next, struct writeback_entry, link);

                if (e->refs == 0 && e->bytes == 0 && (!e->lost || e->lost == -ESTALE)) {
                        entry_remove(g, e);
                } else {
                        list_remove(&e->link);
                        list_append(&g->all, &e->link);
                }
        }
}

struct writeback_entry *writeback_entry_get(struct writeback *g, uint64_t ino)
{
        struct writeback_entry *e;

        lock_acquire(&g->lock);
        e = find(g, ino);
        if (e)
                e->refs++;
        lock_release(&g->lock);
        return e;
}

void writeback_entry_put(struct writeback *g, struct writeback_entry *e)
{
        lock_acquire(&g->lock);
        assert(e->refs > 0);
        e->refs--;
        lock_release(&g->lock);
}

struct writeback_entry *writeback_entry_make(struct writeback *g, uint64_t ino)
{
        struct writeback_entry *e = writeback_entry_get(g, ino), *made;

        if (e)
                return e;
        made = calloc(1, sizeof(*made));
        if (!made)
                return NULL;
        lock_init(&made->lock);
        made->writeback = g;
        made->ino = ino;
        made->job.fn = flush_job;
        lock_acquire(&g->lock);
        e = find(g, ino);
        if (!e) {
                e = made;
                made = NULL;
                /* There may have been one before. */
                e->retired = g->floor;
                e->next_in_bucket = *bucket(g, ino);
                *bucket(g, ino) = e;
                list_append(&g->all, &e->link);
                g->entries++;
        }
        e->refs++;
        sweep(g);
        lock_release(&g->lock);
        if (made)
                entry_free(made);
        return e;
}

void writeback_entries_free(struct writeback *g)
{
        while (!list_empty(&g->all)) {
                struct writeback_entry *e = list_entry(g->all.next, struct writeback_entry, link);

                list_remove(&e->link);
                entry_free(e);
        }
}

bool writeback_gone_since(struct writeback *g, fs_writeback_mark mark)
{
        bool gone;

        lock_acquire(&g->lock);
        gone = g->floor > mark;
        lock_release(&g->lock);
        return gone;
}

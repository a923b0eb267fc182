/* What is remembered of inodes, as long as something of them is gathered, and some time longer. */
#include "fs/gather_priv.h"

#include <assert.h>
#include <stdlib.h>

/* Entries of inodes of which nothing is gathered any more; they save readers from reading twice. */
#define CLEAN_ENTRIES 1024u

static struct gather_entry **bucket(struct gather *g, uint64_t ino)
{
        return &g->buckets[(ino * UINT64_C(0x9e3779b97f4a7c15)) >> 54];
}

_Static_assert(GATHER_BUCKETS == 1 << 10, "a hash has 10 bits");

/* Under the lock. */
static struct gather_entry *find(struct gather *g, uint64_t ino)
{
        struct gather_entry *e = *bucket(g, ino);

        while (e && e->ino != ino)
                e = e->next_in_bucket;
        return e;
}

static void entry_free(struct gather_entry *e)
{
        gather_blocks_free(&e->dirty.blocks);
        gather_blocks_free(&e->frozen.blocks);
        pthread_mutex_destroy(&e->lock);
        free(e);
}

/* Under the lock. */
static void entry_remove(struct gather *g, struct gather_entry *e)
{
        struct gather_entry **at = bucket(g, e->ino);

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
static void sweep(struct gather *g)
{
        for (unsigned i = 0; i < 4 && g->entries > CLEAN_ENTRIES; i++) {
                struct gather_entry *e = list_entry(g->all.next, struct gather_entry, link);

                if (e->refs == 0 && e->bytes == 0 && (!e->lost || e->lost == -ESTALE)) {
                        entry_remove(g, e);
                } else {
                        list_remove(&e->link);
                        list_append(&g->all, &e->link);
                }
        }
}

struct gather_entry *gather_entry_get(struct gather *g, uint64_t ino)
{
        struct gather_entry *e;

        pthread_mutex_lock(&g->lock);
        e = find(g, ino);
        if (e)
                e->refs++;
        pthread_mutex_unlock(&g->lock);
        return e;
}

void gather_entry_put(struct gather *g, struct gather_entry *e)
{
        pthread_mutex_lock(&g->lock);
        assert(e->refs > 0);
        e->refs--;
        pthread_mutex_unlock(&g->lock);
}

struct gather_entry *gather_entry_make(struct gather *g, uint64_t ino)
{
        struct gather_entry *e = gather_entry_get(g, ino), *made;

        if (e)
                return e;
        made = calloc(1, sizeof(*made));
        if (!made)
                return NULL;
        pthread_mutex_init(&made->lock, NULL);
        made->gather = g;
        made->ino = ino;
        made->job.fn = gather_flush_job;
        pthread_mutex_lock(&g->lock);
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
        pthread_mutex_unlock(&g->lock);
        if (made)
                entry_free(made);
        return e;
}

void gather_entries_free(struct gather *g)
{
        while (!list_empty(&g->all)) {
                struct gather_entry *e = list_entry(g->all.next, struct gather_entry, link);

                list_remove(&e->link);
                entry_free(e);
        }
}

bool gather_gone_since(struct gather *g, fs_gather_mark mark)
{
        bool gone;

        pthread_mutex_lock(&g->lock);
        gone = g->floor > mark;
        pthread_mutex_unlock(&g->lock);
        return gone;
}

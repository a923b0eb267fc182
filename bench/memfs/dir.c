/* SPDX-License-Identifier: MIT */
#include "memfs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void mem_dir_init(struct mem_dir *d)
{
        *d = (struct mem_dir){ .next_position = MEM_POSITION_FIRST };
}

void mem_dir_destroy(struct mem_dir *d)
{
        free(d->buckets);
        free(d->slots);
}

/* FNV-1a, folded: names are short. */
static uint64_t name_hash(const char *name, size_t len)
{
        uint64_t h = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < len; i++)
                h = (h ^ (uint8_t)name[i]) * UINT64_C(0x100000001b3);
        return h ^ h >> 32;
}

struct mem_entry *mem_dir_find(const struct mem_dir *d, const char *name)
{
        size_t len = strlen(name);
        uint64_t hash = name_hash(name, len);
        struct mem_entry *e;

        if (d->n_buckets == 0)
                return NULL;
        for (e = d->buckets[hash & (d->n_buckets - 1)]; e; e = e->next)
                if (e->hash == hash && e->len == len && memcmp(e->name, name, len) == 0)
                        return e;
        return NULL;
}

static int buckets_grow(struct mem_dir *d)
{
        size_t n = d->n_buckets ? d->n_buckets * 2 : 8;
        struct mem_entry **buckets;

        if (d->n_entries < d->n_buckets)
                return 0;
        buckets = calloc(n, sizeof(*buckets));
        if (!buckets)
                return -ENOMEM;
        for (size_t i = 0; i < d->n_slots; i++) {
                struct mem_entry *e = d->slots[i].entry;

                if (!e)
                        continue;
                e->next = buckets[e->hash & (n - 1)];
                buckets[e->hash & (n - 1)] = e;
        }
        free(d->buckets);
        d->buckets = buckets;
        d->n_buckets = n;
        return 0;
}

static void slots_compact(struct mem_dir *d)
{
        size_t n = 0;

        for (size_t i = 0; i < d->n_slots; i++) {
                if (!d->slots[i].entry)
                        continue;
                d->slots[n] = d->slots[i];
                d->slots[n].entry->slot = (uint32_t)n;
                n++;
        }
        d->n_slots = n;
}

/* Makes space for one more slot; compacts if half of the slots are empty. */
static int slots_grow(struct mem_dir *d)
{
        size_t n = d->slots_allocated ? d->slots_allocated * 2 : 8;
        struct mem_slot *slots;

        if (d->n_slots < d->slots_allocated)
                return 0;
        if (d->n_entries < d->n_slots / 2) {
                slots_compact(d);
                return 0;
        }
        if (n > UINT32_MAX)
                return -ENOSPC;
        slots = realloc(d->slots, n * sizeof(*slots));
        if (!slots)
                return -ENOMEM;
        d->slots = slots;
        d->slots_allocated = n;
        return 0;
}

void mem_entry_set(struct mem_entry *e, struct mem_inode *inode)
{
        e->inode = inode;
        e->ino = inode->st.st_ino;
        e->type = inode->type;
}

int mem_dir_add(struct mem_dir *d, const char *name, struct mem_inode *inode)
{
        size_t len = strlen(name);
        struct mem_entry *e, **bucket;
        int r;

        if (len > UINT8_MAX)
                return -ENAMETOOLONG;
        r = buckets_grow(d);
        if (r == 0)
                r = slots_grow(d);
        if (r < 0)
                return r;
        e = malloc(sizeof(*e) + len + 1);
        if (!e)
                return -ENOMEM;
        e->hash = name_hash(name, len);
        mem_entry_set(e, inode);
        e->slot = (uint32_t)d->n_slots;
        e->len = (uint8_t)len;
        memcpy(e->name, name, len + 1);
        bucket = &d->buckets[e->hash & (d->n_buckets - 1)];
        e->next = *bucket;
        *bucket = e;
        d->slots[d->n_slots++] = (struct mem_slot){ .position = d->next_position++, .entry = e };
        d->n_entries++;
        return 0;
}

void mem_dir_remove(struct mem_dir *d, struct mem_entry *e)
{
        struct mem_entry **p = &d->buckets[e->hash & (d->n_buckets - 1)];

        while (*p != e)
                p = &(*p)->next;
        *p = e->next;
        d->slots[e->slot].entry = NULL;
        d->n_entries--;
        free(e);
}

size_t mem_dir_seek(const struct mem_dir *d, uint64_t position)
{
        size_t low = 0, high = d->n_slots;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (d->slots[middle].position <= position)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

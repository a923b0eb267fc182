/* SPDX-License-Identifier: MIT */
#include "fuse/ops/dirpos.h"

#include "base/lock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* A record: position (8 bytes), length of the name (1), name. */
#define RECORD_HEAD       9u
#define CHUNK_FIRST_BYTES 1024u

struct dirpos_chunk {
        struct dirpos_chunk *older, *newer;
        uint64_t dir;
        size_t last; /* offset of the last record */
        size_t used, allocated;
        uint8_t *records;
};

struct dirpos {
        uint8_t key[SIPHASH_KEY_SIZE];
        size_t max_bytes;
        struct lock lock; /* protects the fields below */
        size_t bytes;
        struct dirpos_chunk *oldest, *newest;
};

int dirpos_new(const uint8_t key[SIPHASH_KEY_SIZE], size_t max_bytes, struct dirpos **ret)
{
        struct dirpos *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        memcpy(p->key, key, sizeof(p->key));
        p->max_bytes = max_bytes;
        lock_init(&p->lock);
        *ret = p;
        return 0;
}

static void chunk_free(struct dirpos_chunk *c)
{
        free(c->records);
        free(c);
}

void dirpos_free(struct dirpos *p)
{
        if (!p)
                return;
        while (p->oldest) {
                struct dirpos_chunk *c = p->oldest;

                p->oldest = c->newer;
                chunk_free(c);
        }
        lock_destroy(&p->lock);
        free(p);
}

uint64_t dirpos_of(const struct dirpos *p, struct slice name)
{
        uint64_t pos = siphash(p->key, name) & INT64_MAX;

        return pos > DIRPOS_DOTDOT ? pos : pos + DIRPOS_DOTDOT + 1;
}

struct dirpos_chunk *dirpos_chunk_new(uint64_t dir)
{
        struct dirpos_chunk *c = calloc(1, sizeof(*c));

        if (c)
                c->dir = dir;
        return c;
}

int dirpos_chunk_add(struct dirpos_chunk *c, uint64_t pos, struct slice name)
{
        size_t need = c->used + RECORD_HEAD + name.len;
        uint8_t *record;

        assert(name.len > 0 && name.len <= DIRPOS_NAME_MAX);
        if (need > c->allocated) {
                size_t allocated = c->allocated == 0 ? CHUNK_FIRST_BYTES : 2 * c->allocated;
                uint8_t *records = realloc(c->records, allocated);

                if (!records)
                        return -ENOMEM;
                c->records = records;
                c->allocated = allocated;
        }
        record = c->records + c->used;
        memcpy(record, &pos, sizeof(pos));
        record[RECORD_HEAD - 1] = (uint8_t)name.len;
        memcpy(record + RECORD_HEAD, name.data, name.len);
        c->last = c->used;
        c->used = need;
        return 0;
}

static size_t chunk_bytes(const struct dirpos_chunk *c)
{
        return sizeof(*c) + c->allocated;
}

static void drop_oldest_locked(struct dirpos *p)
{
        struct dirpos_chunk *c = p->oldest;

        lock_assert_held(&p->lock);
        p->oldest = c->newer;
        if (p->oldest)
                p->oldest->older = NULL;
        else
                p->newest = NULL;
        p->bytes -= chunk_bytes(c);
        chunk_free(c);
}

void dirpos_remember(struct dirpos *p, struct dirpos_chunk *c)
{
        if (c->used == 0) {
                chunk_free(c);
                return;
        }
        LOCK_GUARD(&p->lock);
        c->older = p->newest;
        if (p->newest)
                p->newest->newer = c;
        else
                p->oldest = c;
        p->newest = c;
        p->bytes += chunk_bytes(c);
        /* The newest chunk is never dropped: the next request needs its last name. */
        while (p->bytes > p->max_bytes && p->oldest != p->newest)
                drop_oldest_locked(p);
}

static uint64_t record_pos(const uint8_t *record)
{
        uint64_t pos;

        memcpy(&pos, record, sizeof(pos));
        return pos;
}

static const uint8_t *chunk_find(const struct dirpos_chunk *c, uint64_t pos)
{
        if (record_pos(c->records + c->last) == pos)
                return c->records + c->last; /* the position of a listing that continues */
        for (size_t at = 0; at < c->used; at += RECORD_HEAD + c->records[at + RECORD_HEAD - 1])
                if (record_pos(c->records + at) == pos)
                        return c->records + at;
        return NULL;
}

bool dirpos_find(struct dirpos *p, uint64_t dir, uint64_t pos, struct dirpos_name *ret)
{
        const uint8_t *record = NULL;

        LOCK_GUARD(&p->lock);
        for (const struct dirpos_chunk *c = p->newest; c && !record; c = c->older)
                if (c->dir == dir)
                        record = chunk_find(c, pos);
        if (!record)
                return false;
        ret->len = record[RECORD_HEAD - 1];
        memcpy(ret->data, record + RECORD_HEAD, ret->len);
        return true;
}

/* SPDX-License-Identifier: MIT */
#include "fuse/ops/handles.h"

#include "base/lock.h"

#include <stdlib.h>

#define BUCKETS 1024u

struct handle {
        struct handle *next; /* in its bucket */
        uint64_t ino, number;
        bool wrote;
};

struct handles {
        struct lock lock; /* protects what follows */
        uint64_t last;    /* number given */
        struct handle *buckets[BUCKETS];
};

struct handles *handles_new(void)
{
        struct handles *h = calloc(1, sizeof(*h));

        if (!h)
                return NULL;
        lock_init(&h->lock);
        h->last = HANDLE_UNKNOWN;
        return h;
}

void handles_free(struct handles *h)
{
        if (!h)
                return;
        for (unsigned i = 0; i < BUCKETS; i++)
                while (h->buckets[i]) {
                        struct handle *handle = h->buckets[i];

                        h->buckets[i] = handle->next;
                        free(handle);
                }
        lock_destroy(&h->lock);
        free(h);
}

static struct handle **bucket(struct handles *h, uint64_t ino)
{
        return &h->buckets[ino % BUCKETS];
}

/* Where the handle is linked; points to NULL if it is not open. */
static struct handle **find_locked(struct handles *h, uint64_t ino, uint64_t number)
{
        struct handle **at = bucket(h, ino);

        lock_assert_held(&h->lock);
        while (*at && ((*at)->ino != ino || (*at)->number != number))
                at = &(*at)->next;
        return at;
}

uint64_t handles_open(struct handles *h, uint64_t ino)
{
        struct handle *handle = calloc(1, sizeof(*handle));

        if (!handle)
                return HANDLE_UNKNOWN;
        handle->ino = ino;
        LOCK_GUARD(&h->lock);
        handle->number = ++h->last;
        handle->next = *bucket(h, ino);
        *bucket(h, ino) = handle;
        return handle->number;
}

void handles_close(struct handles *h, uint64_t ino, uint64_t number)
{
        struct handle **at, *handle;

        if (number <= HANDLE_UNKNOWN)
                return;
        LOCK_GUARD(&h->lock);
        at = find_locked(h, ino, number);
        handle = *at;
        if (!handle)
                return;
        *at = handle->next;
        free(handle);
}

void handles_note_write(struct handles *h, uint64_t ino, uint64_t number)
{
        struct handle *handle;

        LOCK_GUARD(&h->lock);
        handle = *find_locked(h, ino, number);
        if (handle)
                handle->wrote = true;
}

void handles_note_write_back(struct handles *h, uint64_t ino)
{
        LOCK_GUARD(&h->lock);
        for (struct handle *handle = *bucket(h, ino); handle; handle = handle->next)
                if (handle->ino == ino)
                        handle->wrote = true;
}

bool handles_wrote(struct handles *h, uint64_t ino, uint64_t number)
{
        const struct handle *handle;

        if (number == HANDLE_READING)
                return false;
        LOCK_GUARD(&h->lock);
        handle = *find_locked(h, ino, number);
        return !handle || handle->wrote;
}

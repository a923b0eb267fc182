/* SPDX-License-Identifier: MIT */
#include "kv/marker.h"

#include "base/lock.h"
#include "base/rng.h"
#include "base/waitlist.h"
#include "kv/retry.h"

#include <assert.h>
#include <stdlib.h>

#define SLOTS 64u

struct kv_markers {
        struct lock lock; /* protects what follows, but for the prefix */
        struct waitlist slot_free;
        uint64_t slots_used; /* a bit per slot */
        uint64_t sequence;

        size_t prefix_len;
        uint8_t prefix[];
};

_Static_assert(SLOTS == 64, "slots_used has a bit per slot");

int kv_set_markers(struct kv_store *s, struct slice prefix)
{
        struct kv_markers *n;

        assert(prefix.len < KV_KEY_MAX);
        n = calloc(1, sizeof(*n) + prefix.len);
        if (!n)
                return -ENOMEM;
        lock_init(&n->lock);
        n->prefix_len = prefix.len;
        if (prefix.len > 0)
                memcpy(n->prefix, prefix.data, prefix.len);
        kv_markers_free(s->markers);
        s->markers = n;
        return 0;
}

void kv_markers_free(struct kv_markers *markers)
{
        if (!markers)
                return;
        lock_destroy(&markers->lock);
        free(markers);
}

static struct slice key_of(const struct kv_marker *m)
{
        return slice_of(m->key, m->key_len);
}

static struct slice value_of(const struct kv_marker *m)
{
        return slice_of(m->value, sizeof(m->value));
}

static int slot_take(struct kv_markers *markers, bool blind, unsigned *ret_slot, uint64_t *ret_sequence)
{
        uint64_t free_slots;
        LOCK_GUARD(&markers->lock);

        while (markers->slots_used == UINT64_MAX) {
                int r = waitlist_wait(&markers->slot_free, &markers->lock);

                if (r < 0)
                        return r;
        }
        free_slots = ~markers->slots_used;
        *ret_slot = blind ? SLOTS - 1 - (unsigned)__builtin_clzll(free_slots)
                          : (unsigned)__builtin_ctzll(free_slots);
        markers->slots_used |= UINT64_C(1) << *ret_slot;
        *ret_sequence = ++markers->sequence;
        return 0;
}

int kv_marker_take(struct kv_marker *m, struct kv_store *s, bool blind)
{
        struct kv_markers *markers = s->markers;
        uint64_t sequence;
        int r = slot_take(markers, blind, &m->slot, &sequence);

        if (r < 0)
                return r;
        m->store = s;
        memcpy(m->key, markers->prefix, markers->prefix_len);
        m->key[markers->prefix_len] = (uint8_t)m->slot;
        m->key_len = markers->prefix_len + 1;
        memcpy(m->value, &sequence, sizeof(sequence));
        rng_system(m->value + sizeof(sequence), sizeof(m->value) - sizeof(sequence));
        return 0;
}

static void slot_release(struct kv_markers *markers, unsigned slot)
{
        LOCK_GUARD(&markers->lock);

        markers->slots_used &= ~(UINT64_C(1) << slot);
        /* All: one of them may be about to end its wait. */
        waitlist_wake_all(&markers->slot_free);
}

void kv_marker_release(struct kv_marker *m)
{
        slot_release(m->store->markers, m->slot);
        m->store = NULL;
}

/* The marker counts as read, too: of two transactions that write it and do not see each other, only one can
 * commit. The value does not matter and is not fetched; begin fixed the snapshot. */
int kv_marker_put(struct kv_txn *t, const struct kv_marker *m)
{
        int r = kv_conflict_key(t, KV_CONFLICT_READ, key_of(m));

        return r < 0 ? r : kv_set(t, key_of(m), value_of(m));
}

/* If the marker is absent, its key is cleared: the transaction in question counts the key as read, so it
 * cannot commit any more, even if its commit is still in flight. */
static int settle_in(struct kv_txn *t, const struct kv_marker *m)
{
        struct slice value;
        int r = kv_get(t, key_of(m), 0, &value);

        if (r == 0 && slice_eq(value, value_of(m)))
                return 1;
        if (r < 0 && r != -ENOENT)
                return r;
        r = kv_clear(t, key_of(m));
        return r < 0 ? r : kv_commit(t);
}

static int settle_once(const struct kv_marker *m, unsigned n)
{
        _cleanup_txn_ struct kv_txn *t = NULL;
        int r = kv_begin(m->store, KV_WRITE, &t);

        return kv_backoff(m->store, t, r < 0 ? r : settle_in(t, m), n);
}

int kv_marker_settle(const struct kv_marker *m)
{
        for (unsigned n = 0;; n++) {
                int r = settle_once(m, n);

                if (!kv_is_transient(r))
                        return r;
        }
}

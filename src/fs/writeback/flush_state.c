/* SPDX-License-Identifier: MIT */
#include "fs/writeback/cache.h"
#include "fs/writeback/entry.h"

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

void flush_set_state_locked(struct writeback_entry *e, enum flush_state to, int error)
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

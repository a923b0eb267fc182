/* SPDX-License-Identifier: MIT */
/* The memory that dirty writes may take, of one inode and of all. */
#include "fs/writeback/internal.h"

/* Under the writeback's lock. Whoever has nothing may have one block. */
static bool has_room(const struct writeback *g, const struct writeback_entry *e)
{
        return (e->bytes == 0 || e->bytes + g->block_bytes <= g->inode_bytes) &&
               (g->bytes == 0 || g->bytes + g->block_bytes <= g->total_bytes);
}

int writeback_budget_take(struct writeback *g, struct writeback_entry *e)
{
        uint64_t failures;
        bool waited = false;
        int r = 0;

        lock_acquire(&g->lock);
        failures = g->failures;
        while (!has_room(g, e)) {
                bool own = e->bytes + g->block_bytes > g->inode_bytes;

                if (g->failures != failures && (!own || e->failing)) {
                        r = own ? e->failing : g->last_failure;
                        break;
                }
                if (!waited)
                        lock_release(&e->lock);
                waited = true;
                if (own)
                        writeback_kick(g, e);
                else
                        writeback_kick_all(g);
                r = waitlist_wait(&g->room, &g->lock);
                if (r < 0)
                        break;
        }
        if (r >= 0) {
                e->bytes += g->block_bytes;
                g->bytes += g->block_bytes;
                if (e->dirty_since_ns == 0) {
                        e->dirty_since_ns = writeback_now_ns(g);
                        pthread_cond_signal(&g->tick);
                }
        }
        lock_release(&g->lock);
        if (waited)
                lock_acquire(&e->lock);
        return r < 0 ? r : waited;
}

void writeback_budget_give_back(struct writeback *g, struct writeback_entry *e, size_t n)
{
        lock_acquire(&g->lock);
        e->bytes -= n * g->block_bytes;
        g->bytes -= n * g->block_bytes;
        if (e->bytes == 0)
                e->dirty_since_ns = 0;
        waitlist_wake_all(&g->room);
        lock_release(&g->lock);
}

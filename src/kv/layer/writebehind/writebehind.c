/* SPDX-License-Identifier: MIT */
/* The writebehind layer as a store: open, close, sync, space. internal.h has an overview. */
#include "kv/layer/writebehind/internal.h"

#include "base/thread.h"

#include <stdlib.h>

/* Default bounds. While a batch is written, the store below needs about its size again in memory (LMDB's
 * dirty pages), and a second table fills. */
#define MEMORY_BYTES_DEFAULT ((size_t)64 << 20)
#define BATCH_BYTES_DEFAULT  ((size_t)16 << 20)
#define AGE_MS_DEFAULT       1000u
#define CLOSE_MS_DEFAULT     10000u
#define CLOSE_PAUSE_MS       100u  /* between two attempts, at most */
#define CLEAR_KEYS           4096u /* cleared one by one under the writer's lock */

static void wb_free(struct wb_store *wb)
{
        struct wb_table *dead[WB_TABLES_MAX];
        struct wb_txn *t;
        int n;

        if (wb->view) {
                lock_acquire(&wb->lock);
                n = wb_view_unref_locked(wb, wb->view, dead);
                lock_release(&wb->lock);
                wb_tables_free(wb, dead, n);
        }
        while ((t = list_pop(&wb->free_txns, struct wb_txn, link))) {
                free(t->range);
                free(t);
        }
        lock_destroy(&wb->writer);
        lock_destroy(&wb->lock);
        lock_destroy(&wb->watch_lock);
        pthread_cond_destroy(&wb->committer_wake);
        pthread_cond_destroy(&wb->watch_idle);
        free(wb->touched);
        free(wb->sequence);
        free(wb);
}

static int wb_sync(struct kv_store *s)
{
        struct wb_store *wb = wb_of(s);
        uint64_t target;

        lock_acquire(&wb->lock);
        target = wb->published;
        lock_release(&wb->lock);
        return wb_sync_to(wb, target);
}

/* Writes the last batches. Nothing tries again after a close, so a disk that is full or fails gets some time.
 * The wait for a store that does not answer ends with the thread's deadline or with kv_give_up. */
static int sync_last(struct wb_store *wb)
{
        uint64_t end_ns = clock_system.monotonic_ns(&clock_system) + (uint64_t)wb->close_ms * 1000000;
        long pause_ms = wb->close_ms < CLOSE_PAUSE_MS ? wb->close_ms : CLOSE_PAUSE_MS;

        for (;;) {
                int r = wb_sync(&wb->base);

                if (r >= 0 || r == -ERR_FENCED || r == -ERR_AWAY || r == -EINTR ||
                    clock_system.monotonic_ns(&clock_system) >= end_ns)
                        return r;
                nanosleep(&(struct timespec){ .tv_nsec = pause_ms * 1000000 }, NULL);
        }
}

static int wb_close(struct kv_store *s)
{
        struct wb_store *wb = wb_of(s);
        struct kv_store *below = wb->below;
        int r, q;

        r = sync_last(wb);
        if (r == -ERR_AWAY || r == -EINTR)
                kv_give_up(below); /* the committer may be waiting too */
        lock_acquire(&wb->lock);
        wb->stopping = true;
        pthread_cond_signal(&wb->committer_wake);
        lock_release(&wb->lock);
        pthread_join(wb->committer, NULL);
        wb_free(wb);
        q = kv_close(below);
        return r < 0 ? r : q;
}

static uint64_t wb_waiting_ns(struct kv_store *s)
{
        return kv_waiting_ns(wb_of(s)->below);
}

static void wb_give_up(struct kv_store *s)
{
        kv_give_up(wb_of(s)->below);
}

static int wb_space(struct kv_store *s, struct kv_space *ret)
{
        struct wb_store *wb = wb_of(s);
        uint64_t pending;
        int r = kv_space(wb->below, ret);

        if (r < 0)
                return r;
        lock_acquire(&wb->lock);
        pending = wb->pending.bytes;
        lock_release(&wb->lock);
        if (pending > ret->free_bytes)
                pending = ret->free_bytes;
        ret->free_bytes -= pending;
        ret->used_bytes += pending;
        return 0;
}

static int wb_reserve(struct kv_store *s, const struct kv_need *need)
{
        struct wb_store *wb = wb_of(s);
        struct kv_need total = *need;

        if (!wb->below->ops->reserve)
                return 0;
        lock_acquire(&wb->lock);
        total.keys += wb->pending.keys;
        total.sets += wb->pending.sets;
        total.bytes += wb->pending.bytes;
        if (wb->pending.largest > total.largest)
                total.largest = wb->pending.largest;
        total.commits += 2;
        lock_release(&wb->lock);
        return wb->below->ops->reserve(wb->below, &total);
}

static const struct kv_ops wb_ops = {
        .name = "writebehind",
        .close = wb_close,
        .waiting_ns = wb_waiting_ns,
        .give_up = wb_give_up,
        .sync = wb_sync,
        .space = wb_space,
        .reserve = wb_reserve,
        .begin = wb_begin,
        .commit = wb_commit,
        .end = wb_end,
        .get_start = wb_get_start,
        .get_wait = wb_get_wait,
        .range_start = wb_range_start,
        .range_next = wb_range_next,
        .range_end = wb_range_end,
        .set = wb_set,
        .set_reserve = wb_set_reserve,
        .patch = wb_patch,
        .clear = wb_clear,
        .clear_range = wb_clear_range,
        .atomic = wb_atomic,
        .watch = wb_watch,
        .unwatch = wb_unwatch,
};

static size_t smaller(size_t a, size_t b)
{
        return a < b ? a : b;
}

static void limits_derive(struct kv_limits *limits, const struct kv_limits *below)
{
        *limits = *below;
        /* A transaction must fit into one below, beside the rest of its table. */
        limits->txn_bytes = below->txn_bytes / 4;
        limits->txn_plan_bytes = smaller(below->txn_plan_bytes, limits->txn_bytes);
        limits->clear_keys = smaller(below->clear_keys, CLEAR_KEYS);
        limits->unknown_results = false;
        limits->optimistic = false;
}

/* Derives the sizes of tables and batches: large transactions are fast in a local store and slow in a
 * cluster. */
static void loads_derive(struct wb_store *wb, const struct kv_limits *below)
{
        if (below->remote) {
                wb->batch_bytes_below = below->txn_plan_bytes;
                wb->table_load = below->txn_plan_bytes / 2;
        } else {
                /* Transactions that free space may fill a table by a quarter more when batches fail
                 * (may_exceed). With one transaction on top, and the batch number, the table must still fit
                 * into one below. */
                wb->batch_bytes_below = below->txn_bytes;
                wb->table_load =
                        (below->txn_bytes - wb->base.limits.txn_bytes - KV_KEY_MAX) / 5 * 4 - KV_KEY_MAX;
        }
        wb->batch_load = smaller(3 * wb->batch_bytes, wb->table_load / 2);
}

static void members_init(struct wb_store *wb)
{
        lock_init(&wb->writer);
        lock_init(&wb->lock);
        lock_init(&wb->watch_lock);
        thread_cond_init(&wb->committer_wake);
        pthread_cond_init(&wb->watch_idle, NULL);
        list_init(&wb->active);
        list_init(&wb->free_txns);
        list_init(&wb->watches);
        hash_seed_init(&wb->seed);
}

static int sequence_body(struct kv_txn *t, void *arg)
{
        struct wb_store *wb = arg;
        uint64_t number = 0;
        struct slice value;
        int r;

        r = kv_get(t, slice_of(wb->sequence, wb->sequence_len), 0, &value);
        for (size_t i = 8; r >= 0 && value.len == 8 && i-- > 0;)
                number = number << 8 | value.data[i];
        wb->batches = number;
        return r == -ENOENT ? 0 : r;
}

/* Continues the numbers of batches from the last one in the store below. */
static int sequence_load(struct wb_store *wb, struct slice key)
{
        wb->sequence = malloc(key.len);
        if (!wb->sequence)
                return -ENOMEM;
        memcpy(wb->sequence, key.data, key.len);
        wb->sequence_len = key.len;
        return kv_run(wb->below, KV_READ, sequence_body, wb);
}

int kv_writebehind_open(struct kv_store *below, const struct kv_writebehind_opts *opts, struct kv_store **ret)
{
        struct wb_store *wb;
        int r;

        if (below->limits.unknown_results && opts->sequence.len == 0)
                return -EINVAL; /* a batch could take effect after a later one */
        wb = calloc(1, sizeof(*wb));
        if (!wb)
                return -ENOMEM;
        members_init(wb);
        wb->base.ops = &wb_ops;
        limits_derive(&wb->base.limits, &below->limits);
        wb->below = below;
        wb->memory_bytes = opts->memory_bytes ? opts->memory_bytes : MEMORY_BYTES_DEFAULT;
        wb->batch_bytes = opts->batch_bytes ? opts->batch_bytes : BATCH_BYTES_DEFAULT;
        loads_derive(wb, &below->limits);
        wb->pending_max = wb->memory_bytes + wb->memory_bytes / 2;
        wb->age_ms = opts->age_ms ? opts->age_ms : AGE_MS_DEFAULT;
        wb->close_ms = opts->close_ms ? opts->close_ms : CLOSE_MS_DEFAULT;
        if (opts->sequence.len > 0) {
                r = sequence_load(wb, opts->sequence);
                if (r < 0)
                        goto fail;
        }
        if (opts->fence.len > 0) {
                r = kv_set_fence(below, opts->fence);
                if (r < 0)
                        goto fail;
        }
        lock_acquire(&wb->lock);
        r = wb_view_make_locked(wb, true, 0, &wb->view);
        lock_release(&wb->lock);
        if (r < 0)
                goto fail;
        r = -pthread_create(&wb->committer, NULL, wb_committer, wb);
        if (r < 0)
                goto fail;
        *ret = &wb->base;
        return 0;

fail:
        wb_free(wb);
        return r;
}

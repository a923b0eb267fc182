/* SPDX-License-Identifier: MIT */
/* mem: a multi-version, serializable, optimistic store in memory with FoundationDB's conflicts and limits,
 * for tests, without a cluster, of code that needs one.
 *
 * Commits are numbered. A transaction sees the store as of the last commit before its begin, and collects its
 * writes and the spans of keys that it read. Its commit fails if a commit since then wrote into those spans;
 * otherwise its writes get the next number. Old versions are freed when no transaction sees them any more.
 *
 *     tree.c       ordered set of keys        versions.c   keys with the history of their values
 *     writes.c     writes not yet committed   conflicts.c  which commit wrote what last
 *     read.c       gets and ranges            commit.c     commit
 *     watch.c      watches
 *
 * One lock protects the store. It is held during each step, never during a wait.
 */
#include "kv/testing/mem/mem.h"
#include "kv/open.h"
#include "kv/testing/mem/mem_store.h"

#include <errno.h>
#include <stdlib.h>

#define TXN_BYTES      10000000u /* FoundationDB's limits, in its round numbers */
#define TXN_PLAN_BYTES 1000000u
#define TXN_MS         5000u
#define WATCHES        10000u
#define CLEAR_KEYS     1000000u
#define MAX_BYTES      (UINT64_C(64) << 30)

int mem_check_age(const struct mem_txn *t)
{
        const struct mem_store *s = t->store;
        uint64_t age_ns = s->clock->monotonic_ns(s->clock) - t->begun_ns;

        return age_ns > s->base.limits.txn_ms * UINT64_C(1000000) ? -ERR_CONFLICT : 0;
}

static int mem_close(struct kv_store *store)
{
        struct mem_store *s = (struct mem_store *)store;

        mem_watches_stop(&s->watches);
        mem_conflicts_free(&s->conflicts);
        mem_versions_free(&s->versions);
        lock_destroy(&s->lock);
        free(s);
        return 0;
}

static int mem_sync(struct kv_store *s)
{
        (void)s;
        return 0; /* nothing is durable */
}

static int mem_space(struct kv_store *store, struct kv_space *ret)
{
        struct mem_store *s = (struct mem_store *)store;
        uint64_t used;

        lock_acquire(&s->lock);
        used = s->versions.live_bytes;
        lock_release(&s->lock);
        *ret = (struct kv_space){
                .total_bytes = used > s->max_bytes ? used : s->max_bytes,
                .used_bytes = used,
                .free_bytes = used > s->max_bytes ? 0 : s->max_bytes - used,
        };
        return 0;
}

static int mem_reserve(struct kv_store *store, const struct kv_need *need)
{
        struct kv_space space;
        int r = mem_space(store, &space);

        return r < 0 ? r : need->bytes > space.free_bytes && !need->frees ? -ENOSPC : 0;
}

static int mem_begin(struct kv_store *store, unsigned flags, struct kv_txn **ret)
{
        struct mem_store *s = (struct mem_store *)store;
        struct mem_txn *t;

        if (s->rdonly && (flags & KV_WRITE))
                return -EROFS;
        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->store = s;
        t->begun_ns = s->clock->monotonic_ns(s->clock);
        t->may_write = flags & KV_WRITE;
        mem_writes_init(&t->writes);
        list_init(&t->watches);
        lock_acquire(&s->lock);
        t->sees = t->since = s->committed;
        list_append(&s->running, &t->link);
        lock_release(&s->lock);
        *ret = &t->base;
        return 0;
}

static int mem_since(struct kv_txn *txn, kv_version version)
{
        struct mem_txn *t = (struct mem_txn *)txn;
        LOCK_GUARD(&t->store->lock);

        if ((uint64_t)version < t->store->conflicts.swept)
                return -ERR_RETRY;
        t->since = (uint64_t)version;
        return 0;
}

static void mem_end(struct kv_txn *txn)
{
        struct mem_txn *t = (struct mem_txn *)txn;
        struct mem_store *s = t->store;

        lock_acquire(&s->lock);
        while (!list_empty(&t->watches))
                mem_watch_fire_locked(&s->watches, mem_watch_of(t->watches.next), -ECANCELED);
        list_remove(&t->link);
        mem_versions_prune(&s->versions, mem_oldest_seen_locked(s));
        lock_release(&s->lock);
        mem_writes_free(&t->writes);
        mem_spans_free(t->read);
        mem_spans_free(t->written);
        free(t);
}

static int mem_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret)
{
        uint8_t *data;
        int r = mem_writes_set(&((struct mem_txn *)t)->writes, key, len, &data);

        if (r >= 0)
                *ret = data;
        return r;
}

static int mem_set(struct kv_txn *t, struct slice key, struct slice value)
{
        void *data;
        int r = mem_set_reserve(t, key, value.len, &data);

        if (r >= 0 && value.len > 0)
                memcpy(data, value.data, value.len);
        return r;
}

static int mem_clear(struct kv_txn *t, struct slice key)
{
        return mem_writes_clear(&((struct mem_txn *)t)->writes, key);
}

static int mem_clear_range(struct kv_txn *t, struct slice begin, struct slice end)
{
        return mem_writes_clear_range(&((struct mem_txn *)t)->writes, begin, end);
}

static int mem_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand)
{
        return mem_writes_atomic(&((struct mem_txn *)t)->writes, op, key, operand);
}

static int mem_conflict_range(struct kv_txn *txn, enum kv_conflict kind, struct slice begin, struct slice end)
{
        struct mem_txn *t = (struct mem_txn *)txn;

        if (kind == KV_CONFLICT_WRITE)
                return mem_span_add(&t->written, begin, end);
        return t->may_write ? mem_span_add(&t->read, begin, end) : 0;
}

static int mem_watch(struct kv_txn *txn, struct slice key, kv_watch_fn fn, void *arg, struct kv_watch **ret)
{
        struct mem_txn *t = (struct mem_txn *)txn;
        const struct mem_version *m;
        struct mem_watch *w;
        int r = mem_check_age(t);

        if (r >= 0)
                r = mem_see(t, key, true, &m);
        if (r < 0)
                return r;
        lock_acquire(&t->store->lock);
        r = mem_watch_new_locked(&t->store->watches, key, m, fn, arg, &t->watches, &w);
        lock_release(&t->store->lock);
        if (r >= 0)
                *ret = &w->base;
        return r;
}

static void mem_unwatch(struct kv_watch *watch)
{
        struct mem_store *s = (struct mem_store *)watch->store;
        LOCK_GUARD(&s->lock);

        mem_watch_free_locked(&s->watches, (struct mem_watch *)watch);
}

static const struct kv_ops mem_ops = {
        .name = "mem",
        .close = mem_close,
        .sync = mem_sync,
        .space = mem_space,
        .reserve = mem_reserve,
        .begin = mem_begin,
        .commit = mem_commit,
        .end = mem_end,
        .since = mem_since,
        .get_start = mem_get_start,
        .range_start = mem_range_start,
        .range_next = mem_range_next,
        .range_end = mem_range_end,
        .set = mem_set,
        .set_reserve = mem_set_reserve,
        .clear = mem_clear,
        .clear_range = mem_clear_range,
        .atomic = mem_atomic,
        .conflict_range = mem_conflict_range,
        .watch = mem_watch,
        .unwatch = mem_unwatch,
};

int kv_mem_open_with(const struct kv_mem_opts *opts, struct kv_store **ret)
{
        static const struct kv_mem_opts defaults;
        struct mem_store *s = calloc(1, sizeof(*s));

        if (!s)
                return -ENOMEM;
        if (!opts)
                opts = &defaults;
        s->base.ops = &mem_ops;
        s->base.limits = (struct kv_limits){
                .key_bytes = KV_KEY_MAX,
                .value_bytes = KV_VALUE_MAX,
                .txn_bytes = TXN_BYTES,
                .txn_plan_bytes = TXN_PLAN_BYTES,
                .txn_ms = opts->txn_ms ? opts->txn_ms : TXN_MS,
                .clear_keys = CLEAR_KEYS,
                .optimistic = true,
        };
        s->clock = opts->clock ? opts->clock : &clock_system;
        s->max_bytes = opts->max_bytes ? opts->max_bytes : MAX_BYTES;
        s->rdonly = opts->rdonly;
        lock_init(&s->lock);
        mem_versions_init(&s->versions);
        mem_conflicts_init(&s->conflicts);
        mem_watches_init(&s->watches, &s->lock, opts->watches ? opts->watches : WATCHES);
        list_init(&s->running);
        *ret = &s->base;
        return 0;
}

int kv_mem_open(const char *rest, const struct kv_open_opts *opts, struct kv_store **ret,
                struct err_text *text)
{
        const struct kv_mem_opts mem_opts = {
                .max_bytes = opts ? opts->max_bytes : 0,
                .rdonly = opts && (opts->flags & KV_OPEN_RDONLY),
        };

        if (*rest != '\0')
                return err_set(text, EINVAL, "mem:%s: a store in memory has no name; write mem:", rest);
        if (kv_mem_open_with(&mem_opts, ret) < 0)
                return err_set(text, ENOMEM, "mem: out of memory");
        return 0;
}

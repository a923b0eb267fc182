/* SPDX-License-Identifier: MIT */
/* cache: caches small values over a remote store that no other process writes. table.h says why that is
 * correct. The reads of transactions that write bypass it, because these see their own writes below. */
#include "kv/layer/cache/table.h"

#include "base/list.h"
#include "base/lock.h"
#include "kv/layer/filter.h"
#include "kv/layer/layer.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define BYTES_DEFAULT ((size_t)32 << 20)

/* Metadata is cached, blocks of data are not: the kernel caches these. */
#define VALUE_MAX 1024u

#define FRESH_MAX 8u

/* A range that was empty when the cache was opened. */
struct fresh {
        uint8_t *keys; /* begin, then end */
        size_t begin_len, end_len;
};

struct cache {
        struct filter filter;
        struct cache_table *table;
        char *prefixes; /* NULL: all */
        struct fresh fresh[FRESH_MAX];
        unsigned n_fresh;

        _Atomic uint64_t done; /* up to this commit each has certainly happened, or certainly not */
        struct lock commit;    /* protects the members below, and is held during commits */
        uint64_t number;       /* of the last commit */
        bool uncertain;        /* an earlier commit may still happen */
};

/* A key that a transaction writes. */
struct write {
        struct list_link link;
        uint64_t hash;
        bool known;   /* whether the new value is, because it is small */
        bool present; /* false: the key is cleared */
        uint32_t key_len, value_len;
        uint8_t data[];
};

/* A cached value that was returned to the caller. */
struct copy {
        struct list_link link;
        uint8_t data[];
};

struct cache_txn {
        struct filter_txn filter;
        uint64_t since;
        struct list_link writes; /* in order */
        bool writes_all;         /* any key may be written: a range, or no memory for the list */
        struct list_link copies;
};

static struct cache *cache_of(const struct kv_txn *t)
{
        return (struct cache *)t->store;
}

static struct cache_txn *txn_of(struct kv_txn *t)
{
        return (struct cache_txn *)t;
}

static bool is_cached(const struct kv_txn *t, struct slice key)
{
        const char *prefixes = cache_of(t)->prefixes;

        if (t->flags & KV_WRITE)
                return false;
        return !prefixes || (key.len > 0 && key.data[0] != 0 && strchr(prefixes, key.data[0]));
}

/* ---- begin and end --------------------------------------------------------------------------------- */

static int cache_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret)
{
        uint64_t since = atomic_load(&((struct cache *)s)->done); /* before the snapshot */
        int r = filter_begin_sized(s, flags, sizeof(struct cache_txn), ret);

        if (r < 0)
                return r;
        txn_of(*ret)->since = since;
        list_init(&txn_of(*ret)->writes);
        list_init(&txn_of(*ret)->copies);
        return 0;
}

static void cache_end(struct kv_txn *base)
{
        struct cache_txn *t = txn_of(base);
        struct write *w;
        struct copy *c;

        while ((w = list_pop(&t->writes, struct write, link)))
                free(w);
        while ((c = list_pop(&t->copies, struct copy, link)))
                free(c);
        filter_end(base);
}

/* ---- reading --------------------------------------------------------------------------------------- */

/* In r->flags: the cache answered the read, nothing is in flight below. */
#define CACHED (1u << 30)

struct found {
        struct cache_txn *t;
        struct kv_read *r;
};

static void found(void *arg, struct slice value)
{
        const struct found *f = arg;
        struct copy *c;

        f->r->err = 0;
        f->r->value = slice_of(NULL, value.len);
        if (f->r->flags & KV_LENGTH)
                return;
        c = malloc(sizeof(*c) + value.len);
        if (!c) {
                f->r->err = -ENOMEM;
                return;
        }
        list_append(&f->t->copies, &c->link);
        if (value.len > 0)
                memcpy(c->data, value.data, value.len);
        f->r->value.data = c->data;
}

/* Whether KEY is in a range that was empty and was certainly never written since. */
static bool is_untouched(const struct cache *c, uint64_t hash, struct slice key)
{
        for (unsigned i = 0; i < c->n_fresh; i++) {
                const struct fresh *f = &c->fresh[i];

                if (slice_cmp(key, slice_of(f->keys, f->begin_len)) >= 0 &&
                    slice_cmp(key, slice_of(f->keys + f->begin_len, f->end_len)) < 0)
                        return !cache_table_may_be_written(c->table, hash);
        }
        return false;
}

static void cache_get_start(struct kv_txn *base, struct kv_read *r)
{
        struct cache_txn *t = txn_of(base);
        struct cache *c = cache_of(base);
        struct found f = { .t = t, .r = r };

        if (is_cached(base, r->key)) {
                uint64_t hash = cache_table_hash(c->table, r->key);
                int known = is_untouched(c, hash, r->key)
                                    ? 0
                                    : cache_table_get(c->table, hash, r->key, t->since, found, &f);

                if (known >= 0) {
                        r->flags |= CACHED;
                        if (known == 0)
                                r->err = -ENOENT;
                        return;
                }
        }
        filter_get_start(base, r);
}

static void keep(struct kv_txn *t, struct slice key, const struct slice *value)
{
        struct cache_table *table = cache_of(t)->table;

        if (is_cached(t, key) && (!value || value->len <= VALUE_MAX))
                cache_table_put(table, cache_table_hash(table, key), key, value, txn_of(t)->since);
}

static void cache_get_wait(struct kv_txn *t, struct kv_read *r)
{
        if (r->flags & CACHED)
                return;
        filter_get_wait(t, r);
        if (r->err == -ENOENT)
                keep(t, r->key, NULL);
        else if (r->err == 0 && !(r->flags & KV_LENGTH))
                keep(t, r->key, &r->value);
}

static int cache_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value)
{
        int more = filter_range_next(r, ret_key, ret_value);

        if (more > 0)
                keep(r->txn, *ret_key, ret_value);
        return more;
}

/* ---- writing --------------------------------------------------------------------------------------- */

/* Lists a write of the transaction. VALUE NULL: unknown. */
static void add_write(struct kv_txn *base, struct slice key, bool present, const struct slice *value)
{
        struct cache_txn *t = txn_of(base);
        struct cache_table *table = cache_of(base)->table;
        uint64_t hash = cache_table_hash(table, key);
        bool known = !present || (value && value->len <= VALUE_MAX);
        size_t value_len = present && known ? value->len : 0;
        struct write *w = malloc(sizeof(*w) + key.len + value_len);

        /* Even if it is never committed: that costs a read, whereas a missed key would be hidden. */
        if (present)
                cache_table_add_written(table, hash);
        if (!w) {
                t->writes_all = true;
                return;
        }
        *w = (struct write){ .hash = hash,
                             .known = known,
                             .present = present,
                             .key_len = (uint32_t)key.len,
                             .value_len = (uint32_t)value_len };
        if (key.len > 0)
                memcpy(w->data, key.data, key.len);
        if (value_len > 0)
                memcpy(w->data + key.len, value->data, value_len);
        list_append(&t->writes, &w->link);
}

static int cache_set(struct kv_txn *t, struct slice key, struct slice value)
{
        int r = kv_set(filter_below(t), key, value);

        if (r >= 0)
                add_write(t, key, true, &value);
        return r;
}

static int cache_set_reserve(struct kv_txn *t, struct slice key, size_t len, void **ret)
{
        int r = kv_set_reserve(filter_below(t), key, len, ret);

        if (r >= 0)
                add_write(t, key, true, NULL);
        return r;
}

static int cache_patch(struct kv_txn *t, struct slice key, size_t at, struct slice data)
{
        int r = kv_patch(filter_below(t), key, at, data);

        if (r >= 0)
                add_write(t, key, true, NULL);
        return r;
}

static int cache_atomic(struct kv_txn *t, enum kv_atomic_op op, struct slice key, struct slice operand)
{
        int r = kv_atomic(filter_below(t), op, key, operand);

        if (r >= 0)
                add_write(t, key, true, NULL);
        return r;
}

static int cache_clear(struct kv_txn *t, struct slice key)
{
        int r = kv_clear(filter_below(t), key);

        if (r >= 0)
                add_write(t, key, false, NULL);
        return r;
}

static int cache_clear_range(struct kv_txn *t, struct slice begin, struct slice end)
{
        txn_of(t)->writes_all = true;
        return kv_clear_range(filter_below(t), begin, end);
}

static void mark_writes(struct cache *c, const struct cache_txn *t)
{
        const struct write *w;

        list_each(w, &t->writes, link)
                cache_table_mark(c->table, w->hash, slice_of(w->data, w->key_len), c->number);
        if (t->writes_all)
                cache_table_mark_all(c->table, c->number);
}

/* Caches the values written; a later write of a key replaces an earlier one. */
static void keep_writes(struct cache *c, const struct cache_txn *t)
{
        const struct write *w;

        list_each(w, &t->writes, link) {
                struct slice key = slice_of(w->data, w->key_len);
                struct slice value = slice_of(w->data + w->key_len, w->value_len);

                if (w->known)
                        cache_table_put(c->table, w->hash, key, w->present ? &value : NULL, c->number);
                else
                        cache_table_mark(c->table, w->hash, key, c->number);
        }
}

/* Whether a commit that failed with R certainly did not happen. */
static bool is_certain(int r)
{
        return r == -ERR_CONFLICT || r == -ERR_RETRY || r == -E2BIG || r == -ENOSPC;
}

static int cache_commit(struct kv_txn *base)
{
        struct cache_txn *t = txn_of(base);
        struct cache *c = cache_of(base);
        int r;

        if (list_empty(&t->writes) && !t->writes_all)
                return kv_commit(filter_below(base));
        LOCK_GUARD(&c->commit);
        c->number++;
        mark_writes(c, t);
        r = kv_commit(filter_below(base));
        if (r >= 0)
                c->uncertain = false; /* all earlier commits are decided, too */
        else if (!is_certain(r))
                c->uncertain = true;
        if (r >= 0 && !t->writes_all)
                keep_writes(c, t);
        if (!c->uncertain)
                atomic_store(&c->done, c->number);
        return r;
}

/* ---- the store ------------------------------------------------------------------------------------- */

static int cache_close(struct kv_store *s)
{
        struct cache *c = (struct cache *)s;

        for (unsigned i = 0; i < c->n_fresh; i++)
                free(c->fresh[i].keys);
        cache_table_free(c->table);
        lock_destroy(&c->commit);
        free(c->prefixes);
        return filter_close(s);
}

int kv_cache_open(struct kv_store *below, const struct kv_cache_opts *opts, struct kv_store **ret)
{
        struct cache *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->table = cache_table_new(opts->bytes ? opts->bytes : BYTES_DEFAULT);
        c->prefixes = opts->prefixes ? strdup(opts->prefixes) : NULL;
        if (!c->table || (opts->prefixes && !c->prefixes)) {
                cache_table_free(c->table);
                free(c->prefixes);
                free(c);
                return -ENOMEM;
        }
        lock_init(&c->commit);
        filter_init(&c->filter, "cache", below);
        c->filter.ops.close = cache_close;
        c->filter.ops.begin = cache_begin;
        c->filter.ops.end = cache_end;
        c->filter.ops.commit = cache_commit;
        c->filter.ops.since = NULL; /* its commits have no commit versions */
        c->filter.ops.get_start = cache_get_start;
        c->filter.ops.get_wait = cache_get_wait;
        c->filter.ops.range_next = cache_range_next;
        c->filter.ops.set = cache_set;
        c->filter.ops.set_reserve = cache_set_reserve;
        c->filter.ops.patch = cache_patch;
        c->filter.ops.atomic = cache_atomic;
        c->filter.ops.clear = cache_clear;
        c->filter.ops.clear_range = cache_clear_range;
        *ret = &c->filter.base;
        return 0;
}

int kv_cache_fresh(struct kv_store *s, struct slice begin, struct slice end)
{
        struct cache *c = (struct cache *)s;
        struct fresh *f = &c->fresh[c->n_fresh];

        assert(c->n_fresh < FRESH_MAX);
        f->keys = malloc(begin.len + end.len + 1);
        if (!f->keys)
                return -ENOMEM;
        f->begin_len = begin.len;
        f->end_len = end.len;
        if (begin.len > 0)
                memcpy(f->keys, begin.data, begin.len);
        if (end.len > 0)
                memcpy(f->keys + begin.len, end.data, end.len);
        c->n_fresh++;
        return 0;
}

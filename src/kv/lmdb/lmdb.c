/* SPDX-License-Identifier: MIT */
/* Opening and closing a store. internal.h shows the parts of the engine. */
#include "base/thread.h"
#include "kv/lmdb/doorbell.h"
#include "kv/lmdb/internal.h"
#include "kv/lmdb/version.h"
#include "kv/open.h"

#include <assert.h>
#include <stdlib.h>

/* LMDB keeps dirty pages in memory until the commit, unless there are more than 512 MiB. */
#define TXN_BYTES      ((size_t)128 << 20)
#define TXN_PLAN_BYTES ((size_t)4 << 20)
#define CLEAR_KEYS     50000u

static int lmdb_sync(struct kv_store *s)
{
        return 0; /* a commit is durable when it returns */
}

static void store_free(struct lmdb_store *s)
{
        lmdb_doorbell_close(s->doorbell);
        lmdb_dir_close(s);
        lock_destroy(&s->write_lock);
        lock_destroy(&s->pool_lock);
        lock_destroy(&s->space_lock);
        lock_destroy(&s->watch_lock);
        pthread_cond_destroy(&s->watch_cond);
        lmdb_ranges_free(&s->writer);
        free(s->bucket.data);
        free(s->value.data);
        free(s);
}

static int lmdb_close(struct kv_store *base)
{
        struct lmdb_store *s = lmdb_of(base);

        lmdb_watch_stop(s);
        if (s->exclusive && !s->rdonly && s->env)
                lmdb_space_trim(s);
        lmdb_env_close(s);
        store_free(s);
        return 0;
}

static const struct kv_ops lmdb_ops = {
        .name = "lmdb",
        .close = lmdb_close,
        .sync = lmdb_sync,
        .space = lmdb_space,
        .reserve = lmdb_reserve,
        .begin = lmdb_begin,
        .commit = lmdb_commit,
        .end = lmdb_end,
        .get_start = lmdb_get_start,
        .range_start = lmdb_range_start,
        .range_next = lmdb_range_next,
        .range_end = lmdb_range_end,
        .set = lmdb_set,
        .set_reserve = lmdb_set_reserve,
        .clear = lmdb_clear,
        .clear_range = lmdb_clear_range,
        .atomic = lmdb_atomic,
        .watch = lmdb_watch,
        .unwatch = lmdb_unwatch,
};

static const struct kv_limits lmdb_limits = {
        .key_bytes = KV_KEY_MAX,
        .value_bytes = KV_VALUE_MAX,
        .txn_bytes = TXN_BYTES,
        .txn_plan_bytes = TXN_PLAN_BYTES,
        .clear_keys = CLEAR_KEYS,
};

static struct lmdb_store *store_new(const struct kv_open_opts *opts)
{
        struct lmdb_store *s = aligned_alloc(_Alignof(struct lmdb_store), sizeof(*s));

        if (!s)
                return NULL;
        memset(s, 0, sizeof(*s));
        s->base.ops = &lmdb_ops;
        s->base.limits = lmdb_limits;
        s->dir_fd = s->lock.fd = s->data_fd = -1;
        s->rdonly = opts->flags & KV_OPEN_RDONLY;
        s->exclusive = opts->flags & KV_OPEN_EXCLUSIVE;
        s->max_bytes = opts->max_bytes;
        s->writer.write = true;
        lock_init(&s->write_lock);
        lock_init(&s->pool_lock);
        lock_init(&s->space_lock);
        lock_init(&s->watch_lock);
        list_init(&s->watches);
        thread_cond_init(&s->watch_cond);
        return s;
}

static int open_env(struct lmdb_store *s, struct err_text *text)
{
        int r = lmdb_env_open(s, text);

        if (r < 0)
                return r;
        r = lmdb_marker_check(s, text);
        if (r < 0)
                lmdb_env_close(s);
        return r;
}

static int store_open(struct lmdb_store *s, const char *path, const struct kv_open_opts *opts,
                      struct err_text *text)
{
        int r = lmdb_dir_open(s, path, opts, text);

        if (r < 0)
                return r;
        r = lmdb_doorbell_open(s->dir_fd, !s->rdonly || !s->lock.unlocked, &s->doorbell);
        if (r < 0)
                return err_set(text, -r, "%s: cannot open the store: %s", path, err_str(r));
        return open_env(s, text);
}

int kv_lmdb_open(const char *path, const struct kv_open_opts *opts, struct kv_store **ret,
                 struct err_text *text)
{
        struct lmdb_store *s;
        int major, minor, patch, r;

        mdb_version(&major, &minor, &patch);
        r = lmdb_check_version(major, minor, patch, text);
        if (r < 0)
                return r;
        if ((opts->flags & KV_OPEN_RDONLY) && (opts->flags & KV_OPEN_CREATE))
                return err_set(text, EINVAL, "%s: a store that is opened read-only cannot be created", path);
        s = store_new(opts);
        if (!s)
                return err_set(text, ENOMEM, "%s: out of memory", path);
        r = store_open(s, path, opts, text);
        if (r < 0) {
                store_free(s);
                return r;
        }
        if (s->exclusive && !s->rdonly)
                lmdb_space_prepare(s);
        *ret = &s->base;
        return 0;
}

/* SPDX-License-Identifier: MIT */
/* Gets and ranges. The slices that they return point into futures, so futures live as long as the
 * transaction. */
#include "kv/fdb/internal.h"

#include <limits.h>
#include <stdlib.h>

/* ---- gets ---------------------------------------------------------------------------------------- */

void fdb_get_start(struct kv_txn *txn, struct kv_read *r)
{
        struct fdb_txn *t = (struct fdb_txn *)txn;
        uint8_t key[FDB_KEY_MAX];
        FDBFuture *f;

        r->err = fdb_ensure_tr(t);
        if (r->err < 0)
                return;
        fdb_write_reserved(t);
        f = fdb_api_of(t)->transaction_get(t->tr, key, fdb_key(fdb_store_of(t), r->key, key),
                                           (r->flags & KV_SNAPSHOT) != 0);
        r->err = fdb_keep(t, f, true);
        r->priv = r->err == 0 ? f : NULL;
}

void fdb_get_wait(struct kv_txn *txn, struct kv_read *r)
{
        struct fdb_txn *t = (struct fdb_txn *)txn;
        const struct fdb_api *api = fdb_api_of(t);
        FDBFuture *f = r->priv;
        const uint8_t *value;
        fdb_bool_t present;
        int len;

        if (!f)
                return;
        r->err = api->future_is_ready(f) ? 0 : fdb_wait_gets(t);
        fdb_cache_late_version(t);
        if (r->err == 0)
                r->err = fdb_failed(t, api->future_get_value(f, &present, &value, &len));
        if (r->err == 0 && !present)
                r->err = -ENOENT;
        else if (r->err == 0)
                r->value = slice_of(value, (size_t)len);
}

/* ---- ranges -------------------------------------------------------------------------------------- */

/* A range is read in chunks; while the caller reads one, the next one is on its way. Chunks are read as
 * snapshots (which include the transaction's own writes), and the conflict range is added at the end: it
 * covers what was returned to the caller, not what was read ahead. */
struct range {
        uint8_t *begin, *end; /* of the part that is not requested yet, with prefix */
        int begin_len, end_len;
        bool after_begin; /* BEGIN itself was returned */
        size_t left;      /* pairs that are not requested yet; 0: no limit */
        int iteration;
        FDBFuture *next; /* on its way; NULL: there is none */

        const FDBKeyValue *kv; /* the current chunk */
        int n, at;
        bool ended;        /* the end was reported */
        struct slice last; /* the last key returned, without prefix */
};

static void request(struct fdb_txn *t, struct kv_range *r, struct range *c)
{
        /* Key selectors: (0, 1) is the first key at or after the given one, (1, 1) the first one after it. */
        c->next = fdb_api_of(t)->transaction_get_range(t->tr, c->begin, c->begin_len, c->after_begin, 1,
                                                       c->end, c->end_len, 0, 1,
                                                       c->left < INT_MAX ? (int)c->left : 0, 0,
                                                       r->opts.mode == KV_ALL ? FDB_STREAMING_MODE_WANT_ALL
                                                                              : FDB_STREAMING_MODE_ITERATOR,
                                                       ++c->iteration, true, r->opts.reverse);
        r->err = fdb_keep(t, c->next, false);
        if (r->err < 0)
                c->next = NULL;
}

void fdb_range_start(struct kv_txn *txn, struct kv_range *r)
{
        struct fdb_txn *t = (struct fdb_txn *)txn;
        const struct fdb_store *s = fdb_store_of(t);
        struct range *c;

        r->err = fdb_ensure_tr(t);
        if (r->err < 0)
                return;
        fdb_write_reserved(t);
        /* Either bound may be replaced by the last key of a chunk. */
        c = malloc(sizeof(*c) + 2 * FDB_KEY_MAX);
        if (!c) {
                r->err = -ENOMEM;
                return;
        }
        *c = (struct range){ .begin = (uint8_t *)(c + 1), .left = r->opts.limit };
        c->end = c->begin + FDB_KEY_MAX;
        c->begin_len = fdb_key(s, r->opts.begin, c->begin);
        c->end_len = fdb_key(s, r->opts.end, c->end);
        r->priv = c;
        if (slice_cmp(r->opts.begin, r->opts.end) < 0)
                request(t, r, c);
}

/* Makes the next request begin behind LAST, the last pair of a chunk. */
static void continue_after(struct kv_range *r, struct range *c, const FDBKeyValue *last)
{
        int len = last->key_length;

        if (r->opts.reverse) {
                memcpy(c->end, last->key, (size_t)len);
                c->end_len = len;
        } else {
                memcpy(c->begin, last->key, (size_t)len);
                c->begin_len = len;
                c->after_begin = true;
        }
}

/* Waits for the next chunk and requests the one behind it. */
static int next_chunk(struct fdb_txn *t, struct kv_range *r, struct range *c)
{
        const struct fdb_api *api = fdb_api_of(t);
        FDBFuture *f = c->next;
        fdb_bool_t more;
        int err = fdb_wait(fdb_store_of(t), f, WAIT_CANCELLABLE);

        fdb_cache_late_version(t);
        if (err == 0)
                err = fdb_failed(t, api->future_get_keyvalue_array(f, &c->kv, &c->n, &more));
        if (err < 0)
                return err;
        c->next = NULL;
        c->at = 0;
        for (int i = 0; i < c->n; i++)
                if ((size_t)c->kv[i].key_length < fdb_store_of(t)->url.prefix_len ||
                    (size_t)c->kv[i].key_length >= FDB_KEY_MAX)
                        return -ERR_CORRUPT; /* not within the range */
        if (c->n > 0)
                continue_after(r, c, &c->kv[c->n - 1]);
        if (c->left > 0) {
                c->left -= (size_t)c->n < c->left ? (size_t)c->n : c->left;
                more = more && c->left > 0;
        }
        if (more)
                request(t, r, c);
        return r->err;
}

int fdb_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value)
{
        struct fdb_txn *t = (struct fdb_txn *)r->txn;
        size_t prefix_len = fdb_store_of(t)->url.prefix_len;
        struct range *c = r->priv;
        const FDBKeyValue *kv;

        while (r->err == 0 && c->at == c->n && c->next)
                r->err = next_chunk(t, r, c);
        if (r->err < 0)
                return r->err;
        if (c->at == c->n) {
                c->ended = true;
                return 0;
        }
        kv = &c->kv[c->at++];
        c->last = *ret_key = slice_of(kv->key + prefix_len, (size_t)kv->key_length - prefix_len);
        *ret_value = slice_of(kv->value, (size_t)kv->value_length);
        return 1;
}

/* All of the range, or the part up to the last pair returned. */
static void add_conflict(const struct kv_range *r, const struct range *c)
{
        const struct kv_range_opts *o = &r->opts;

        if (c->ended) {
                kv_conflict_range(r->txn, KV_CONFLICT_READ, o->begin, o->end);
        } else if (r->returned > 0 && o->reverse) {
                kv_conflict_range(r->txn, KV_CONFLICT_READ, c->last, o->end);
        } else if (r->returned > 0) {
                kv_conflict_range(r->txn, KV_CONFLICT_READ, o->begin, c->last);
                kv_conflict_key(r->txn, KV_CONFLICT_READ, c->last);
        }
}

void fdb_range_end(struct kv_range *r)
{
        if (r->priv && !r->opts.snapshot && (r->txn->flags & KV_WRITE))
                add_conflict(r, r->priv);
        free(r->priv);
}

/* SPDX-License-Identifier: MIT */
/* Ranges: a cursor of LMDB's over the records, and a place in the bucket where it stands on one. */
#include "kv/lmdb/bucket.h"
#include "kv/lmdb/internal.h"
#include "kv/lmdb/key.h"

#include <stdlib.h>

struct lmdb_range {
        struct lmdb_range *next; /* in the transaction's list of those not in use */
        MDB_cursor *cursor;      /* kept for readers */
        bool placed;             /* the cursor stands on the record returned last */
        bool done;
        bool in_bucket; /* that record is a bucket, and `entry` was returned last */
        struct bucket_entry entry;
        MDB_val key, value;      /* of the record */
        struct slice begin, end; /* mapped */
        /* Where mapped bounds and keys put together from a bucket live; made when first needed. */
        struct range_bufs {
                uint8_t begin[LMDB_MAPPED_MAX], end[LMDB_MAPPED_MAX], key[LMDB_MAPPED_MAX];
        } * bufs;
};

void lmdb_ranges_free(struct lmdb_txn *t)
{
        while (t->ranges) {
                struct lmdb_range *g = t->ranges;

                t->ranges = g->next;
                if (g->cursor)
                        mdb_cursor_close(g->cursor);
                free(g->bufs);
                free(g);
        }
}

static int range_bufs(struct lmdb_range *g)
{
        if (!g->bufs)
                g->bufs = malloc(sizeof(*g->bufs));
        return g->bufs ? 0 : -ENOMEM;
}

static int range_prepare(struct lmdb_txn *t, struct lmdb_range *g, const struct kv_range_opts *opts)
{
        int r, rc = g->cursor ? mdb_cursor_renew(t->txn, g->cursor)
                              : mdb_cursor_open(t->txn, LMDB_DBI, &g->cursor);

        if (rc != 0)
                return lmdb_error(rc);
        g->begin = opts->begin;
        g->end = opts->end;
        if (!lmdb_key_is_plain(g->begin) || !lmdb_key_is_plain(g->end)) {
                r = range_bufs(g);
                if (r < 0)
                        return r;
                g->begin = lmdb_key_map(g->begin, g->bufs->begin);
                g->end = lmdb_key_map(g->end, g->bufs->end);
        }
        return 0;
}

void lmdb_range_start(struct kv_txn *base, struct kv_range *r)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        struct lmdb_range *g = t->ranges;

        if (g)
                t->ranges = g->next;
        else
                g = calloc(1, sizeof(*g));
        if (!g) {
                r->err = -ENOMEM;
                return;
        }
        g->placed = g->done = g->in_bucket = false;
        r->priv = g;
        r->err = range_prepare(t, g, &r->opts);
}

void lmdb_range_end(struct kv_range *r)
{
        struct lmdb_txn *t = lmdb_txn_of(r->txn);
        struct lmdb_range *g = r->priv;

        if (!g)
                return;
        if (t->write && g->cursor) {
                /* LMDB frees a writer's cursors when it commits, and every write takes care of open ones. */
                mdb_cursor_close(g->cursor);
                g->cursor = NULL;
        }
        g->next = t->ranges;
        t->ranges = g;
}

/* Moves the cursor to the next record in the range's direction, or to the first: 1, 0 at the end, or an
 * error. */
static int next_record(struct lmdb_range *g, bool reverse)
{
        int rc;

        if (g->placed) {
                rc = mdb_cursor_get(g->cursor, &g->key, &g->value, reverse ? MDB_PREV : MDB_NEXT);
        } else {
                g->placed = true;
                g->key = lmdb_key_head(reverse ? g->end : g->begin);
                rc = mdb_cursor_get(g->cursor, &g->key, &g->value, MDB_SET_RANGE);
                /* In reverse that is the first record not below the end, unless the end is inside of it. */
                if (reverse && rc == 0 &&
                    !(g->key.mv_size == LMDB_KEY_MAX && slice_starts_with(g->end, lmdb_slice(g->key))))
                        rc = mdb_cursor_get(g->cursor, &g->key, &g->value, MDB_PREV);
                else if (reverse && rc == MDB_NOTFOUND)
                        rc = mdb_cursor_get(g->cursor, &g->key, &g->value, MDB_LAST);
        }
        if (rc == MDB_NOTFOUND)
                return 0;
        return rc == 0 ? 1 : lmdb_error(rc);
}

/* Moves to the next entry of the bucket that the cursor stands on (g->in_bucket: there was one before): 1 if
 * there is one, 0 if the bucket is exhausted, or an error. */
static int next_entry(struct lmdb_range *g, bool reverse)
{
        struct slice bucket = lmdb_slice(g->value), head = lmdb_slice(g->key);

        if (reverse) {
                size_t before = g->in_bucket ? g->entry.pos : bucket.len;

                if (!g->in_bucket && slice_starts_with(g->end, head)) {
                        int r = bucket_seek(bucket, lmdb_key_tail(g->end), &g->entry);

                        if (r < 0)
                                return r;
                        if (r > 0)
                                before = g->entry.pos;
                }
                return bucket_before(bucket, before, &g->entry);
        }
        if (g->in_bucket)
                return bucket_next(bucket, &g->entry);
        if (slice_starts_with(g->begin, head))
                return bucket_seek(bucket, lmdb_key_tail(g->begin), &g->entry);
        g->entry = (struct bucket_entry){ 0 };
        return bucket_next(bucket, &g->entry);
}

/* The next pair in the range's direction, with its mapped key, beyond the range's end too: 1, 0 or an
 * error. */
static int next_pair(struct lmdb_range *g, bool reverse, struct slice *ret_mapped, struct slice *ret_value)
{
        int r;

        for (;;) {
                if (!g->in_bucket) {
                        r = next_record(g, reverse);
                        if (r <= 0)
                                return r;
                        if (g->key.mv_size < LMDB_KEY_MAX) {
                                *ret_mapped = lmdb_slice(g->key);
                                *ret_value = lmdb_slice(g->value);
                                return 1;
                        }
                }
                r = next_entry(g, reverse);
                if (r < 0)
                        return r;
                g->in_bucket = r > 0;
                if (r == 0)
                        continue;
                if (g->key.mv_size + g->entry.tail.len > LMDB_MAPPED_MAX)
                        return -ERR_CORRUPT;
                r = range_bufs(g);
                if (r < 0)
                        return r;
                memcpy(g->bufs->key, g->key.mv_data, g->key.mv_size);
                memcpy(g->bufs->key + g->key.mv_size, g->entry.tail.data, g->entry.tail.len);
                *ret_mapped = slice_of(g->bufs->key, g->key.mv_size + g->entry.tail.len);
                *ret_value = g->entry.value;
                return 1;
        }
}

int lmdb_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value)
{
        struct lmdb_range *g = r->priv;
        struct slice mapped, value;
        int n;

        if (r->err < 0 || g->done)
                return r->err;
        n = next_pair(g, r->opts.reverse, &mapped, &value);
        if (n > 0 && value.len > KV_VALUE_MAX)
                n = -ERR_CORRUPT;
        if (n > 0 && (r->opts.reverse ? slice_cmp(mapped, g->begin) < 0 : slice_cmp(mapped, g->end) >= 0))
                n = 0;
        if (n > 0) {
                n = lmdb_key_unmap(mapped, ret_key);
                if (n == 0) {
                        *ret_value = value;
                        lmdb_lend(lmdb_txn_of(r->txn), value);
                        return 1;
                }
        }
        g->done = true;
        r->err = n;
        return n;
}

/* SPDX-License-Identifier: MIT */
/* Gets and ranges. A range is a cursor of LMDB over its records, and a position in the bucket on which it
 * stands. */
#include "kv/lmdb/bucket.h"
#include "kv/lmdb/internal.h"
#include "kv/lmdb/key.h"

#include <stdlib.h>

/* ---- gets --------------------------------------------------------------------------------------- */

static int get_cursor(struct lmdb_txn *t, MDB_cursor **ret)
{
        if (t->cursor_stale) {
                int rc = t->cursor ? mdb_cursor_renew(t->txn, t->cursor)
                                   : mdb_cursor_open(t->txn, LMDB_DBI, &t->cursor);

                if (rc != 0)
                        return rc;
                t->cursor_stale = false;
        }
        *ret = t->cursor;
        return 0;
}

int lmdb_get_head(struct lmdb_txn *t, MDB_val head, struct slice *ret)
{
        MDB_cursor *cursor;
        MDB_val value;
        int rc = get_cursor(t, &cursor);

        if (rc == 0)
                rc = mdb_cursor_get(cursor, &head, &value, MDB_SET);
        if (rc != 0)
                return lmdb_error(rc);
        *ret = lmdb_slice(value);
        return 0;
}

static __attribute__((noinline)) int get_mapped(struct lmdb_txn *t, struct slice key, struct slice *ret)
{
        uint8_t buf[LMDB_MAPPED_MAX];
        struct slice mapped = lmdb_key_map(key, buf), value;
        int r = lmdb_get_head(t, lmdb_key_head(mapped), &value);

        if (r >= 0 && lmdb_key_in_bucket(mapped))
                r = bucket_get(value, lmdb_key_tail(mapped), &value);
        if (r >= 0)
                *ret = value;
        return r;
}

int lmdb_get(struct lmdb_txn *t, struct slice key, struct slice *ret)
{
        struct slice value;
        int r = lmdb_key_is_plain(key) ? lmdb_get_head(t, lmdb_val(key), &value) : get_mapped(t, key, &value);

        if (r < 0)
                return r;
        if (value.len > KV_VALUE_MAX)
                return -ERR_CORRUPT;
        *ret = value;
        return 0;
}

/* Remembers that a writer's caller has VALUE, and may pass it to lmdb_set. */
static void note_returned(struct lmdb_txn *t, struct slice value)
{
        if (!t->write)
                return;
        if (t->returned_n < LMDB_RETURNED_MAX)
                t->returned[t->returned_n] = value;
        if (t->returned_n <= LMDB_RETURNED_MAX)
                t->returned_n++;
}

void lmdb_get_start(struct kv_txn *t, struct kv_read *r)
{
        r->err = lmdb_get(lmdb_txn_of(t), r->key, &r->value);
        if (r->err >= 0)
                note_returned(lmdb_txn_of(t), r->value);
}

/* ---- ranges ------------------------------------------------------------------------------------- */

struct lmdb_range {
        struct lmdb_range *next; /* in the transaction's list, for reuse */
        MDB_cursor *cursor;      /* of a reader: stays open for reuse */
        bool placed;             /* the cursor stands on the last record returned */
        bool done;
        bool in_bucket; /* that record is a bucket, of which `entry` was returned last */
        struct bucket_entry entry;
        MDB_val key, value;      /* of the record */
        struct slice begin, end; /* mapped */
        /* For mapped bounds and for keys from buckets; allocated when first needed. */
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
                /* A commit frees a writer's cursors, and each write of LMDB adjusts those that are open. */
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
                /* In reverse this is the first record not below the end, which the range includes only if the
                 * end is in it. */
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

/* Moves to the next entry of the bucket under the cursor, or to the first one unless g->in_bucket: 1, 0 at
 * the end of the bucket, or an error. */
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

/* The next pair in the range's direction, with its mapped key; does not stop at the range's end. 1, 0 or an
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

/* The next pair within the range: 1, 0 or an error. */
static int next_in_range(struct lmdb_range *g, bool reverse, struct slice *ret_key, struct slice *ret_value)
{
        struct slice mapped;
        int r = next_pair(g, reverse, &mapped, ret_value);

        if (r <= 0)
                return r;
        if (ret_value->len > KV_VALUE_MAX)
                return -ERR_CORRUPT;
        if (reverse ? slice_cmp(mapped, g->begin) < 0 : slice_cmp(mapped, g->end) >= 0)
                return 0;
        r = lmdb_key_unmap(mapped, ret_key);
        return r < 0 ? r : 1;
}

int lmdb_range_next(struct kv_range *r, struct slice *ret_key, struct slice *ret_value)
{
        struct lmdb_range *g = r->priv;
        struct slice key, value;
        int n;

        if (r->err < 0 || g->done)
                return r->err;
        n = next_in_range(g, r->opts.reverse, &key, &value);
        if (n <= 0) {
                g->done = true;
                r->err = n;
                return n;
        }
        note_returned(lmdb_txn_of(r->txn), value);
        *ret_key = key;
        *ret_value = value;
        return 1;
}

/* SPDX-License-Identifier: MIT */
/* Writes. */
#include "kv/lmdb/bucket.h"
#include "kv/lmdb/internal.h"
#include "kv/lmdb/key.h"

#include <stdlib.h>

/* The largest bucket, far above what the key scheme leads to. */
#define BUCKET_MAX (UINT32_C(1) << 28)

/* Records a failed write: the transaction is incomplete and must not commit. */
static int failed(struct lmdb_txn *t, int r)
{
        if (t->err == 0)
                t->err = r;
        return r;
}

static int scratch_reserve(struct lmdb_scratch *scratch, size_t bytes)
{
        uint8_t *data;

        if (bytes <= scratch->bytes)
                return 0;
        data = realloc(scratch->data, bytes);
        if (!data)
                return -ENOMEM;
        scratch->data = data;
        scratch->bytes = bytes;
        return 0;
}

/* Replaces [FROM, TO) of the bucket OLD, which is in LMDB's memory under HEAD, by LEN bytes that the caller
 * fills in through *RET. */
static int bucket_splice(struct lmdb_txn *t, MDB_val head, struct slice old, size_t from, size_t to,
                         size_t len, uint8_t **ret)
{
        struct lmdb_store *s = lmdb_of(t->base.store);
        uint8_t head_copy[LMDB_KEY_MAX];
        MDB_val value = { .mv_size = old.len - (to - from) + len };
        int r, rc;

        if (value.mv_size > BUCKET_MAX)
                return -E2BIG;
        r = scratch_reserve(&s->bucket, old.len);
        if (r < 0)
                return r;
        /* Both move when the record is put. */
        if (old.len > 0)
                memcpy(s->bucket.data, old.data, old.len);
        memcpy(head_copy, head.mv_data, LMDB_KEY_MAX);
        head.mv_data = head_copy;
        rc = mdb_cursor_put(t->cursor, &head, &value, MDB_RESERVE);
        if (rc != 0)
                return lmdb_error(rc);
        if (from > 0)
                memcpy(value.mv_data, s->bucket.data, from);
        if (old.len > to)
                memcpy((uint8_t *)value.mv_data + from + len, s->bucket.data + to, old.len - to);
        *ret = (uint8_t *)value.mv_data + from;
        return 0;
}

/* Puts an entry with a value of LEN bytes, which the caller fills in through *RET. */
static int bucket_put(struct lmdb_txn *t, struct slice mapped, size_t len, uint8_t **ret)
{
        struct slice old = { 0 }, tail = lmdb_key_tail(mapped);
        MDB_val head = lmdb_key_head(mapped);
        size_t from = 0, to = 0;
        struct bucket_entry e;
        uint8_t *entry;
        int r = lmdb_get_head(t, head, &old);

        if (r < 0 && r != -ENOENT)
                return r;
        if (r >= 0) {
                r = bucket_seek(old, tail, &e);
                if (r < 0)
                        return r;
                from = r > 0 ? e.pos : old.len;
                to = r > 0 && slice_eq(e.tail, tail) ? e.end : from;
        }
        r = bucket_splice(t, head, old, from, to, BUCKET_ENTRY_HEADER + tail.len + len, &entry);
        if (r < 0)
                return r;
        *ret = bucket_put_header(entry, tail, len);
        return 0;
}

/* Removes the entries in [FROM, TO) of the bucket under the cursor; an empty bucket is deleted. */
static int bucket_cut(struct lmdb_txn *t, MDB_val head, struct slice old, size_t from, size_t to)
{
        uint8_t *unused;

        if (from == to)
                return 0;
        if (to - from == old.len)
                return lmdb_error(mdb_cursor_del(t->cursor, 0));
        return bucket_splice(t, head, old, from, to, 0, &unused);
}

/* Puts KEY with a value of LEN bytes, which the caller fills in through *RET. */
static __attribute__((noinline)) int put_mapped(struct lmdb_txn *t, struct slice key, size_t len,
                                                uint8_t **ret)
{
        uint8_t buf[LMDB_MAPPED_MAX];
        struct slice mapped = lmdb_key_map(key, buf);
        MDB_val head = lmdb_key_head(mapped), value = { .mv_size = len };
        int rc;

        if (lmdb_key_in_bucket(mapped))
                return bucket_put(t, mapped, len, ret);
        rc = mdb_cursor_put(t->cursor, &head, &value, MDB_RESERVE);
        if (rc != 0)
                return lmdb_error(rc);
        *ret = value.mv_data;
        return 0;
}

/* Whether VALUE may lie in a page that T has written: setting it there could move it while it is copied. */
static bool may_be_returned(const struct lmdb_txn *t, struct slice value)
{
        uintptr_t at = (uintptr_t)value.data;

        for (unsigned i = 0; i < t->returned_n && i < LMDB_RETURNED_MAX; i++)
                if (at - (uintptr_t)t->returned[i].data < t->returned[i].len)
                        return true;
        return t->returned_n > LMDB_RETURNED_MAX;
}

/* Copies VALUE to scratch memory if the write could move it. */
static int copy_if_returned(struct lmdb_txn *t, struct slice *value)
{
        struct lmdb_store *s = lmdb_of(t->base.store);
        int r;

        if (value->len == 0 || !may_be_returned(t, *value))
                return 0;
        r = scratch_reserve(&s->value, value->len);
        if (r < 0)
                return r;
        value->data = memmove(s->value.data, value->data, value->len);
        return 0;
}

int lmdb_set(struct kv_txn *base, struct slice key, struct slice value)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        uint8_t *data;
        int r = copy_if_returned(t, &value);

        if (r < 0)
                return failed(t, r);
        t->returned_n = 0;
        if (lmdb_key_is_plain(key)) {
                MDB_val k = lmdb_val(key), v = lmdb_val(value);
                int rc = mdb_cursor_put(t->cursor, &k, &v, 0);

                return rc == 0 ? 0 : failed(t, lmdb_error(rc));
        }
        r = put_mapped(t, key, value.len, &data);
        if (r < 0)
                return failed(t, r);
        if (value.len > 0)
                memcpy(data, value.data, value.len);
        return 0;
}

int lmdb_set_reserve(struct kv_txn *base, struct slice key, size_t len, void **ret)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        uint8_t *data;
        int r;

        t->returned_n = 0;
        if (lmdb_key_is_plain(key)) {
                MDB_val k = lmdb_val(key), v = { .mv_size = len };
                int rc = mdb_cursor_put(t->cursor, &k, &v, MDB_RESERVE);

                if (rc != 0)
                        return failed(t, lmdb_error(rc));
                *ret = v.mv_data;
                return 0;
        }
        r = put_mapped(t, key, len, &data);
        if (r < 0)
                return failed(t, r);
        *ret = data;
        return 0;
}

static __attribute__((noinline)) int clear_mapped(struct lmdb_txn *t, struct slice key)
{
        uint8_t buf[LMDB_MAPPED_MAX];
        struct slice mapped = lmdb_key_map(key, buf), old;
        MDB_val head = lmdb_key_head(mapped);
        struct bucket_entry e;
        int r = lmdb_get_head(t, head, &old);

        if (r < 0)
                return r;
        if (!lmdb_key_in_bucket(mapped))
                return lmdb_error(mdb_cursor_del(t->cursor, 0));
        r = bucket_seek(old, lmdb_key_tail(mapped), &e);
        if (r <= 0 || !slice_eq(e.tail, lmdb_key_tail(mapped)))
                return r < 0 ? r : -ENOENT;
        return bucket_cut(t, head, old, e.pos, e.end);
}

int lmdb_clear(struct kv_txn *base, struct slice key)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        int r;

        t->returned_n = 0;
        if (lmdb_key_is_plain(key)) {
                MDB_val k = lmdb_val(key), v;
                int rc = mdb_cursor_get(t->cursor, &k, &v, MDB_SET);

                if (rc == 0)
                        rc = mdb_cursor_del(t->cursor, 0);
                r = lmdb_error(rc);
        } else {
                r = clear_mapped(t, key);
        }
        if (r < 0 && r != -ENOENT)
                return failed(t, r);
        return 0;
}

/* Removes the entries of the bucket under the cursor whose mapped keys lie in [BEGIN, END). */
static int clear_in_bucket(struct lmdb_txn *t, MDB_val head, struct slice bucket, struct slice begin,
                           struct slice end)
{
        size_t from = 0, to = bucket.len;
        struct bucket_entry e;
        int r;

        if (slice_starts_with(begin, lmdb_slice(head))) {
                r = bucket_seek(bucket, lmdb_key_tail(begin), &e);
                if (r < 0)
                        return r;
                from = r > 0 ? e.pos : bucket.len;
        }
        if (slice_starts_with(end, lmdb_slice(head))) {
                r = bucket_seek(bucket, lmdb_key_tail(end), &e);
                if (r < 0)
                        return r;
                to = r > 0 ? e.pos : bucket.len;
        }
        return bucket_cut(t, head, bucket, from, to);
}

int lmdb_clear_range(struct kv_txn *base, struct slice begin, struct slice end)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        uint8_t begin_buf[LMDB_MAPPED_MAX], end_buf[LMDB_MAPPED_MAX];
        MDB_val key, value;
        int r = 0, rc;

        t->returned_n = 0;
        begin = lmdb_key_map(begin, begin_buf);
        end = lmdb_key_map(end, end_buf);
        key = lmdb_key_head(begin);
        for (rc = mdb_cursor_get(t->cursor, &key, &value, MDB_SET_RANGE); rc == 0;
             rc = mdb_cursor_get(t->cursor, &key, &value, MDB_NEXT)) {
                if (slice_cmp(lmdb_slice(key), end) >= 0)
                        return 0;
                if (key.mv_size == LMDB_KEY_MAX)
                        r = clear_in_bucket(t, key, lmdb_slice(value), begin, end);
                else
                        r = lmdb_error(mdb_cursor_del(t->cursor, 0));
                if (r < 0)
                        return failed(t, r);
        }
        return rc == MDB_NOTFOUND ? 0 : failed(t, lmdb_error(rc));
}

int lmdb_atomic(struct kv_txn *base, enum kv_atomic_op op, struct slice key, struct slice operand)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        struct lmdb_store *s = lmdb_of(base->store);
        struct slice old = { 0 };
        int r = lmdb_get(t, key, &old);

        if (r < 0 && r != -ENOENT)
                return failed(t, r);
        r = scratch_reserve(&s->value, old.len > operand.len ? old.len : operand.len);
        if (r < 0)
                return failed(t, r);
        return lmdb_set(base, key, slice_of(s->value.data, kv_atomic_apply(op, old, operand, s->value.data)));
}

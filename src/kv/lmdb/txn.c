/* SPDX-License-Identifier: MIT */
/* Transactions: begin, commit, gets and writes. */
#include "base/thread.h"
#include "kv/lmdb/bucket.h"
#include "kv/lmdb/doorbell.h"
#include "kv/lmdb/internal.h"
#include "kv/lmdb/key.h"

#include <errno.h>
#include <stdlib.h>

/* How often a writer looks for readers that were killed: their snapshots keep pages from being used again. */
#define READERS_CHECK_NS (UINT64_C(10) * 1000000000)

/* What a bucket may grow to, far above what key formats lead to. */
#define BUCKET_MAX (UINT32_C(1) << 28)

/* ---- begin and end ------------------------------------------------------------------------------ */

static void check_readers(struct lmdb_store *s)
{
        uint64_t now_ns = thread_now_ns();
        int dead;

        if (now_ns - s->readers_checked_ns < READERS_CHECK_NS)
                return;
        s->readers_checked_ns = now_ns;
        mdb_reader_check(s->env, &dead);
}

static int writer_begin_locked(struct lmdb_store *s, struct lmdb_txn *t)
{
        int r, rc;

        lock_assert_held(&s->write_lock);
        for (;;) {
                r = lmdb_env_repair_locked(s);
                if (r < 0)
                        return r;
                check_readers(s);
                rc = mdb_txn_begin(s->env, NULL, 0, &t->txn);
                if (rc == 0)
                        break;
                if (rc != MDB_PANIC && rc != MDB_MAP_RESIZED)
                        return lmdb_error(rc);
                atomic_store(&s->gate, true);
        }
        rc = mdb_cursor_open(t->txn, LMDB_DBI, &t->cursor);
        if (rc != 0) {
                mdb_txn_abort(t->txn);
                t->txn = NULL;
                return lmdb_error(rc);
        }
        return 0;
}

int lmdb_begin(struct kv_store *base, unsigned flags, struct kv_txn **ret)
{
        struct lmdb_store *s = lmdb_of(base);
        struct lmdb_txn *t;
        int r;

        if (!(flags & KV_WRITE)) {
                r = lmdb_reader_begin(s, &t);
                if (r < 0)
                        return r;
                *ret = &t->base;
                return 0;
        }
        if (s->rdonly)
                return -EROFS;
        lock_acquire(&s->write_lock);
        t = &s->writer;
        r = writer_begin_locked(s, t);
        if (r < 0) {
                lock_release(&s->write_lock);
                return r;
        }
        t->err = 0;
        t->lent_n = 0;
        t->number = mdb_txn_id(t->txn);
        lmdb_space_update_list(s, t->txn);
        *ret = &t->base;
        return 0;
}

/* After a failed commit: the environment is unusable if the header could not be written. */
static void check_failed_commit(struct lmdb_store *s)
{
        MDB_txn *probe;
        int rc = mdb_txn_begin(s->env, NULL, 0, &probe);

        if (rc == 0)
                mdb_txn_abort(probe);
        else
                atomic_store(&s->gate, true);
}

int lmdb_commit(struct kv_txn *base)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        struct lmdb_store *s = lmdb_of(base->store);
        int r, rc;

        if (!t->write)
                return 0;
        if (t->err < 0)
                return t->err;
        if (base->written_bytes > 0 && !(base->flags & KV_RESERVE)) {
                /* Without KV_RESERVE nobody may use up what the others need to delete. */
                r = lmdb_reserve_own(t);
                if (r < 0)
                        return r;
        }
        rc = mdb_txn_commit(t->txn);
        t->txn = NULL;
        t->cursor = NULL;
        if (rc != 0) {
                check_failed_commit(s);
                t->err = lmdb_error(rc);
                /* To LMDB a write that was cut short is an I/O error; mostly it is a full disk. */
                if (t->err == -EIO && lmdb_room_is_gone(s))
                        t->err = -ENOSPC;
                return t->err;
        }
        lmdb_space_update(s);
        if (base->written_bytes > 0)
                lmdb_doorbell_ring(s->doorbell);
        return 0;
}

void lmdb_end(struct kv_txn *base)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        struct lmdb_store *s = lmdb_of(base->store);
        struct lmdb_watch *watches = t->watches;
        bool committed = base->committed && t->err == 0;
        uint64_t snapshot = t->number;

        t->watches = NULL;
        if (!t->write) {
                snapshot = mdb_txn_id(t->txn);
                lmdb_reader_end(s, t);
        } else {
                bool written = t->txn == NULL;

                lmdb_ranges_free(t);
                if (t->txn)
                        mdb_txn_abort(t->txn); /* frees the cursor */
                t->txn = NULL;
                t->cursor = NULL;
                committed = committed && written;
                lock_release(&s->write_lock);
        }
        if (watches)
                lmdb_watch_settle(s, watches, committed, snapshot);
}

/* ---- reading ------------------------------------------------------------------------------------ */

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

/* The value that LMDB holds for HEAD. */
static int get_head(struct lmdb_txn *t, MDB_val head, struct slice *ret)
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
        int r = get_head(t, lmdb_key_head(mapped), &value);

        if (r >= 0 && lmdb_key_in_bucket(mapped))
                r = bucket_get(value, lmdb_key_tail(mapped), &value);
        if (r >= 0)
                *ret = value;
        return r;
}

int lmdb_get(struct lmdb_txn *t, struct slice key, struct slice *ret)
{
        struct slice value;
        int r = lmdb_key_is_plain(key) ? get_head(t, lmdb_val(key), &value) : get_mapped(t, key, &value);

        if (r < 0)
                return r;
        if (value.len > KV_VALUE_MAX)
                return -ERR_CORRUPT;
        *ret = value;
        return 0;
}

void lmdb_get_start(struct kv_txn *t, struct kv_read *r)
{
        r->err = lmdb_get(lmdb_txn_of(t), r->key, &r->value);
        if (r->err >= 0)
                lmdb_lend(lmdb_txn_of(t), r->value);
}

/* ---- writing ------------------------------------------------------------------------------------ */

/* After a failed write the transaction is incomplete and must not commit. */
static int failed(struct lmdb_txn *t, int r)
{
        if (t->err == 0)
                t->err = r;
        return r;
}

static int scratch_need(struct lmdb_scratch *scratch, size_t bytes)
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

/* Replaces [FROM, TO) of the bucket OLD, which is in LMDB's memory under HEAD, by ROOM bytes, which *RET_ROOM
 * points to. */
static int bucket_splice(struct lmdb_txn *t, MDB_val head, struct slice old, size_t from, size_t to,
                         size_t room, uint8_t **ret_room)
{
        struct lmdb_store *s = lmdb_of(t->base.store);
        uint8_t head_copy[LMDB_KEY_MAX];
        MDB_val value = { .mv_size = old.len - (to - from) + room };
        int r, rc;

        if (value.mv_size > BUCKET_MAX)
                return -E2BIG;
        r = scratch_need(&s->bucket, old.len);
        if (r < 0)
                return r;
        /* Putting the record moves both. */
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
                memcpy((uint8_t *)value.mv_data + from + room, s->bucket.data + to, old.len - to);
        *ret_room = (uint8_t *)value.mv_data + from;
        return 0;
}

/* Makes an entry with LEN bytes of value, which *RET points to. */
static int bucket_put(struct lmdb_txn *t, struct slice mapped, size_t len, uint8_t **ret)
{
        struct slice old = { 0 }, tail = lmdb_key_tail(mapped);
        MDB_val head = lmdb_key_head(mapped);
        size_t from = 0, to = 0;
        struct bucket_entry e;
        int r = get_head(t, head, &old);

        if (r < 0 && r != -ENOENT)
                return r;
        if (r >= 0) {
                r = bucket_seek(old, tail, &e);
                if (r < 0)
                        return r;
                from = r > 0 ? e.pos : old.len;
                to = r > 0 && slice_eq(e.tail, tail) ? e.end : from;
        }
        r = bucket_splice(t, head, old, from, to, BUCKET_ENTRY_HEADER + tail.len + len, ret);
        if (r >= 0)
                *ret = bucket_put_header(*ret, tail, len);
        return r;
}

/* Removes the entries [FROM, TO) of the bucket under the cursor, and the bucket with the last of them. */
static int bucket_cut(struct lmdb_txn *t, MDB_val head, struct slice old, size_t from, size_t to)
{
        uint8_t *nothing;

        if (from == to)
                return 0;
        if (to - from == old.len)
                return lmdb_error(mdb_cursor_del(t->cursor, 0));
        return bucket_splice(t, head, old, from, to, 0, &nothing);
}

/* Reserves LEN bytes of value. */
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

/* Whether VALUE may lie in a page of LMDB's that T has written and will write to: setting it would move it
 * away while it is copied. */
static bool is_lent(const struct lmdb_txn *t, struct slice value)
{
        uintptr_t at = (uintptr_t)value.data;

        for (unsigned i = 0; i < t->lent_n && i < LMDB_LENT_MAX; i++)
                if (at - (uintptr_t)t->lent[i].data < t->lent[i].len)
                        return true;
        return t->lent_n > LMDB_LENT_MAX;
}

/* Copies VALUE aside if it has to be. After a write nothing is lent. */
static int take_back(struct lmdb_txn *t, struct slice *value)
{
        struct lmdb_store *s = lmdb_of(t->base.store);
        int r = 0;

        if (value->len > 0 && is_lent(t, *value)) {
                r = scratch_need(&s->value, value->len);
                if (r >= 0)
                        value->data = memmove(s->value.data, value->data, value->len);
        }
        t->lent_n = 0;
        return r;
}

int lmdb_set(struct kv_txn *base, struct slice key, struct slice value)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        uint8_t *room;
        int r;

        if (t->lent_n > 0) {
                r = take_back(t, &value);
                if (r < 0)
                        return failed(t, r);
        }
        if (lmdb_key_is_plain(key)) {
                MDB_val k = lmdb_val(key), v = lmdb_val(value);
                int rc = mdb_cursor_put(t->cursor, &k, &v, 0);

                return rc == 0 ? 0 : failed(t, lmdb_error(rc));
        }
        r = put_mapped(t, key, value.len, &room);
        if (r < 0)
                return failed(t, r);
        if (value.len > 0)
                memcpy(room, value.data, value.len);
        return 0;
}

int lmdb_set_reserve(struct kv_txn *base, struct slice key, size_t len, void **ret)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        uint8_t *room;
        int r;

        t->lent_n = 0;
        if (lmdb_key_is_plain(key)) {
                MDB_val k = lmdb_val(key), v = { .mv_size = len };
                int rc = mdb_cursor_put(t->cursor, &k, &v, MDB_RESERVE);

                if (rc != 0)
                        return failed(t, lmdb_error(rc));
                *ret = v.mv_data;
                return 0;
        }
        r = put_mapped(t, key, len, &room);
        if (r < 0)
                return failed(t, r);
        *ret = room;
        return 0;
}

static __attribute__((noinline)) int clear_mapped(struct lmdb_txn *t, struct slice key)
{
        uint8_t buf[LMDB_MAPPED_MAX];
        struct slice mapped = lmdb_key_map(key, buf), old;
        MDB_val head = lmdb_key_head(mapped);
        struct bucket_entry e;
        int r = get_head(t, head, &old);

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

        t->lent_n = 0;
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

/* Clears what of the bucket under the cursor lies in [BEGIN, END), mapped keys. */
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

        t->lent_n = 0;
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
        r = scratch_need(&s->value, old.len > operand.len ? old.len : operand.len);
        if (r < 0)
                return failed(t, r);
        return lmdb_set(base, key, slice_of(s->value.data, kv_atomic_apply(op, old, operand, s->value.data)));
}

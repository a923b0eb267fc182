/* SPDX-License-Identifier: MIT */
#include "record/block.h"

#include <assert.h>

const uint8_t rec_zeros[FMT_BLOCK_SIZE_MAX];

void rec_block_start(struct kv_txn *t, struct rec_block_read *r, uint64_t ino, uint64_t offset,
                     unsigned flags)
{
        struct fmt_key k;

        fmt_key_block(&k, ino, offset);
        assert(k.len <= REC_BLOCK_KEY_MAX);
        memcpy(r->key, k.data, k.len);
        kv_get_start(t, &r->read, slice_of(r->key, k.len), flags);
}

int rec_block_wait(struct kv_txn *t, uint32_t block_size, struct rec_block_read *r, struct slice *ret)
{
        int q = kv_get_wait(t, &r->read, ret);

        if (q == -ENOENT) {
                *ret = slice_of(NULL, 0);
                return 0;
        }
        if (q < 0)
                return q;
        return ret->len > block_size ? -ERR_CORRUPT : 1;
}

/* Bytes that a block of LEN stored bytes counts in st_blocks. */
static uint64_t allocation(size_t len)
{
        return (len + 511) / 512 * 512;
}

static struct slice head(struct slice s, size_t len)
{
        return slice_of(s.data, s.len < len ? s.len : len);
}

static struct slice tail(struct slice s, size_t from)
{
        return s.len <= from ? slice_of(NULL, 0) : slice_of(s.data + from, s.len - from);
}

/* The length of the changed block without trailing zeros, computed without assembling it. */
static size_t stored_len(const struct rec_block_edit *e)
{
        size_t end = e->from + e->data.len, n;
        struct slice after = tail(e->old, end), before = head(e->old, e->from);

        n = fmt_block_trim(after.data, after.len);
        if (n > 0)
                return end + n;
        n = fmt_block_trim(e->data.data, e->data.len);
        if (n > 0)
                return e->from + n;
        return fmt_block_trim(before.data, before.len);
}

/* Copies DATA to offset AT, cut at LEN. */
static void fill(uint8_t *out, size_t len, size_t at, struct slice data)
{
        if (data.len > 0 && at < len)
                memcpy(out + at, data.data, data.len < len - at ? data.len : len - at);
}

int rec_block_put(struct kv_txn *t, uint32_t block_size, uint64_t ino, const struct rec_block_edit *e,
                  uint64_t *allocated)
{
        size_t end = e->from + e->data.len, len = stored_len(e);
        struct slice before = head(e->old, e->from);
        struct fmt_key k;
        void *out;
        int r;

        assert(end <= block_size);
        assert(e->offset % block_size == 0);
        *allocated -= allocation(e->old_len);
        fmt_key_block(&k, ino, e->offset);
        if (len == 0)
                return e->existed ? kv_clear(t, fmt_slice(&k)) : 0;
        r = kv_set_reserve(t, fmt_slice(&k), len, &out);
        if (r < 0)
                return r;
        fill(out, len, 0, before);
        if (before.len < e->from && before.len < len)
                memset((uint8_t *)out + before.len, 0, (e->from < len ? e->from : len) - before.len);
        fill(out, len, e->from, e->data);
        fill(out, len, end, tail(e->old, end));
        *allocated += allocation(len);
        return 0;
}

int rec_block_set(struct kv_txn *t, uint64_t ino, uint64_t offset, bool existed, size_t old_len,
                  struct slice data, uint64_t *allocated)
{
        size_t len = fmt_block_trim(data.data, data.len);
        struct fmt_key k;

        *allocated += allocation(len) - allocation(old_len);
        fmt_key_block(&k, ino, offset);
        if (len == 0)
                return existed ? kv_clear(t, fmt_slice(&k)) : 0;
        return kv_set(t, fmt_slice(&k), slice_of(data.data, len));
}

int rec_block_patch(struct kv_txn *t, uint64_t ino, const struct rec_block_edit *e, uint64_t *allocated)
{
        size_t end = e->from + e->data.len;
        struct fmt_key k;

        /* Behind the old bytes, zeros need not be stored. */
        if (end > e->old_len) {
                size_t last = e->from + fmt_block_trim(e->data.data, e->data.len);

                end = last > e->old_len ? last : e->old_len;
        }
        if (end <= e->from)
                return 0;
        if (end > e->old_len)
                *allocated += allocation(end) - allocation(e->old_len);
        fmt_key_block(&k, ino, e->offset);
        return kv_patch(t, fmt_slice(&k), e->from, slice_of(e->data.data, end - e->from));
}

void rec_blocks_start(struct kv_txn *t, struct rec_blocks *r, uint64_t ino, uint64_t begin, uint64_t end,
                      const struct kv_range_opts *how)
{
        struct kv_range_opts opts = *how;

        fmt_key_block(&r->begin, ino, begin);
        fmt_key_block(&r->end, ino, end);
        opts.begin = fmt_slice(&r->begin);
        opts.end = fmt_slice(&r->end);
        kv_range_start(t, &r->range, &opts);
}

int rec_blocks_next(struct rec_blocks *r, uint64_t *ret_offset, struct slice *ret_data)
{
        struct fmt_parsed_key parsed;
        struct slice key;
        int q = kv_range_next(&r->range, &key, ret_data);

        if (q <= 0)
                return q;
        q = fmt_key_parse(key, &parsed);
        if (q < 0)
                return q;
        *ret_offset = parsed.offset;
        return 1;
}

void rec_blocks_end(struct rec_blocks *r)
{
        kv_range_end(&r->range);
}

int rec_block_find(struct kv_txn *t, uint64_t ino, uint64_t begin, uint64_t end, bool reverse, unsigned limit,
                   struct rec_block_found *ret)
{
        const struct kv_range_opts how = { .limit = limit, .reverse = reverse, .mode = KV_ALL };
        _cleanup_blocks_ struct rec_blocks blocks;
        struct slice data;
        uint64_t offset;
        int r;

        *ret = (struct rec_block_found){ .count = 0 };
        rec_blocks_start(t, &blocks, ino, begin, end, &how);
        while ((r = rec_blocks_next(&blocks, &offset, &data)) > 0) {
                ret->last = offset;
                ret->allocated += allocation(data.len);
                ret->count++;
        }
        return r;
}

int rec_block_depend(struct kv_txn *t, uint64_t ino, uint64_t begin, uint64_t end)
{
        struct fmt_key begin_key, end_key;

        fmt_key_block(&begin_key, ino, begin);
        fmt_key_block(&end_key, ino, end);
        return kv_conflict_range(t, KV_CONFLICT_READ, fmt_slice(&begin_key), fmt_slice(&end_key));
}

int rec_block_clear(struct kv_txn *t, uint32_t block_size, uint64_t ino, uint64_t begin, uint64_t end,
                    const struct rec_block_found *found, uint64_t *allocated)
{
        struct fmt_key begin_key, end_key;

        if (found->count == 0)
                return 0;
        *allocated -= found->allocated;
        fmt_key_block(&begin_key, ino, begin);
        if (end == begin + block_size)
                return kv_clear(t, fmt_slice(&begin_key));
        fmt_key_block(&end_key, ino, end);
        return kv_clear_range(t, fmt_slice(&begin_key), fmt_slice(&end_key));
}

int rec_block_clear_one(struct kv_txn *t, uint64_t ino, uint64_t offset)
{
        struct fmt_key k;

        fmt_key_block(&k, ino, offset);
        return kv_clear(t, fmt_slice(&k));
}

unsigned rec_block_step(const struct kv_limits *limits)
{
        /* Counting fetches the values, which on a cluster cross the network. */
        size_t step = limits->remote ? 64 : 512;

        return (unsigned)(step < limits->clear_keys ? step : limits->clear_keys);
}

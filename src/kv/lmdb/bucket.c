/* SPDX-License-Identifier: MIT */
#include "kv/lmdb/bucket.h"

#include "kv/kv.h"

static size_t load(const uint8_t *p, unsigned bytes)
{
        size_t n = 0;

        for (unsigned i = bytes; i > 0; i--)
                n = n << 8 | p[i - 1];
        return n;
}

static void store(uint8_t *p, unsigned bytes, size_t n)
{
        for (unsigned i = 0; i < bytes; i++, n >>= 8)
                p[i] = (uint8_t)n;
}

int bucket_next(struct slice bucket, struct bucket_entry *e)
{
        struct bucket_entry n = { .pos = e->end };
        const uint8_t *p = bucket.data + n.pos;
        size_t left = bucket.len - n.pos;

        if (left == 0)
                return n.pos > 0 ? 0 : -ERR_CORRUPT;
        if (left < BUCKET_ENTRY_HEADER)
                return -ERR_CORRUPT;
        n.tail = slice_of(p + BUCKET_ENTRY_HEADER, load(p, 2));
        n.value.len = load(p + 2, 4);
        left -= BUCKET_ENTRY_HEADER;
        if (n.tail.len > left || n.value.len > left - n.tail.len || n.value.len > KV_VALUE_MAX)
                return -ERR_CORRUPT;
        n.value.data = n.tail.data + n.tail.len;
        n.end = n.pos + BUCKET_ENTRY_HEADER + n.tail.len + n.value.len;
        if (n.pos > 0 && slice_cmp(e->tail, n.tail) >= 0)
                return -ERR_CORRUPT;
        *e = n;
        return 1;
}

int bucket_seek(struct slice bucket, struct slice tail, struct bucket_entry *ret)
{
        struct bucket_entry e = { 0 };
        int r;

        while ((r = bucket_next(bucket, &e)) > 0)
                if (slice_cmp(e.tail, tail) >= 0) {
                        *ret = e;
                        return 1;
                }
        return r;
}

int bucket_before(struct slice bucket, size_t before, struct bucket_entry *ret)
{
        struct bucket_entry e = { 0 }, last = { 0 };
        int r;

        while ((r = bucket_next(bucket, &e)) > 0 && e.pos < before)
                last = e;
        if (r < 0)
                return r;
        if (last.end == 0)
                return 0;
        *ret = last;
        return 1;
}

int bucket_get(struct slice bucket, struct slice tail, struct slice *ret_value)
{
        struct bucket_entry e;
        int r = bucket_seek(bucket, tail, &e);

        if (r < 0)
                return r;
        if (r == 0 || !slice_eq(e.tail, tail))
                return -ENOENT;
        *ret_value = e.value;
        return 0;
}

uint8_t *bucket_put_header(uint8_t *out, struct slice tail, size_t value_len)
{
        store(out, 2, tail.len);
        store(out + 2, 4, value_len);
        if (tail.len > 0)
                memcpy(out + BUCKET_ENTRY_HEADER, tail.data, tail.len);
        return out + BUCKET_ENTRY_HEADER + tail.len;
}

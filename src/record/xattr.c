/* SPDX-License-Identifier: MIT */
#include "record/xattr.h"

#include "record/key.h"

void rec_xattr_start(struct kv_txn *t, struct rec_xattr_read *r, uint64_t ino, struct slice name,
                     unsigned flags)
{
        fmt_key_xattr(&r->key, ino, name);
        kv_get_start(t, &r->read, fmt_slice(&r->key), flags);
}

int rec_xattr_wait(struct kv_txn *t, struct rec_xattr_read *r, struct slice *ret)
{
        return kv_get_wait(t, &r->read, ret);
}

int rec_xattr_set(struct kv_txn *t, uint64_t ino, struct slice name, struct slice value)
{
        struct fmt_key k;

        fmt_key_xattr(&k, ino, name);
        return kv_set(t, fmt_slice(&k), value);
}

int rec_xattr_clear(struct kv_txn *t, uint64_t ino, struct slice name)
{
        struct fmt_key k;

        fmt_key_xattr(&k, ino, name);
        return kv_clear(t, fmt_slice(&k));
}

void rec_xattrs_start(struct kv_txn *t, struct rec_xattrs *r, uint64_t ino)
{
        fmt_key_xattr(&r->begin, ino, slice_of(NULL, 0));
        rec_key_prefix_end(&r->begin, &r->end);
        kv_range_start(t, &r->range,
                       &(struct kv_range_opts){ .begin = fmt_slice(&r->begin),
                                                .end = fmt_slice(&r->end),
                                                .snapshot = true,
                                                .mode = KV_ALL });
}

int rec_xattrs_next(struct rec_xattrs *r, struct slice *ret_name)
{
        struct fmt_parsed_key parsed;
        struct slice key, value;
        int q = kv_range_next(&r->range, &key, &value);

        if (q <= 0)
                return q;
        q = fmt_key_parse(key, &parsed);
        if (q < 0)
                return q;
        if (parsed.kind != FMT_XATTR)
                return -ERR_CORRUPT;
        *ret_name = parsed.name;
        return 1;
}

void rec_xattrs_end(struct rec_xattrs *r)
{
        kv_range_end(&r->range);
}

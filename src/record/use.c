/* SPDX-License-Identifier: MIT */
#include "record/use.h"

#include "record/key.h"

int rec_use_set(struct kv_txn *t, uint64_t ino, const uint8_t pid[FMT_PID_SIZE], int64_t count)
{
        uint8_t value[8];
        struct fmt_key k;

        fmt_key_use(&k, ino, pid);
        fmt_counter_encode(count, value);
        return kv_set(t, fmt_slice(&k), slice_of(value, sizeof(value)));
}

int rec_use_clear(struct kv_txn *t, uint64_t ino, const uint8_t pid[FMT_PID_SIZE])
{
        struct fmt_key k;

        fmt_key_use(&k, ino, pid);
        return kv_clear(t, fmt_slice(&k));
}

void rec_uses_start(struct kv_txn *t, struct rec_uses *r, uint64_t ino, bool snapshot)
{
        fmt_key_use(&r->begin, ino, rec_pid_first);
        fmt_key_xattr(&r->end, ino, slice_of(NULL, 0)); /* follows the counters */
        kv_range_start(t, &r->range,
                       &(struct kv_range_opts){ .begin = fmt_slice(&r->begin),
                                                .end = fmt_slice(&r->end),
                                                .snapshot = snapshot,
                                                .mode = KV_ALL });
}

int rec_uses_next(struct rec_uses *r, struct rec_use *ret)
{
        struct fmt_parsed_key parsed;
        struct slice key, value;
        int q = kv_range_next(&r->range, &key, &value);

        if (q <= 0)
                return q;
        q = fmt_key_parse(key, &parsed);
        if (q < 0)
                return q;
        if (parsed.kind != FMT_USE)
                return -ERR_CORRUPT;
        q = fmt_counter_decode(value, &ret->count);
        if (q < 0)
                return q;
        memcpy(ret->pid, parsed.pid, FMT_PID_SIZE);
        return 1;
}

void rec_uses_end(struct rec_uses *r)
{
        kv_range_end(&r->range);
}

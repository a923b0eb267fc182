/* SPDX-License-Identifier: MIT */
#include "record/lock.h"

#include "record/key.h"

int rec_lock_set(struct kv_txn *t, uint64_t ino, const uint8_t pid[FMT_PID_SIZE], struct slice id,
                 const struct fmt_lock *lock)
{
        uint8_t value[FMT_SMALL_MAX];
        struct fmt_key k;

        fmt_key_lock(&k, ino, pid, id);
        return kv_set(t, fmt_slice(&k), slice_of(value, fmt_lock_encode(lock, value)));
}

int rec_lock_clear(struct kv_txn *t, uint64_t ino, const uint8_t pid[FMT_PID_SIZE], struct slice id)
{
        struct fmt_key k;

        fmt_key_lock(&k, ino, pid, id);
        return kv_clear(t, fmt_slice(&k));
}

int rec_lock_clear_mount(struct kv_txn *t, uint64_t ino, const uint8_t pid[FMT_PID_SIZE])
{
        struct fmt_key begin, end;

        fmt_key_lock(&begin, ino, pid, slice_of(NULL, 0));
        rec_key_prefix_end(&begin, &end);
        return kv_clear_range(t, fmt_slice(&begin), fmt_slice(&end));
}

void rec_locks_start(struct kv_txn *t, struct rec_locks *r, uint64_t ino, bool snapshot)
{
        fmt_key_lock(&r->begin, ino, rec_pid_first, slice_of(NULL, 0));
        fmt_key_use(&r->end, ino, rec_pid_first); /* follows the locks */
        kv_range_start(t, &r->range,
                       &(struct kv_range_opts){ .begin = fmt_slice(&r->begin),
                                                .end = fmt_slice(&r->end),
                                                .snapshot = snapshot,
                                                .mode = KV_ALL });
}

int rec_locks_next(struct rec_locks *r, struct rec_lock *ret)
{
        struct fmt_parsed_key parsed;
        struct slice key, value;
        int q = kv_range_next(&r->range, &key, &value);

        if (q <= 0)
                return q;
        q = fmt_key_parse(key, &parsed);
        if (q < 0)
                return q;
        if (parsed.kind != FMT_LOCK)
                return -ERR_CORRUPT;
        q = fmt_lock_decode(value, &ret->lock);
        if (q < 0)
                return q;
        memcpy(ret->pid, parsed.pid, FMT_PID_SIZE);
        ret->id = parsed.name;
        return 1;
}

void rec_locks_end(struct rec_locks *r)
{
        kv_range_end(&r->range);
}

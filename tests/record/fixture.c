/* SPDX-License-Identifier: MIT */
#include "fixture.h"

const uint8_t pid_a[FMT_PID_SIZE] = { 0 };
const uint8_t pid_b[FMT_PID_SIZE] = "bbbbbbbbbbbbbbb";
const uint8_t pid_c[FMT_PID_SIZE] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

int store_setup(void **state)
{
        const struct kv_open_opts opts = { .flags = KV_OPEN_CREATE };
        struct kv_store *s;

        assert_ok(kv_testing_open("mem:", &opts, &s, NULL));
        *state = s;
        return 0;
}

int store_teardown(void **state)
{
        return kv_close(*state);
}

struct kv_txn *begin(struct kv_store *s)
{
        struct kv_txn *t;

        assert_ok(kv_begin(s, KV_WRITE, &t));
        return t;
}

int finish(struct kv_txn *t)
{
        int r = kv_commit(t);

        kv_end(t);
        return r;
}

void set_raw(struct kv_store *s, struct slice key, struct slice value)
{
        struct kv_txn *t = begin(s);

        assert_ok(kv_set(t, key, value));
        assert_ok(finish(t));
}

size_t count_pairs(struct kv_store *s)
{
        _cleanup_txn_ struct kv_txn *t = begin(s);
        _cleanup_range_ struct kv_range range = KV_RANGE_NONE;
        struct slice key, value;
        size_t n = 0;
        int r;

        kv_range_start(t, &range,
                       &(struct kv_range_opts){ .begin = slice_str(""), .end = slice_str("\xff") });
        while ((r = kv_range_next(&range, &key, &value)) > 0)
                n++;
        assert_ok(r);
        return n;
}

/* SPDX-License-Identifier: MIT */
/* Values: encode and decode are inverse, damaged bytes are rejected, unknown fields are ignored. */
#include "format/format.h"
#include "random.h"
#include "seed.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define ROUNDS 3000

static uint8_t text[FMT_SYMLINK_MAX + 2048];

/* ---- protobuf's wire format, written here once more to build what the encoders would not ------------ */

struct wire {
        size_t len;
        uint8_t data[16384];
};

static void put_varint(struct wire *w, uint64_t n)
{
        for (; n >= 0x80; n >>= 7)
                w->data[w->len++] = (uint8_t)(n | 0x80);
        w->data[w->len++] = (uint8_t)n;
}

static void put_number(struct wire *w, unsigned field, uint64_t n)
{
        put_varint(w, field << 3);
        put_varint(w, n);
}

static void put_fixed32(struct wire *w, unsigned field, uint32_t n)
{
        put_varint(w, field << 3 | 5);
        for (int i = 0; i < 4; i++)
                w->data[w->len++] = (uint8_t)(n >> (8 * i));
}

static void put_bytes(struct wire *w, unsigned field, const void *data, size_t len)
{
        put_varint(w, field << 3 | 2);
        put_varint(w, len);
        memcpy(w->data + w->len, data, len);
        w->len += len;
}

static struct slice wire_slice(const struct wire *w)
{
        return slice_of(w->data, w->len);
}

/* ---- comparing --------------------------------------------------------------------------------------- */

static void assert_slice(struct slice a, struct slice b)
{
        assert_true(slice_eq(a, b));
}

static void assert_time(struct timespec a, struct timespec b)
{
        assert_int_equal(a.tv_sec, b.tv_sec);
        assert_int_equal(a.tv_nsec, b.tv_nsec);
}

/* A value in a separate allocation of exact size, so that a sanitizer sees a read beyond it. */
static struct slice copy_of(const uint8_t *data, size_t len)
{
        uint8_t *p = malloc(len ? len : 1);

        assert_non_null(p);
        memcpy(p, data, len);
        return slice_of(p, len);
}

static void free_copy(struct slice s)
{
        free((void *)s.data);
}

static void test_inode(void **state)
{
        uint8_t out[FMT_INODE_MAX];
        struct fmt_scratch scratch;
        struct rng r;

        test_seed(&r, "test_values");
        for (int n = 0; n < ROUNDS; n++) {
                struct fmt_inode i = random_inode(&r, text), j;
                struct slice v = copy_of(out, fmt_inode_encode(&i, out));

                assert_int_equal(fmt_inode_decode(v, &scratch, &j), 0);
                assert_true(i.mode == j.mode && i.uid == j.uid && i.gid == j.gid && i.nlink == j.nlink);
                assert_true(i.size == j.size && i.allocated == j.allocated && i.rdev == j.rdev);
                assert_true(i.parent == j.parent && i.trim_from == j.trim_from);
                assert_time(i.atime, j.atime);
                assert_time(i.mtime, j.mtime);
                assert_time(i.ctime, j.ctime);
                assert_time(i.btime, j.btime);
                assert_slice(i.target, j.target);
                assert_slice(i.writer, j.writer);
                assert_true(i.writing == j.writing);
                free_copy(v);
                /* The decoded record does not point into the value. */
                assert_slice(i.target, j.target);
        }
}

static void test_inode_max(void **state)
{
        struct timespec t = { .tv_sec = INT64_MIN, .tv_nsec = 999999999 };
        uint8_t out[FMT_INODE_MAX + 1];
        struct fmt_scratch scratch;
        struct fmt_inode i = { .mode = S_IFLNK | 07777,
                               .uid = UINT32_MAX,
                               .gid = UINT32_MAX,
                               .nlink = UINT32_MAX,
                               .size = INT64_MAX,
                               .allocated = UINT64_MAX,
                               .atime = t,
                               .mtime = t,
                               .ctime = t,
                               .btime = t },
                         j;
        size_t len;

        memset(text, 'x', FMT_SYMLINK_MAX);
        i.target = slice_of(text, FMT_SYMLINK_MAX);
        len = fmt_inode_encode(&i, out);
        assert_true(len <= FMT_INODE_MAX);
        assert_int_equal(fmt_inode_decode(slice_of(out, len), &scratch, &j), 0);
        assert_slice(i.target, j.target);
        assert_time(j.btime, t);
}

/* A record of mode MODE with one more field. */
static int decode_inode_with(uint32_t mode, unsigned field, uint64_t n)
{
        struct fmt_scratch scratch;
        struct wire w = { .len = 0 };
        struct fmt_inode i;

        put_number(&w, 1, mode);
        if (S_ISDIR(mode))
                put_number(&w, 15, 1);
        if (S_ISLNK(mode))
                put_bytes(&w, 18, "t", 1);
        if (field >= 7 && field <= 14)
                put_fixed32(&w, field, (uint32_t)n);
        else if (field != 0)
                put_number(&w, field, n);
        return fmt_inode_decode(wire_slice(&w), &scratch, &i);
}

static int decode_orphan_directory(uint32_t nlink)
{
        struct fmt_scratch scratch;
        struct wire w = { .len = 0 };
        struct fmt_inode i;

        put_number(&w, 1, S_IFDIR);
        put_number(&w, 4, nlink);
        return fmt_inode_decode(wire_slice(&w), &scratch, &i);
}

static int decode_target(uint32_t mode, const void *target, size_t len)
{
        struct fmt_scratch scratch;
        struct wire w = { .len = 0 };
        struct fmt_inode i;

        put_number(&w, 1, mode);
        put_bytes(&w, 18, target, len);
        return fmt_inode_decode(wire_slice(&w), &scratch, &i);
}

static void test_inode_rules(void **state)
{
        assert_int_equal(decode_inode_with(S_IFREG | 0644, 0, 0), 0);
        assert_int_equal(decode_inode_with(S_IFDIR | 0755, 0, 0), 0);
        assert_int_equal(decode_inode_with(S_IFLNK | 0777, 0, 0), 0);
        /* Type. */
        assert_int_equal(decode_inode_with(0644, 0, 0), -ERR_CORRUPT);
        assert_int_equal(decode_inode_with(0150000, 0, 0), -ERR_CORRUPT);
        assert_int_equal(decode_inode_with(S_IFREG | 0200000, 0, 0), -ERR_CORRUPT);
        /* Nanoseconds. */
        for (unsigned field = 8; field <= 14; field += 2) {
                assert_int_equal(decode_inode_with(S_IFREG, field, 999999999), 0);
                assert_int_equal(decode_inode_with(S_IFREG, field, 1000000000), -ERR_CORRUPT);
        }
        /* Sizes. */
        assert_int_equal(decode_inode_with(S_IFREG, 5, INT64_MAX), 0);
        assert_int_equal(decode_inode_with(S_IFREG, 5, UINT64_C(1) << 63), -ERR_CORRUPT);
        assert_int_equal(decode_inode_with(S_IFDIR, 5, 1), -ERR_CORRUPT);
        /* What only some types have. */
        assert_int_equal(decode_inode_with(S_IFCHR, 16, 0x801), 0);
        assert_int_equal(decode_inode_with(S_IFREG, 16, 0x801), -ERR_CORRUPT);
        assert_int_equal(decode_inode_with(S_IFREG, 15, 1), -ERR_CORRUPT);
        assert_int_equal(decode_inode_with(S_IFREG, 17, 4096), 0);
        assert_int_equal(decode_inode_with(S_IFDIR, 17, 4096), -ERR_CORRUPT);
        /* A directory without a parent must have been removed. */
        assert_int_equal(decode_orphan_directory(0), 0);
        assert_int_equal(decode_orphan_directory(1), -ERR_CORRUPT);
        /* Targets. */
        memset(text, 'x', FMT_SYMLINK_MAX + 1);
        assert_int_equal(decode_target(S_IFLNK, text, 1), 0);
        assert_int_equal(decode_target(S_IFLNK, text, FMT_SYMLINK_MAX), 0);
        assert_int_equal(decode_target(S_IFLNK, text, FMT_SYMLINK_MAX + 1), -ERR_CORRUPT);
        assert_int_equal(decode_target(S_IFLNK, text, 0), -ERR_CORRUPT);
        assert_int_equal(decode_target(S_IFLNK, "a\0b", 3), -ERR_CORRUPT);
        assert_int_equal(decode_target(S_IFREG, text, 1), -ERR_CORRUPT);
}

/* Fields of a later version are ignored: some always, very many are damage, and none makes a decoder write
 * beyond the scratch. */
static void test_unknown_fields(void **state)
{
        struct fmt_scratch scratch;
        struct fmt_dirent d;
        struct fmt_inode i;
        struct wire w = { .len = 0 };

        put_number(&w, 1, S_IFLNK);
        put_bytes(&w, 18, text, FMT_SYMLINK_MAX);
        for (unsigned n = 0; n < 16; n++)
                put_number(&w, 100 + n, n);
        assert_int_equal(fmt_inode_decode(wire_slice(&w), &scratch, &i), 0);
        assert_int_equal(i.target.len, FMT_SYMLINK_MAX);

        for (unsigned n = 0; w.len + 8 < FMT_INODE_MAX; n++)
                put_number(&w, 100 + n, n);
        assert_int_equal(fmt_inode_decode(wire_slice(&w), &scratch, &i), -ERR_CORRUPT);

        w.len = 0;
        put_number(&w, 1, 5);
        put_number(&w, 2, S_IFREG);
        put_bytes(&w, 3, text, 1000);
        assert_int_equal(fmt_dirent_decode(wire_slice(&w), &d), 0);
        assert_int_equal(d.ino, 5);
        put_bytes(&w, 3, text, 1000); /* beyond what any value may be long */
        assert_int_equal(fmt_dirent_decode(wire_slice(&w), &d), -ERR_CORRUPT);
}

/* Every prefix of a value decodes or is damage, and a wrong wire type is damage. */
static void test_cut_short(void **state)
{
        struct fmt_scratch scratch;
        uint8_t out[FMT_INODE_MAX];
        struct wire w = { .len = 0 };
        struct fmt_inode i;
        struct rng r;
        size_t len;

        test_seed(&r, "test_values");
        i = random_inode(&r, text);
        len = fmt_inode_encode(&i, out);
        for (size_t n = 0; n < len; n++) {
                struct slice v = copy_of(out, n);
                struct fmt_inode j;
                int q = fmt_inode_decode(v, &scratch, &j);

                assert_true(q == 0 || q == -ERR_CORRUPT);
                free_copy(v);
        }
        put_bytes(&w, 1, "a", 1);
        assert_int_equal(fmt_inode_decode(wire_slice(&w), &scratch, &i), -ERR_CORRUPT);
        assert_int_equal(fmt_inode_decode(slice_of(NULL, 0), &scratch, &i), -ERR_CORRUPT);
}

static void test_dirent(void **state)
{
        uint8_t out[FMT_DIRENT_MAX];
        struct fmt_dirent d, e;
        struct wire w = { .len = 0 };
        struct rng r;

        test_seed(&r, "test_values");
        for (int n = 0; n < ROUNDS; n++) {
                d = random_dirent(&r);
                assert_int_equal(fmt_dirent_decode(slice_of(out, fmt_dirent_encode(&d, out)), &e), 0);
                assert_true(d.ino == e.ino && d.type == e.type);
        }
        put_number(&w, 2, S_IFREG);
        assert_int_equal(fmt_dirent_decode(wire_slice(&w), &e), -ERR_CORRUPT); /* inode 0 */
        put_number(&w, 1, 1);
        assert_int_equal(fmt_dirent_decode(wire_slice(&w), &e), 0);
        put_number(&w, 2, S_IFREG | 0644);
        assert_int_equal(fmt_dirent_decode(wire_slice(&w), &e), -ERR_CORRUPT);
}

static void test_lock(void **state)
{
        uint8_t out[FMT_SMALL_MAX];
        struct wire w = { .len = 0 };
        struct fmt_lock k, l;
        struct rng r;

        test_seed(&r, "test_values");
        for (int n = 0; n < ROUNDS; n++) {
                k = random_lock(&r);
                assert_int_equal(fmt_lock_decode(slice_of(out, fmt_lock_encode(&k, out)), &l), 0);
                assert_true(k.start == l.start && k.end == l.end && k.type == l.type && k.owner == l.owner);
                assert_true(k.unix_pid == l.unix_pid && k.sequence == l.sequence && k.flock == l.flock);
        }
        put_number(&w, 1, 5);
        put_number(&w, 2, 4);
        assert_int_equal(fmt_lock_decode(wire_slice(&w), &l), -ERR_CORRUPT);
}

static void test_process(void **state)
{
        uint8_t out[FMT_SMALL_MAX];
        struct fmt_scratch scratch;
        struct fmt_process p, q;
        struct rng r;
        size_t len;

        test_seed(&r, "test_values");
        for (int n = 0; n < ROUNDS; n++) {
                p = random_process(&r, text);
                len = fmt_process_encode(&p, out);
                assert_int_equal(fmt_process_decode(slice_of(out, len), &scratch, &q), 0);
                assert_slice(p.host, q.host);
                assert_slice(p.boot_id, q.boot_id);
                assert_slice(p.mountpoint, q.mountpoint);
                assert_slice(p.version, q.version);
                assert_true(p.unix_pid == q.unix_pid && p.start_time == q.start_time);
                assert_time(p.registered, q.registered);
                assert_true(p.exclusive == q.exclusive);
                assert_true(p.ino_first == q.ino_first && p.ino_end == q.ino_end);
                assert_true(p.pid_namespace == q.pid_namespace);
        }
        /* Texts are cut, and the longest value fits. */
        p = (struct fmt_process){
                .host = slice_of(text, 2000),
                .boot_id = slice_of(text, 2000),
                .version = slice_of(text, 2000),
                .mountpoint = slice_of(text, 2000),
                .unix_pid = UINT64_MAX,
                .start_time = UINT64_MAX,
                .registered = { .tv_sec = -1, .tv_nsec = 1 },
                .exclusive = true,
                .ino_first = UINT64_MAX,
                .ino_end = UINT64_MAX,
                .pid_namespace = UINT64_MAX,
        };
        len = fmt_process_encode(&p, out);
        assert_int_equal(fmt_process_decode(slice_of(out, len), &scratch, &q), 0);
        assert_int_equal(q.mountpoint.len, 1000);
        assert_int_equal(q.host.len, 255);
}

static void test_small_messages(void **state)
{
        uint8_t out[FMT_SMALL_MAX];
        struct rng r;

        test_seed(&r, "test_values");
        for (int n = 0; n < ROUNDS; n++) {
                struct fmt_garbage g = { .epoch = random_number(&r) }, h;
                struct fmt_status s = { .heartbeat = random_number(&r),
                                        .epoch_acknowledged = random_number(&r) },
                                  t;

                assert_int_equal(fmt_garbage_decode(slice_of(out, fmt_garbage_encode(&g, out)), &h), 0);
                assert_true(g.epoch == h.epoch);
                assert_int_equal(fmt_status_decode(slice_of(out, fmt_status_encode(&s, out)), &t), 0);
                assert_true(s.heartbeat == t.heartbeat && s.epoch_acknowledged == t.epoch_acknowledged);
        }
}

static void test_meta(void **state)
{
        uint8_t out[FMT_SMALL_MAX];
        struct fmt_scratch scratch;
        struct rng r;

        test_seed(&r, "test_values");
        for (int n = 0; n < ROUNDS; n++) {
                struct fmt_meta m = random_meta(&r, text), k;
                size_t len = fmt_meta_encode(&m, out);

                assert_int_equal(fmt_meta_decode(slice_of(out, len), &scratch, &k), 0);
                assert_true(m.version == k.version && m.block_size == k.block_size);
                assert_true(m.features == k.features);
                assert_memory_equal(m.uuid, k.uuid, sizeof(m.uuid));
                assert_time(m.created, k.created);
                assert_slice(m.label, k.label);
        }
}

static int decode_meta(uint32_t version, uint32_t block_size, size_t uuid_len, size_t label_len,
                       struct fmt_meta *ret)
{
        struct fmt_scratch scratch;
        struct wire w = { .len = 0 };

        put_number(&w, 1, version);
        put_number(&w, 2, block_size);
        put_bytes(&w, 3, text, uuid_len);
        put_bytes(&w, 7, text, label_len);
        return fmt_meta_decode(wire_slice(&w), &scratch, ret);
}

static void test_meta_rules(void **state)
{
        struct fmt_scratch scratch;
        struct wire w = { .len = 0 };
        struct fmt_meta m;

        assert_int_equal(decode_meta(1, 4080, 16, 255, &m), 0);
        assert_int_equal(decode_meta(1, 32752, 16, 0, &m), 0);
        assert_int_equal(decode_meta(1, 65536, 16, 0, &m), 0);
        assert_int_equal(decode_meta(0, 4096, 16, 0, &m), -ERR_CORRUPT);
        assert_int_equal(decode_meta(1, 2048, 16, 0, &m), -ERR_CORRUPT);
        assert_int_equal(decode_meta(1, 131072, 16, 0, &m), -ERR_CORRUPT);
        assert_int_equal(decode_meta(1, 4064, 16, 0, &m), -ERR_CORRUPT);
        assert_int_equal(decode_meta(1, 4097, 16, 0, &m), -ERR_CORRUPT);
        assert_int_equal(decode_meta(1, 0, 16, 0, &m), -ERR_CORRUPT);
        assert_int_equal(decode_meta(1, 4096, 15, 0, &m), -ERR_CORRUPT);
        assert_int_equal(decode_meta(1, 4096, 0, 0, &m), -ERR_CORRUPT);
        assert_int_equal(decode_meta(1, 4096, 16, 256, &m), -ERR_CORRUPT);
        /* A newer version is reported as such, with any other content. */
        assert_int_equal(decode_meta(2, 77, 3, 1000, &m), -ERR_NEWER);
        assert_int_equal(m.version, 2);
        /* As does an unknown feature. */
        put_number(&w, 1, 1);
        put_varint(&w, 4 << 3 | 1);
        memcpy(w.data + w.len, "\0\0\0\0\0\0\0\x80", 8);
        w.len += 8;
        assert_int_equal(fmt_meta_decode(wire_slice(&w), &scratch, &m), -ERR_NEWER);
        assert_true(m.version == 1 && m.features == UINT64_C(1) << 63);
}

static void test_counter(void **state)
{
        static const int64_t numbers[] = { 0, 1, -1, INT64_MAX, INT64_MIN, 0x0102030405060708 };
        uint8_t out[9] = { 0 };
        int64_t n;

        for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
                fmt_counter_encode(numbers[i], out);
                assert_int_equal(fmt_counter_decode(slice_of(out, 8), &n), 0);
                assert_true(n == numbers[i]);
        }
        assert_memory_equal(out, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
        assert_int_equal(fmt_counter_decode(slice_of(out, 7), &n), -ERR_CORRUPT);
        assert_int_equal(fmt_counter_decode(slice_of(out, 9), &n), -ERR_CORRUPT);
        assert_int_equal(fmt_counter_decode(slice_of(NULL, 0), &n), -ERR_CORRUPT);
}

/* Byte-max keeps the later time, so times must sort as bytes do. */
static void test_time(void **state)
{
        uint8_t a[FMT_TIME_SIZE], b[FMT_TIME_SIZE];
        struct timespec t;
        struct rng r;

        test_seed(&r, "test_values");
        for (int n = 0; n < ROUNDS; n++) {
                struct timespec x = random_time(&r), y = rng_below(&r, 2) ? random_time(&r) : x;
                int order, bytes;

                if (rng_below(&r, 2))
                        y.tv_nsec = (long)rng_below(&r, 1000000000);
                order = x.tv_sec != y.tv_sec ? (x.tv_sec > y.tv_sec) - (x.tv_sec < y.tv_sec)
                                             : (x.tv_nsec > y.tv_nsec) - (x.tv_nsec < y.tv_nsec);
                fmt_time_encode(x, a);
                fmt_time_encode(y, b);
                bytes = memcmp(a, b, sizeof(a));
                assert_int_equal((bytes > 0) - (bytes < 0), order);
                assert_int_equal(fmt_time_decode(slice_of(a, sizeof(a)), &t), 0);
                assert_time(t, x);
        }
        assert_int_equal(fmt_time_decode(slice_of(a, 11), &t), -ERR_CORRUPT);
        memcpy(a + 8, "\x3b\x9a\xca\x00", 4); /* 1e9 */
        assert_int_equal(fmt_time_decode(slice_of(a, sizeof(a)), &t), -ERR_CORRUPT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_inode),          cmocka_unit_test(test_inode_max),
                cmocka_unit_test(test_inode_rules),    cmocka_unit_test(test_unknown_fields),
                cmocka_unit_test(test_cut_short),      cmocka_unit_test(test_dirent),
                cmocka_unit_test(test_lock),           cmocka_unit_test(test_process),
                cmocka_unit_test(test_small_messages), cmocka_unit_test(test_meta),
                cmocka_unit_test(test_meta_rules),     cmocka_unit_test(test_counter),
                cmocka_unit_test(test_time),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

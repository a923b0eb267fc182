/* SPDX-License-Identifier: MIT */
/* Keys: their bytes, their order, and that parsing is the inverse of building and takes nothing else. */
#include "format/format.h"
#include "random.h"
#include "seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static const uint8_t pid_a[FMT_PID_SIZE] = "ABCDEFGHIJKLMNO";

static void assert_bytes(const struct fmt_key *k, const char *bytes, size_t len)
{
        assert_int_equal(k->len, len);
        assert_memory_equal(k->data, bytes, len);
}

#define assert_key(k, literal) assert_bytes(k, literal, sizeof(literal) - 1)
#define INO                    "\x01\x02\x03\x04\x05\x06\x07\x08"
#define PID                    "ABCDEFGHIJKLMNO\0"

/* The key scheme, line by line. */
static void test_literal_bytes(void **state)
{
        uint64_t ino = 0x0102030405060708;
        struct fmt_key k;

        fmt_key_meta(&k);
        assert_key(&k, "M");
        fmt_key_meta_counter(&k, FMT_COUNTER_NEXT_INO);
        assert_key(&k, "Mi");
        fmt_key_inode(&k, ino);
        assert_key(&k, "i" INO);
        fmt_key_lock(&k, ino, pid_a, slice_str("rest"));
        assert_key(&k, "i" INO "\0" PID "rest");
        fmt_key_use(&k, ino, pid_a);
        assert_key(&k, "i" INO "\x01" PID);
        fmt_key_xattr(&k, ino, slice_str("user.x"));
        assert_key(&k, "i" INO "\x02"
                       "user.x");
        fmt_key_attr(&k, ino, FMT_ATTR_SIZE);
        assert_key(&k, "i" INO "\xfe"
                       "s");
        fmt_key_dirent(&k, ino, slice_str("name"));
        assert_key(&k, "d" INO "name");
        fmt_key_block(&k, ino, 0x10000);
        assert_key(&k, "f" INO "\0\0\0\0\0\x01\0\0");
        fmt_key_garbage(&k, ino);
        assert_key(&k, "g" INO);
        fmt_key_process(&k, pid_a);
        assert_key(&k, "p" PID);
        fmt_key_status(&k, pid_a);
        assert_key(&k, "pl" PID);
}

static void test_range_ends(void **state)
{
        struct fmt_key k;

        fmt_key_inode_end(&k, 0x00ff);
        assert_key(&k, "i\0\0\0\0\0\0\x01\0");
        fmt_key_inode_end(&k, UINT64_MAX);
        assert_key(&k, "j");
        fmt_key_dir_end(&k, UINT64_MAX);
        assert_key(&k, "e");
        fmt_key_block_end(&k, UINT64_MAX);
        assert_key(&k, "g");
        fmt_key_garbage_end(&k);
        assert_key(&k, "h");
        fmt_key_dirent_after(&k, 1, slice_str("a"));
        assert_key(&k, "d\0\0\0\0\0\0\0\x01"
                       "a\0");
}

static void parse(const struct fmt_key *k, struct fmt_parsed_key *ret)
{
        assert_int_equal(fmt_key_parse(fmt_slice(k), ret), 0);
}

static void assert_slice(struct slice a, struct slice b)
{
        assert_true(slice_eq(a, b));
}

static void test_parse_inode_keys(void **state)
{
        struct rng r;

        test_seed(&r, "test_keys");
        for (int n = 0; n < 2000; n++) {
                uint64_t ino = random_number(&r) | 1;
                uint8_t pid[FMT_PID_SIZE], buf[FMT_NAME_MAX];
                struct slice name = random_text(&r, buf, 1, FMT_NAME_MAX);
                struct fmt_parsed_key p;
                struct fmt_key k;

                rng_fill(&r, pid, sizeof(pid));
                if (pid[0] == 'l')
                        pid[0] = 'm';
                fmt_key_inode(&k, ino);
                parse(&k, &p);
                assert_true(p.kind == FMT_INODE && p.ino == ino);
                fmt_key_lock(&k, ino, pid, name);
                parse(&k, &p);
                assert_true(p.kind == FMT_LOCK && p.ino == ino);
                assert_memory_equal(p.pid, pid, sizeof(pid));
                assert_slice(p.name, name);
                fmt_key_use(&k, ino, pid);
                parse(&k, &p);
                assert_true(p.kind == FMT_USE && p.ino == ino);
                assert_memory_equal(p.pid, pid, sizeof(pid));
                fmt_key_xattr(&k, ino, name);
                parse(&k, &p);
                assert_true(p.kind == FMT_XATTR && p.ino == ino);
                assert_slice(p.name, name);
                fmt_key_dirent(&k, ino, name);
                parse(&k, &p);
                assert_true(p.kind == FMT_DIRENT && p.ino == ino);
                assert_slice(p.name, name);
        }
}

static void test_parse_other_keys(void **state)
{
        static const enum fmt_attr attrs[] = { FMT_ATTR_CHANGE, FMT_ATTR_TIMES, FMT_ATTR_NLINK,
                                               FMT_ATTR_SIZE,   FMT_ATTR_OWNER, FMT_ATTR_EXIST,
                                               FMT_ATTR_BLOCKS, FMT_ATTR_CUT };
        struct fmt_parsed_key p;
        struct fmt_key k;

        for (size_t i = 0; i < sizeof(attrs) / sizeof(*attrs); i++) {
                fmt_key_attr(&k, 7, attrs[i]);
                parse(&k, &p);
                assert_true(p.kind == FMT_ATTR && p.ino == 7 && p.which == attrs[i]);
        }
        fmt_key_meta(&k);
        parse(&k, &p);
        assert_int_equal(p.kind, FMT_META);
        for (const char *c = "ine"; *c; c++) {
                fmt_key_meta_counter(&k, *c);
                parse(&k, &p);
                assert_true(p.kind == FMT_META_COUNTER && p.which == *c);
        }
        fmt_key_garbage(&k, UINT64_MAX);
        parse(&k, &p);
        assert_true(p.kind == FMT_GARBAGE && p.ino == UINT64_MAX);
        fmt_key_process(&k, pid_a);
        parse(&k, &p);
        assert_int_equal(p.kind, FMT_PROCESS);
        assert_memory_equal(p.pid, pid_a, FMT_PID_SIZE);
        for (unsigned half = 0; half < 2; half++) {
                struct fmt_key begin, end;

                fmt_key_processes(half, &begin, &end);
                for (unsigned first = 0; first < 256; first++) {
                        uint8_t pid[FMT_PID_SIZE] = { first == 'l' ? 0 : (uint8_t)first };
                        bool below = first<'l', above = first> 'l', inside;

                        if (first == 'l')
                                fmt_key_status(&k, pid);
                        else
                                fmt_key_process(&k, pid);
                        inside = slice_cmp(fmt_slice(&begin), fmt_slice(&k)) <= 0 &&
                                 slice_cmp(fmt_slice(&k), fmt_slice(&end)) < 0;
                        assert_int_equal(inside, half == 0 ? below : above);
                }
        }
        for (unsigned last = 0; last < 2; last++) {
                uint8_t pid[FMT_PID_SIZE];
                struct fmt_key end, next;

                memset(pid, 0xff, sizeof(pid));
                pid[FMT_PID_SIZE - 1] = last ? 0xff : 0x12;
                fmt_key_status(&k, pid);
                k.data[k.len++] = 0xff; /* a marker */
                fmt_key_status_end(&end, pid);
                assert_true(slice_cmp(fmt_slice(&k), fmt_slice(&end)) < 0);
                if (!last) {
                        pid[FMT_PID_SIZE - 1]++;
                        fmt_key_status(&next, pid);
                        assert_true(slice_cmp(fmt_slice(&end), fmt_slice(&next)) <= 0);
                }
        }
        fmt_key_status(&k, pid_a);
        parse(&k, &p);
        assert_true(p.kind == FMT_STATUS && p.name.len == 0);
        assert_memory_equal(p.pid, pid_a, FMT_PID_SIZE);
        k.data[k.len++] = 3; /* a marker */
        parse(&k, &p);
        assert_true(p.kind == FMT_STATUS && p.name.len == 1 && p.name.data[0] == 3);
}

/* Parses 'f' 1 0x10000 and TAIL. */
static int parse_block_tail(const char *tail, size_t len, struct fmt_key *k, struct fmt_parsed_key *ret)
{
        fmt_key_block(k, 1, 0x10000);
        memcpy(k->data + k->len, tail, len);
        k->len += (uint16_t)len;
        return fmt_key_parse(fmt_slice(k), ret);
}

static void test_block_forms(void **state)
{
        char tail[3 + 3 + 513] = { 'z', 1, FMT_LZ4, 'p', 2, 0 };
        struct fmt_parsed_key p;
        struct fmt_key k;

        assert_int_equal(parse_block_tail("", 0, &k, &p), 0);
        assert_true(p.kind == FMT_BLOCK && p.ino == 1 && p.offset == 0x10000);
        assert_true(!p.compressed && p.parity.len == 0);

        assert_int_equal(parse_block_tail(tail, 3, &k, &p), 0);
        assert_true(p.compressed && p.algorithm == FMT_LZ4 && p.parity.len == 0);

        assert_int_equal(parse_block_tail(tail + 3, 3 + 512, &k, &p), 0);
        assert_true(!p.compressed && p.parity.len == 512);

        assert_int_equal(parse_block_tail(tail, 6 + 512, &k, &p), 0);
        assert_true(p.compressed && p.parity.len == 512);
        assert_ptr_equal(p.parity.data, k.data + 17 + 6);

        /* Parity one byte short, one too long, of no bytes, of too many. */
        assert_int_equal(parse_block_tail(tail + 3, 3 + 511, &k, &p), -ERR_CORRUPT);
        assert_int_equal(parse_block_tail(tail + 3, 3 + 513, &k, &p), -ERR_CORRUPT);
        assert_int_equal(parse_block_tail("p\0\0", 3, &k, &p), -ERR_CORRUPT);
        tail[5] = 1;
        assert_int_equal(parse_block_tail(tail + 3, 3 + 513, &k, &p), -ERR_CORRUPT);
        /* Cut short, or in another order. */
        assert_int_equal(parse_block_tail("z", 1, &k, &p), -ERR_CORRUPT);
        assert_int_equal(parse_block_tail("z\x01", 2, &k, &p), -ERR_CORRUPT);
        assert_int_equal(parse_block_tail("z\x02\0\0", 4, &k, &p), -ERR_CORRUPT);
        assert_int_equal(parse_block_tail("p\0\x01"
                                          "Xz\x01\0",
                                          7, &k, &p),
                         -ERR_CORRUPT);
        assert_int_equal(parse_block_tail("q", 1, &k, &p), -ERR_CORRUPT);
        /* An algorithm of a later version is a key none the less. */
        assert_int_equal(parse_block_tail("z\x01\x63", 3, &k, &p), 0);
        assert_int_equal(p.algorithm, 0x63);
}

static void test_rejected(void **state)
{
#define KEY(literal)                                            \
        {                                                       \
                (const uint8_t *)(literal), sizeof(literal) - 1 \
        }
        static const struct slice bad[] = {
                KEY(""),
                KEY("x"),
                KEY("Mx"),
                KEY("Mii"),
                KEY("i"),
                KEY("i\0\0\0\0\0\0\x01"),
                KEY("i\0\0\0\0\0\0\0\0"), /* inode 0 */
                KEY("i" INO "\x03"),
                KEY("i" INO "\x02"),
                KEY("i" INO "\x02"
                    "a\0b"),
                KEY("i" INO "\xfe"),
                KEY("i" INO "\xfe"
                    "q"),
                KEY("i" INO "\xfe"
                    "ss"),
                KEY("i" INO "\x01"
                    "short"),
                KEY("i" INO "\x01" PID "x"),
                KEY("i" INO "\0"
                    "short"),
                KEY("i" INO "\0"
                    "l" PID),
                KEY("d" INO),
                KEY("d" INO "."),
                KEY("d" INO ".."),
                KEY("d" INO "a/b"),
                KEY("d" INO "a\0"),
                KEY("d\0\0\0\0\0\0\0\0"
                    "a"),
                KEY("f" INO),
                KEY("f" INO "\0\0\0\0\0\x01\0"),
                KEY("g" INO "x"),
                KEY("p"),
                KEY("p" PID "x"),
                KEY("pABC"),
                KEY("pl"),
                KEY("pl"
                    "short"),
                KEY("plABCDEFGHIJKLMNO"), /* neither a pid (it begins with l) nor a status */
                KEY("pll" PID),
        };
        uint8_t long_name[1 + 8 + FMT_NAME_MAX + 1] = "d" INO;
        struct fmt_parsed_key p;

        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
                assert_int_equal(fmt_key_parse(bad[i], &p), -ERR_CORRUPT);
        memset(long_name + 9, 'n', FMT_NAME_MAX + 1);
        assert_int_equal(fmt_key_parse(slice_of(long_name, 9 + FMT_NAME_MAX), &p), 0);
        assert_int_equal(fmt_key_parse(slice_of(long_name, 9 + FMT_NAME_MAX + 1), &p), -ERR_CORRUPT);
        /* Names that only look like "." and "..". */
        assert_int_equal(fmt_key_parse(slice_of("d" INO "...", 12), &p), 0);
        assert_int_equal(fmt_key_parse(slice_of("d" INO ".a", 11), &p), 0);
}

static int sign(int n)
{
        return (n > 0) - (n < 0);
}

static int key_cmp(const struct fmt_key *a, const struct fmt_key *b)
{
        return sign(slice_cmp(fmt_slice(a), fmt_slice(b)));
}

/* Keys sort as inode numbers, offsets and names do, and the range ends enclose exactly what they should. */
static void test_order(void **state)
{
        struct rng r;

        test_seed(&r, "test_keys");
        for (int n = 0; n < 5000; n++) {
                uint64_t a = random_number(&r), b = rng_below(&r, 2) ? a : random_number(&r);
                uint64_t x = random_number(&r), y = rng_below(&r, 2) ? x + 1 : random_number(&r);
                int ino_order = (a > b) - (a < b), offset_order = (x > y) - (x < y);
                uint8_t buf_a[FMT_NAME_MAX], buf_b[FMT_NAME_MAX];
                struct slice s = random_text(&r, buf_a, 1, 3), t = random_text(&r, buf_b, 1, FMT_NAME_MAX);
                struct fmt_key k, l, end;

                if (rng_below(&r, 2) && t.len >= s.len)
                        memcpy(buf_b, buf_a, s.len); /* often one is the beginning of the other */
                fmt_key_block(&k, a, x);
                fmt_key_block(&l, b, y);
                assert_int_equal(key_cmp(&k, &l), ino_order ? ino_order : offset_order);
                fmt_key_block_end(&end, a);
                assert_true(key_cmp(&k, &end) < 0);
                assert_int_equal(key_cmp(&l, &end) < 0, b <= a);

                fmt_key_dirent(&k, a, s);
                fmt_key_dirent(&l, b, t);
                assert_int_equal(key_cmp(&k, &l), ino_order ? ino_order : sign(slice_cmp(s, t)));
                fmt_key_dir_end(&end, a);
                assert_int_equal(key_cmp(&l, &end) < 0, b <= a);
                fmt_key_dirent_after(&end, a, s);
                assert_true(key_cmp(&k, &end) < 0);
                assert_int_equal(key_cmp(&l, &end) >= 0, key_cmp(&l, &k) > 0);

                fmt_key_inode(&k, a);
                fmt_key_attr(&l, a, FMT_ATTR_EXIST);
                fmt_key_inode_end(&end, a);
                assert_true(key_cmp(&k, &l) < 0 && key_cmp(&l, &end) < 0);
                fmt_key_garbage(&k, a);
                fmt_key_garbage_end(&end);
                assert_true(key_cmp(&k, &end) < 0);
        }
}

/* All forms of a block lie between its plain key and the plain key of the next offset. */
static void test_block_form_order(void **state)
{
        struct fmt_parsed_key p;
        struct fmt_key plain, form, next;

        fmt_key_block(&plain, 1, 0x10000);
        fmt_key_block(&next, 1, 0x10001);
        assert_int_equal(parse_block_tail("z\x01\0", 3, &form, &p), 0);
        assert_true(key_cmp(&plain, &form) < 0 && key_cmp(&form, &next) < 0);
        assert_int_equal(parse_block_tail("p\0\x01\xff", 4, &form, &p), 0);
        assert_true(key_cmp(&plain, &form) < 0 && key_cmp(&form, &next) < 0);
}

static void test_longest(void **state)
{
        uint8_t rest[FMT_KEY_MAX - 26];
        struct fmt_parsed_key p;
        struct fmt_key k;

        memset(rest, 0xff, sizeof(rest));
        fmt_key_lock(&k, UINT64_MAX, pid_a, slice_of(rest, sizeof(rest)));
        assert_int_equal(k.len, FMT_KEY_MAX);
        parse(&k, &p);
        assert_slice(p.name, slice_of(rest, sizeof(rest)));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_literal_bytes),
                cmocka_unit_test(test_range_ends),
                cmocka_unit_test(test_parse_inode_keys),
                cmocka_unit_test(test_parse_other_keys),
                cmocka_unit_test(test_block_forms),
                cmocka_unit_test(test_rejected),
                cmocka_unit_test(test_order),
                cmocka_unit_test(test_block_form_order),
                cmocka_unit_test(test_longest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

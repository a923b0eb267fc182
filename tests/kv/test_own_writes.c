/* SPDX-License-Identifier: MIT */
/* A transaction sees its own writes, in all combinations, and the store holds the same after the commit. Also
 * the results of atomic operations. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

static void stored(struct tx *x)
{
        tx_set(x, "b", "B");
        tx_set(x, "d", "D");
        tx_set(x, "f", "F");
        tx_set(x, "h", "H");
}

static void mixed(struct tx *x)
{
        tx_set(x, "a", "1");
        tx_expect(x, "a", "1");
        tx_expect_range(x, "", KEYS_END, "a=1 b=B d=D f=F h=H");
        tx_set(x, "d", "2");
        tx_expect(x, "d", "2");
        tx_clear(x, "f");
        tx_expect(x, "f", NULL);
        tx_expect_range(x, "", KEYS_END, "a=1 b=B d=2 h=H");
        tx_expect_reverse(x, "", KEYS_END, "h=H d=2 b=B a=1");
        tx_clear(x, "nothing");
        tx_set(x, "e", "3");
        tx_clear_range(x, "c", "g"); /* covers stored, set and cleared keys */
        tx_expect(x, "d", NULL);
        tx_expect(x, "e", NULL);
        tx_expect_range(x, "", KEYS_END, "a=1 b=B h=H");
        tx_set(x, "e", "4"); /* inside the cleared range */
        tx_set(x, "f", "5");
        tx_expect(x, "e", "4");
        tx_expect_range(x, "", KEYS_END, "a=1 b=B e=4 f=5 h=H");
        tx_expect_reverse(x, "", KEYS_END, "h=H f=5 e=4 b=B a=1");
        tx_expect_range(x, "c", "f", "e=4");
        tx_clear_range(x, "f", "i"); /* touches the other range */
        tx_expect_range(x, "", KEYS_END, "a=1 b=B e=4");
        tx_clear_range(x, "b", "e");
        tx_expect_range(x, "", KEYS_END, "a=1 e=4");
        tx_set(x, "h", "6");
        tx_set(x, "a", "");
        tx_expect_range(x, "", KEYS_END, "a= e=4 h=6");
}

static void test_mixed(void **state)
{
        struct ctx *c = *state;

        run(c, KV_WRITE, stored, NULL);
        run(c, KV_WRITE, mixed, NULL);
        expect_range(c, "", KEYS_END, "a= e=4 h=6");
}

static void all_cleared(struct tx *x)
{
        const struct kv_range_opts first = {
                .begin = slice_str(""), .end = slice_str(KEYS_END), .limit = 1, .reverse = false
        };
        const struct kv_range_opts last = {
                .begin = slice_str(""), .end = slice_str(KEYS_END), .limit = 1, .reverse = true
        };

        tx_clear_range(x, "", KEYS_END);
        tx_expect_range(x, "", KEYS_END, "");
        tx_expect_opts(x, &last, "");
        tx_set(x, "m", "1");
        tx_expect_opts(x, &first, "m=1");
        tx_expect_opts(x, &last, "m=1");
        tx_clear_range(x, "a", "m");
        tx_expect_opts(x, &first, "m=1");
        tx_clear_range(x, "m", "n");
        tx_expect_opts(x, &first, "");
        tx_set(x, "b", "2");
        tx_set(x, "c", "3");
}

static void test_clear_all(void **state)
{
        struct ctx *c = *state;

        run(c, KV_WRITE, stored, NULL);
        run(c, KV_WRITE, all_cleared, NULL);
        expect_range(c, "", KEYS_END, "b=2 c=3");
}

static void atomics(struct tx *x)
{
        tx_add(x, "b", "\1"); /* a value that was not read */
        tx_add(x, "b", "\1");
        tx_expect(x, "b", "D");
        tx_add(x, "b", "\2"); /* a value that was read */
        tx_expect(x, "b", "F");
        tx_expect(x, "b", "F");
        tx_add(x, "new", "\5"); /* an absent key */
        tx_expect(x, "new", "\5");
        tx_set(x, "set", "0");
        tx_add(x, "set", "\2"); /* a value set by the transaction */
        tx_expect(x, "set", "2");
        tx_clear(x, "d");
        tx_add(x, "d", "\7"); /* a cleared key */
        tx_expect(x, "d", "\7");
        tx_clear_range(x, "f", "i");
        tx_max(x, "f", "A"); /* in a cleared range: smaller than the former value */
        tx_expect(x, "f", "A");
        tx_max(x, "f", "B");
        tx_max(x, "f", "AZ");
        tx_expect(x, "f", "B");
        tx_expect_range(x, "", KEYS_END, "b=F d=\7 f=B new=\5 set=2");
        tx_expect_reverse(x, "c", "g", "f=B d=\7");
        tx_add(x, "gone", "\1");
        tx_clear(x, "gone");
        tx_expect(x, "gone", NULL);
        tx_add(x, "over", "\1");
        tx_set(x, "over", "x");
        tx_expect(x, "over", "x");
        tx_add(x, "range", "\1");
        tx_clear_range(x, "r", "s");
        tx_expect(x, "range", NULL);
        tx_max(x, "unread", "m");
        tx_expect_range(x, "t", "v", "unread=m"); /* in a range, not read before */
}

static void test_atomics(void **state)
{
        struct ctx *c = *state;

        run(c, KV_WRITE, stored, NULL);
        run(c, KV_WRITE, atomics, NULL);
        expect_range(c, "", KEYS_END, "b=F d=\7 f=B new=\5 over=x set=2 unread=m");
}

#define BYTES(s)                                    \
        {                                           \
                (const uint8_t *)(s), sizeof(s) - 1 \
        }

static const struct atomic_case {
        struct slice old; /* data NULL: absent */
        enum kv_atomic_op op;
        struct slice operand, result;
} atomic_cases[] = {
        { { 0 }, KV_ADD, BYTES("\1\0\0\0\0\0\0\0"), BYTES("\1\0\0\0\0\0\0\0") },
        { BYTES("\1\0\0\0\0\0\0\0"), KV_ADD, BYTES("\2\0\0\0\0\0\0\0"), BYTES("\3\0\0\0\0\0\0\0") },
        { BYTES("\xff\0"), KV_ADD, BYTES("\1\0"), BYTES("\0\1") },
        { BYTES("\xff\xff\xff\xff"), KV_ADD, BYTES("\1\0\0\0"), BYTES("\0\0\0\0") },
        { BYTES("\5\0\0\0"), KV_ADD, BYTES("\xff\xff\xff\xff"), BYTES("\4\0\0\0") }, /* -1 */
        { BYTES("\xff"), KV_ADD, BYTES("\1\0\0"), BYTES("\0\1\0") },                 /* extended */
        { BYTES("\1\2\3\4"), KV_ADD, BYTES("\1\1"), BYTES("\2\3") },                 /* cut */
        { BYTES(""), KV_ADD, BYTES("\1\2"), BYTES("\1\2") },
        { BYTES("\1\2"), KV_ADD, BYTES(""), BYTES("") },
        { { 0 }, KV_ADD, BYTES(""), BYTES("") },
        { { 0 }, KV_BYTE_MAX, BYTES("abc"), BYTES("abc") },
        { { 0 }, KV_BYTE_MAX, BYTES(""), BYTES("") },
        { BYTES("abc"), KV_BYTE_MAX, BYTES("abd"), BYTES("abd") },
        { BYTES("abd"), KV_BYTE_MAX, BYTES("abc"), BYTES("abd") },
        { BYTES("abc"), KV_BYTE_MAX, BYTES("abc"), BYTES("abc") },
        { BYTES("abc"), KV_BYTE_MAX, BYTES("ab"), BYTES("abc") },
        { BYTES("ab"), KV_BYTE_MAX, BYTES("abc"), BYTES("abc") },
        { BYTES("b"), KV_BYTE_MAX, BYTES("abc"), BYTES("b") },
        { BYTES(""), KV_BYTE_MAX, BYTES("\0"), BYTES("\0") },
        { BYTES("\x80"), KV_BYTE_MAX, BYTES("\x7f"), BYTES("\x80") }, /* bytes are unsigned */
};

static void atomic_set(struct tx *x)
{
        const struct atomic_case *a = x->arg;

        if (a->old.data)
                tx_set_slice(x, slice_str("k"), a->old);
        else
                tx_clear(x, "k");
}

static void atomic_apply(struct tx *x)
{
        const struct atomic_case *a = x->arg;

        tx_ok(x, kv_atomic(x->txn, a->op, slice_str("k"), a->operand));
}

static void atomic_check(struct tx *x)
{
        const struct atomic_case *a = x->arg;

        tx_expect_slice(x, slice_str("k"), &a->result);
}

/* All in one transaction. */
static void atomic_set_apply_check(struct tx *x)
{
        atomic_set(x);
        if (x->err == 0)
                atomic_apply(x);
        atomic_check(x);
}

static void atomic_apply_check(struct tx *x)
{
        atomic_apply(x);
        atomic_check(x);
}

static void test_atomic_results(void **state)
{
        struct ctx *c = *state;

        for (size_t i = 0; i < sizeof(atomic_cases) / sizeof(atomic_cases[0]); i++) {
                struct atomic_case a = atomic_cases[i];

                run(c, KV_WRITE, atomic_set, &a);
                run(c, KV_WRITE, atomic_apply, &a);
                run(c, KV_READ, atomic_check, &a);
                run(c, KV_WRITE, atomic_set_apply_check, &a);
                run(c, KV_READ, atomic_check, &a);
                run(c, KV_WRITE, atomic_set, &a);
                run(c, KV_WRITE, atomic_apply_check, &a);
                run(c, KV_READ, atomic_check, &a);
        }
}

/* A value that was read is set under another key: it may lie in the page that the write changes. Several
 * values in one page, of changing lengths, each written over its neighbour. */
static void copy_about(struct tx *x)
{
        static const char *const keys[] = { "a", "b", "c", "d" };
        static const char *const values[] = { "1111111111111111", "22", "3333333333333333333333333333333333",
                                              "4" };

        for (int i = 0; i < 4; i++)
                tx_set(x, keys[i], values[i]);
        for (int i = 0; i < 4; i++) {
                struct slice value;

                if (!tx_ok(x, kv_get(x->txn, slice_str(keys[i]), 0, &value)))
                        return;
                tx_set_slice(x, slice_str(keys[(i + 1) % 4]), value);
                tx_expect(x, keys[(i + 1) % 4], values[0]);
        }
}

static void test_set_what_was_read(void **state)
{
        struct ctx *c = *state;

        run(c, KV_WRITE, copy_about, NULL);
        expect_range(c, "", KEYS_END,
                     "a=1111111111111111 b=1111111111111111 c=1111111111111111 d=1111111111111111");
}

struct test_table tests_own_writes(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_mixed),          TEST(test_clear_all),         TEST(test_atomics),
                TEST(test_atomic_results), TEST(test_set_what_was_read),
        };

        return TABLE(tests);
}

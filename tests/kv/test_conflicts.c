/* SPDX-License-Identifier: MIT */
/* Which transactions conflict, in stores where writing transactions run concurrently. */
#include "harness.h"
#include "script.h"

#include <string.h>

/* Both begin; FIRST is performed; SECOND is performed and always commits; then FIRST writes "z" (unless it
 * ends with "-") and commits, or conflicts. The store holds b, d and f before. */
static const struct interleaving {
        const char *first, *second;
        bool conflict;
} interleavings[] = {
        /* reads of keys */
        { "get:b", "set:b", true },
        { "get:b", "clear:b", true },
        { "get:b", "add:b", true },
        { "get:b", "clearr:a:c", true },
        { "get:b", "set:c", false },
        { "get:b", "set:a", false },
        { "get:b", "set:ba", false },
        { "get:b", "clearr:a:b", false },
        { "get:b", "clearr:ba:z", false },
        { "get:b", "get:b", false },
        { "get:b", "range:a:z", false },
        /* reads of absent keys */
        { "get:c", "set:c", true },
        { "get:c", "clearr:a:z", true },
        { "get:c", "set:b set:d", false },
        /* snapshots */
        { "sget:b", "set:b", false },
        { "srange:a:z", "set:b clear:d set:e", false },
        { "sget:b get:d", "set:b", false },
        { "sget:b get:b", "set:b", true },
        /* ranges, with their gaps */
        { "range:a:e", "set:b", true },
        { "range:a:e", "set:c", true },
        { "range:a:e", "set:a", true },
        { "range:a:e", "clear:d", true },
        { "range:a:e", "add:d", true },
        { "range:a:e", "set:e", false },
        { "range:a:e", "set:f", false },
        { "range:a:e", "clearr:e:z", false },
        { "range:a:e", "clearr:d:z", true },
        { "range:g:k", "set:h", true },
        { "range:g:k", "set:k", false },
        /* ranges up to where they were read */
        { "first:a:z", "set:a", true },
        { "first:a:z", "set:b", true },
        { "first:a:z", "set:ba", false },
        { "first:a:z", "clear:d", false },
        { "first:c:z", "set:b", false },
        { "first:g:z", "set:h", true }, /* the end was reached */
        { "last:a:z", "set:g", true },
        { "last:a:z", "set:f", true },
        { "last:a:z", "set:e", false },
        { "last:a:z", "clearr:a:f", false },
        { "last:a:b", "set:a", true },
        /* writes alone do not conflict, nor do atomic operations */
        { "set:b", "set:b", false },
        { "set:b", "clear:b", false },
        { "clearr:a:z", "set:b", false },
        { "add:b", "add:b", false },
        { "add:b", "set:b", false },
        { "add:b", "clear:b", false },
        { "get:b add:b", "add:b", true },
        { "add:b get:b", "add:b", true }, /* the value read depends on the store */
        /* explicit conflicts */
        { "rck:b", "set:b", true },
        { "rck:b", "set:ba", false },
        { "rck:c", "set:c", true },
        { "rcr:a:e", "set:c", true },
        { "rcr:a:e", "set:e", false },
        { "get:b", "wck:b", true },
        { "get:b", "wck:ba", false },
        { "get:c", "wck:c", true },
        { "range:a:e", "wck:dzz", true },
        { "range:a:e", "wcr:dd:z", true },
        { "get:d", "wcr:a:e", true },
        { "get:e", "wcr:a:e", false },
        { "rck:x", "wck:x", true },
        { "rcr:x:y", "wcr:xx:z", true },
        { "rcr:x:y", "wcr:y:z", false },
        { "wck:x", "wck:x", false },
        { "wck:x", "rck:x", false },
        /* a transaction that only reads has seen one version: no conflict */
        { "get:b -", "set:b", false },
        { "range:a:z -", "clearr:a:z", false },
        { "rck:b -", "set:b", false },
        /* a read after the other commit still sees the version before */
        { "get:b get:d", "set:d", true },
};

static void perform_first(struct tx *x, const char *script)
{
        char words[64];
        size_t n = strlen(script);

        assert_true(n < sizeof(words));
        memcpy(words, script, n + 1);
        if (words[n - 1] == '-')
                words[n - 1] = '\0';
        script_perform(x, words);
}

static void prepare(struct tx *x)
{
        tx_clear_range(x, "", KEYS_END);
        tx_set(x, "b", "1");
        tx_set(x, "d", "1");
        tx_set(x, "f", "1");
}

static void test_interleavings(void **state)
{
        struct ctx *c = *state;

        if (!c->optimistic || c->chaotic)
                skip();
        for (size_t i = 0; i < sizeof(interleavings) / sizeof(interleavings[0]); i++) {
                const struct interleaving *v = &interleavings[i];
                bool writes = !strchr(v->first, '-');
                struct tx first, second;
                int r;

                run(c, KV_WRITE, prepare, NULL);
                first = begin(c, KV_WRITE);
                second = begin(c, KV_WRITE);
                perform_first(&first, v->first);
                script_perform(&second, v->second);
                if (writes)
                        tx_set(&first, "z", "first");
                r = commit(&second);
                if (r != 0)
                        fail_msg("\"%s\", then \"%s\": the one that commits first: %s", v->first, v->second,
                                 err_str(r));
                r = commit(&first);
                if (r != (v->conflict ? -ERR_CONFLICT : 0))
                        fail_msg("\"%s\" while \"%s\" commits: %s", v->first, v->second, err_str(r));
                if (writes)
                        expect(c, "z", v->conflict ? NULL : "first");
        }
}

/* A read after the commit of another transaction: the version of its begin, and a conflict. */
static void test_read_after_commit(void **state)
{
        struct ctx *c = *state;
        struct tx first, second;

        if (!c->optimistic || c->chaotic)
                skip();
        put(c, "a", "old");
        first = begin(c, KV_WRITE);
        second = begin(c, KV_WRITE);
        tx_set(&second, "a", "new");
        tx_set(&second, "b", "new");
        assert_int_equal(commit(&second), 0);
        tx_expect(&first, "a", "old");
        tx_expect_range(&first, "", KEYS_END, "a=old");
        tx_set(&first, "c", "first");
        assert_int_equal(commit(&first), -ERR_CONFLICT);
        expect_range(c, "", KEYS_END, "a=new b=new");
}

/* Each reads what the other writes: the one that commits second fails. */
static void test_write_skew(void **state)
{
        struct ctx *c = *state;
        struct tx a, b;

        if (!c->optimistic || c->chaotic)
                skip();
        a = begin(c, KV_WRITE);
        b = begin(c, KV_WRITE);
        tx_expect(&a, "x", NULL);
        tx_expect(&b, "y", NULL);
        tx_set(&a, "y", "a");
        tx_set(&b, "x", "b");
        assert_int_equal(commit(&b), 0);
        assert_int_equal(commit(&a), -ERR_CONFLICT);
        expect_range(c, "", KEYS_END, "x=b");
}

/* Atomic operations of concurrent transactions all count. */
static void test_atomics_add_up(void **state)
{
        struct ctx *c = *state;
        struct tx x[5];

        if (!c->optimistic || c->chaotic)
                skip();
        put(c, "n", "0");
        for (int i = 0; i < 5; i++) {
                x[i] = begin(c, KV_WRITE);
                tx_add(&x[i], "n", "\1");
                tx_max(&x[i], "max", (const char *const[]){ "b", "e", "c", "a", "d" }[i]);
        }
        for (int i = 4; i >= 0; i--)
                assert_int_equal(commit(&x[i]), 0);
        expect_range(c, "", KEYS_END, "max=e n=5");
}

struct test_table tests_conflicts(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_interleavings),
                TEST(test_read_after_commit),
                TEST(test_write_skew),
                TEST(test_atomics_add_up),
        };

        return TABLE(tests);
}

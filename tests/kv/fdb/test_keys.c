/* SPDX-License-Identifier: MIT */
/* Prefixes, requests for ranges, cached versions. */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

static int count_all(struct kv_txn *t, void *arg)
{
        const struct kv_range_opts opts = {
                .begin = slice_str(""),
                .end = slice_str("\xff"),
                .mode = KV_ALL,
                .reverse = arg != NULL,
        };
        struct slice key, value;
        struct kv_range r;
        int more, n = 0;

        kv_range_start(t, &r, &opts);
        while ((more = kv_range_next(&r, &key, &value)) > 0)
                n += key.len > 0 && key.data[0] < 0xf0; /* not a marker */
        kv_range_end(&r);
        return more < 0 ? more : n;
}

static int clear_all(struct kv_txn *t, void *arg)
{
        (void)arg;
        return kv_clear_range(t, slice_str(""), slice_str("\xff"));
}

/* Stores in one cluster are separate, also if a name is a prefix of another one. */
static void test_prefixes(void **state)
{
        static const char *const names[] = { "a", "ab", "b", "a-", "a/b" };
        struct fixture *f = *state;
        struct kv_store *s[5];
        char url[256], key[8];

        for (int i = 0; i < 5; i++) {
                snprintf(url, sizeof(url), "fdb:%s/cluster?prefix=%s", f->dir, names[i]);
                s[i] = fixture_open(f, url);
                for (int j = 0; j <= i; j++) {
                        snprintf(key, sizeof(key), "k%d", j);
                        put(s[i], key, names[i]);
                }
        }
        for (int i = 0; i < 5; i++) {
                assert_int_equal(kv_run(s[i], KV_READ, count_all, NULL), i + 1);
                assert_int_equal(kv_run(s[i], KV_READ, count_all, "reverse"), i + 1);
                expect(s[i], "k0", names[i]);
        }
        assert_int_equal(kv_run(s[0], KV_WRITE, clear_all, NULL), 0);
        for (int i = 0; i < 5; i++)
                assert_int_equal(kv_run(s[i], KV_READ, count_all, NULL), i ? i + 1 : 0);
        for (int i = 0; i < 5; i++)
                assert_int_equal(kv_close(s[i]), 0);
}

#define PAIRS 400

static int fill(struct kv_txn *t, void *arg)
{
        static uint8_t value[1000];
        char key[16];
        int r = 0;

        (void)arg;
        for (int i = 0; i < PAIRS && r >= 0; i++) {
                snprintf(key, sizeof(key), "f%04d", i);
                r = kv_set(t, slice_str(key), slice_of(value, sizeof(value)));
        }
        return r;
}

/* Requests for a range of 400 KB of which N pairs were read. */
static unsigned requests(struct fixture *f, enum kv_range_mode mode, size_t limit, int n)
{
        const struct kv_range_opts opts = {
                .begin = slice_str("f"),
                .end = slice_str("g"),
                .mode = mode,
                .limit = limit,
        };
        uint64_t before = fixture_counts(f).ranges_asked;
        struct slice key, value;
        struct kv_range r;
        struct kv_txn *t;

        assert_int_equal(kv_begin(f->store, KV_READ, &t), 0);
        kv_range_start(t, &r, &opts);
        for (int i = 0; i < n; i++)
                assert_int_equal(kv_range_next(&r, &key, &value), 1);
        kv_range_end(&r);
        kv_end(t);
        return (unsigned)(fixture_counts(f).ranges_asked - before);
}

static void test_ranges(void **state)
{
        struct fixture *f = *state;

        assert_int_equal(kv_run(f->store, KV_WRITE, fill, NULL), 0);
        /* All of it: replies of 80,000 bytes. */
        assert_in_range(requests(f, KV_ALL, 0, PAIRS), 5, 6);
        /* Stopping early: the needed ones, and one read ahead. */
        assert_in_range(requests(f, KV_ITERATE, 0, 3), 1, 2);
        assert_in_range(requests(f, KV_ITERATE, 0, PAIRS), 8, 20);
        /* Requests pass the limit on. */
        assert_int_equal(requests(f, KV_ITERATE, 1, 1), 1);
        assert_int_equal(requests(f, KV_ALL, 10, 10), 1);
}

/* KV_RECENT reads without requesting a version each time, and still sees all commits of the store. */
static void test_recent(void **state)
{
        struct fixture *f = *state;
        uint64_t before = fixture_counts(f).versions_asked;
        struct slice value;
        struct kv_txn *t;
        int r;

        put(f->store, "k", "0");
        for (int i = 0; i < 200; i++) {
                /* After the process was stopped for a second, a new version is fetched, as by kv_run. */
                r = kv_begin(f->store, KV_READ | KV_RECENT, &t);
                if (r == -ERR_RETRY)
                        r = kv_begin(f->store, KV_READ, &t);
                assert_int_equal(r, 0);
                assert_int_equal(kv_get(t, slice_str("k"), 0, &value), 0);
                assert_int_equal(value.data[0], '0' + i / 40);
                kv_end(t);
                if (i % 40 == 39)
                        put(f->store, "k", (char[2]){ (char)('1' + i / 40), 0 });
        }
        assert_true(fixture_counts(f).versions_asked - before < 150);
}

/* ---- writers with a cached version ---------------------------------------------------------------- */

struct copy {
        int runs;
        bool writes; /* what it found */
};

/* Returns whether "from" is there (or ENOENT), and writes it to "to". */
static int copy(struct kv_txn *t, void *arg)
{
        struct copy *c = arg;
        struct slice value;
        uint8_t found;
        int r = kv_get(t, slice_str("from"), 0, &value);

        c->runs++;
        if (r < 0)
                return r;
        found = value.data[0];
        if (c->writes)
                r = kv_set(t, slice_str("to"), slice_of(&found, 1));
        return r < 0 ? r : found;
}

/* Runs it in F's store, whose cached version is older than a write of VALUE through OTHER. */
static int copy_after(struct fixture *f, struct kv_store *other, const char *value, struct copy *c)
{
        struct kv_txn *t;

        assert_int_equal(kv_begin(f->store, KV_READ, &t), 0);
        kv_end(t);
        put(other, "from", value);
        c->runs = 0;
        return kv_run(f->store, KV_WRITE | KV_IDEMPOTENT | KV_RECENT, copy, c);
}

/* Writes of other stores are seen, whether the body without them would fail, do nothing or write what it
 * found. */
static void test_recent_writer(void **state)
{
        struct fixture *f = *state;
        struct kv_store *other = fixture_open(f, f->url);
        struct copy c = { .writes = true };
        uint64_t before;

        /* Without other writers no version is requested. */
        put(f->store, "from", "0");
        before = fixture_counts(f).versions_asked;
        for (int i = 0; i < 20; i++)
                assert_int_equal(kv_run(f->store, KV_WRITE | KV_IDEMPOTENT | KV_RECENT, copy, &c), '0');
        assert_true(fixture_counts(f).versions_asked - before <= 10);

        assert_int_equal(copy_after(f, other, "1", &c), '1');
        assert_int_equal(copy_after(f, other, "2", &c), '2');
        expect(f->store, "to", "2");
        c.writes = false;
        assert_int_equal(copy_after(f, other, "3", &c), '3');
        put(other, "from", NULL);
        assert_int_equal(copy_after(f, other, "4", &c), '4');
        assert_int_equal(copy_after(f, other, NULL, &c), -ENOENT);
        assert_int_equal(kv_close(other), 0);
}

/* Closing does not wait for a version that is being fetched. */
static void test_close_while_away(void **state)
{
        struct fixture *f = *state;
        struct kv_txn *t;

        f->set_away(true);
        assert_int_equal(kv_begin(f->store, KV_READ | KV_RECENT, &t), -ERR_RETRY);
        assert_int_equal(kv_close(f->store), 0);
        f->set_away(false);
        f->store = fixture_open(f, f->url);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_STORE(test_prefixes),      IN_STORE(test_ranges),           IN_STORE(test_recent),
                IN_STORE(test_recent_writer), IN_STORE(test_close_while_away),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

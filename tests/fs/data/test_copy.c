/* SPDX-License-Identifier: MIT */
/* Copying within the store: the bytes, the holes, the times, and what a crash leaves. */
#include "dump.h"
#include "fixture.h"

#include <linux/falloc.h>

#define BS  4096u
#define LEN (4u << 20)

static uint8_t *pattern(size_t len, uint64_t seed)
{
        uint8_t *data = malloc(len);
        struct rng rng;

        assert_non_null(data);
        rng_seed(&rng, seed);
        rng_fill(&rng, data, len);
        return data;
}

static void write_all(struct fixture *f, uint64_t ino, uint64_t offset, const void *data, size_t len)
{
        assert_int_equal(fs_write(f->fs, ino, offset, slice_of(data, len), 0), (ssize_t)len);
}

static void copy_all(struct fixture *f, uint64_t from, uint64_t at, uint64_t to, uint64_t to_at, uint64_t len)
{
        while (len > 0) {
                int64_t n = fs_copy(f->fs, from, at, to, to_at, len);

                assert_true(n > 0);
                at += (uint64_t)n;
                to_at += (uint64_t)n;
                len -= (uint64_t)n;
        }
}

/* Every alignment of the source and of the destination to the blocks. */
static void test_alignments(void **state)
{
        static const uint64_t edges[] = { 0, 1, BS - 1, BS, BS + 1, 3 * BS, 3 * BS + 7 };
        struct fixture *f = *state;
        uint64_t from = new_file(f, ROOT, "from"), to = new_file(f, ROOT, "to");
        uint8_t *data = pattern(8 * BS, 1), *model = pattern(8 * BS, 2);

        memset(data + 4 * BS, 0, 2 * BS);
        write_all(f, from, 0, data, 8 * BS);
        write_all(f, to, 0, model, 8 * BS);
        for (size_t i = 0; i < 7; i++)
                for (size_t k = 0; k < 7; k++)
                        for (size_t n = 1; n < 7; n++) {
                                copy_all(f, from, edges[i], to, edges[k], edges[n]);
                                memcpy(model + edges[k], data + edges[i], edges[n]);
                                assert_data(f, to, 0, model, 8 * BS);
                        }
        free(model);
        free(data);
}

static void test_holes(void **state)
{
        struct fixture *f = *state;
        uint64_t from = new_file(f, ROOT, "from"), to = new_file(f, ROOT, "to"),
                 aside = new_file(f, ROOT, "aside");
        uint8_t *data = pattern(LEN, 3);

        write_all(f, from, UINT64_C(1) << 40, data, LEN);
        assert_ok(truncate_to(f, from, UINT64_C(1) << 50));
        write_all(f, to, 0, data, LEN);
        copy_all(f, from, 0, to, 0, UINT64_C(1) << 50);
        assert_ok(fs_sync(f->fs));
        assert_int_equal(attr(f, to).size, UINT64_C(1) << 50);
        assert_int_equal(attr(f, to).blocks, attr(f, from).blocks);
        assert_zeros(f, to, 0, LEN);
        assert_data(f, to, UINT64_C(1) << 40, data, LEN);
        copy_all(f, from, (UINT64_C(1) << 40) - 5, aside, 7, LEN + 5);
        assert_zeros(f, aside, 7, 5);
        assert_data(f, aside, 12, data, LEN);
        free(data);
}

static void test_ends(void **state)
{
        struct fixture *f = *state;
        uint64_t from = new_file(f, ROOT, "from"), to = new_file(f, ROOT, "to");

        put(f, from, 0, "0123456789");
        assert_int_equal(fs_copy(f->fs, from, 4, to, 100, 1000), 6);
        assert_int_equal(attr(f, to).size, 106);
        assert_data(f, to, 100, "456789", 6);
        assert_int_equal(fs_copy(f->fs, from, 10, to, 0, 1), 0);
        assert_int_equal(fs_copy(f->fs, from, 1000, to, 0, 1), 0);
        assert_int_equal(fs_copy(f->fs, from, 0, to, 0, 0), 0);
        assert_int_equal(fs_copy(f->fs, from, 0, from, 10, 1000), 10);
        assert_data(f, from, 0, "01234567890123456789", 20);
        assert_int_equal(attr(f, from).size, 20);
        assert_fails(fs_copy(f->fs, from, 0, from, 5, 10), EINVAL);
        assert_fails(fs_copy(f->fs, from, 5, from, 0, 10), EINVAL);
        assert_fails(fs_copy(f->fs, from, 0, to, INT64_MAX, 10), EFBIG);
        assert_fails(fs_copy(f->fs, from, 0, 987654321, 0, 10), ENOENT);
        assert_fails(fs_copy(f->fs, 987654321, 0, to, 0, 10), ENOENT);
        assert_fails(fs_copy(f->fs, ROOT, 0, to, 0, 10), EISDIR);
        assert_fails(fs_copy(f->fs, from, 0, ROOT, 0, 10), EISDIR);
}

static void test_times(void **state)
{
        struct fixture *f = *state;
        uint64_t from = new_file(f, ROOT, "from"), to = new_file(f, ROOT, "to");
        struct fs_attr before;

        put(f, from, 0, "data");
        before = attr(f, from);
        tick(f);
        copy_all(f, from, 0, to, 0, 4);
        assert_times(attr(f, to).mtime, now(f));
        assert_times(attr(f, to).ctime, now(f));
        assert_times(attr(f, from).mtime, before.mtime);
}

/* ---- crashes ------------------------------------------------------------------------------------------- */

/* Checks that FILE is OLD (of half the length) with the first bytes of DATA over it; returns how many. */
static size_t check_prefix(struct fixture *f, uint64_t ino, const uint8_t *data, const uint8_t *old)
{
        uint64_t size = attr(f, ino).size;
        uint8_t *got = malloc(size);
        size_t n = 0;

        assert_non_null(got);
        assert_true(size >= LEN / 2 && size <= LEN);
        assert_int_equal(get(f, ino, 0, got, size), (ssize_t)size);
        while (n < size && got[n] == data[n])
                n++;
        if (n < LEN / 2)
                assert_memory_equal(got + n, old + n, LEN / 2 - n);
        assert_int_equal(size, n < LEN / 2 ? LEN / 2 : n);
        free(got);
        return n;
}

/* Crashes at commit N of a copy; false: it ended before. */
static bool crash_at(uint64_t n, bool after, const uint8_t *data, const uint8_t *old)
{
        struct fixture f, left = { .spec = "mem" };
        struct err_text text;
        struct dump dump;
        uint64_t from, to;
        int64_t copied;

        fixture_open(&f, "mem+fault");
        kv_fault_set(f.fault, &(struct kv_fault_opts){ 0 });
        from = new_file(&f, ROOT, "from");
        to = new_file(&f, ROOT, "to");
        write_all(&f, from, 0, data, LEN);
        write_all(&f, to, 0, old, LEN / 2);
        kv_fault_crash_at(f.fault, n, after);
        copied = fs_copy(f.fs, from, 0, to, 0, LEN);
        dump_load(&dump, f.bottom);
        fs_close(f.fs);
        kv_close(f.store);

        left.store = dump_open(&dump);
        fixture_check(&left, NULL);
        assert_ok(fs_open(left.store, &left.opts, &left.fs, &text));
        assert_true((int64_t)check_prefix(&left, to, data, old) >= copied);
        fixture_close(&left);
        dump_free(&dump);
        return copied != LEN;
}

static void test_crash(void **state)
{
        uint8_t *data = pattern(LEN, 4), *old = pattern(LEN / 2, 5);
        uint64_t n = 0;

        /* Holes over old data, and behind it. */
        memset(data + LEN / 8, 0, LEN / 4);
        memset(data + LEN / 8 * 5, 0, LEN / 4);
        while (crash_at(n, false, data, old) || crash_at(n, true, data, old))
                n++;
        assert_true(n > 4);
        free(old);
        free(data);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                FIXTURE_TEST(test_alignments), FIXTURE_TEST(test_holes),     FIXTURE_TEST(test_ends),
                FIXTURE_TEST(test_times),      cmocka_unit_test(test_crash),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}

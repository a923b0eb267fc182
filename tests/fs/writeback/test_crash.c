/* SPDX-License-Identifier: MIT */
/* A mount dies at any commit of a flush, with other commits in flight: the checker finds nothing, the file
 * has no zeros before data that was written later, and data in flight never appears when another mount
 * extends the file. The same while the file is still being written and its size is committed in steps. */
#include "fixture.h"
#include "fs/writeback/dirty_blocks.h"
#include "kv/testing/testing.h"

#include <linux/falloc.h>

#define BLOCK 4096u
#define PLAN  40000u             /* five blocks a transaction */
#define OLD   (23 * BLOCK + 100) /* size committed before */
#define NEW   (90 * BLOCK + 7)   /* size after all writes */

static uint8_t before[NEW], after[NEW];

/* The writes of the mount: over the first blocks, except for a hole, and far beyond the end. */
struct way {
        const char *name;
        uint64_t old;                /* size before */
        uint64_t from, to;           /* written */
        uint64_t hole_from, hole_to; /* not written */
};

static const struct way ways[] = {
        { "a new file", 0, 0, NEW, 0, 0 },
        { "behind the end", OLD, OLD, NEW, 0, 0 },
        { "over all of it and behind", OLD, 0, NEW, 0, 0 },
        { "over all of it", NEW, 0, NEW, 0, 0 },
        { "with a hole", OLD, 10, NEW, 12 * BLOCK + 5, 50 * BLOCK },
        { "few blocks", OLD, OLD - 10, OLD + 2 * BLOCK, 0, 0 },
};

static const struct fs_writeback_opts lazy = { .age_ms = 1000000, .threads = 3, .pid = "the dying mount" };

/* A size step is a quarter of it. */
static const struct fs_writeback_opts little = { .age_ms = 1000000,
                                                 .threads = 3,
                                                 .pid = "the dying mount",
                                                 .inode_bytes = 32 * (sizeof(struct dirty_block) + BLOCK) };

/* Writes in requests of at most MOST bytes, until one fails. */
static void write_all(struct fs *fs, uint64_t ino, uint64_t from, uint64_t to, const uint8_t *data,
                      size_t most)
{
        ssize_t n;

        for (; from < to; from += (uint64_t)n) {
                n = fs_write(fs, ino, from, slice_of(data + from, to - from < most ? to - from : most), 0);
                if (n <= 0)
                        return;
        }
}

/* Checks that each block is old or new, and new behind the old end. UNIT: bytes of a request; the data of
 * a request that ends within a block may be there up to its end. */
static void check_bytes(const struct way *w, const uint8_t *got, uint64_t size, uint64_t unit)
{
        for (uint64_t block = 0; block < size; block += unit) {
                bool is_old = true, is_new = true;

                for (uint64_t i = block; i < block + unit && i < size; i++) {
                        bool written = i >= w->from && i < w->to && !(i >= w->hole_from && i < w->hole_to);
                        uint8_t old = i < w->old ? before[i] : 0;

                        is_old = is_old && got[i] == old;
                        is_new = is_new && got[i] == (written ? after[i] : old);
                }
                if (!is_new && (!is_old || block >= w->old))
                        fail_msg("%s: block at %llu of %llu bytes is neither old nor new", w->name,
                                 (unsigned long long)block, (unsigned long long)size);
        }
}

static int register_body(struct kv_txn *t, void *arg)
{
        static const struct fmt_process process;
        uint8_t value[FMT_SMALL_MAX];
        struct fmt_key k;

        fmt_key_process(&k, lazy.pid);
        return kv_set(t, fmt_slice(&k), slice_of(value, fmt_process_encode(&process, value)));
}

static int unregister_body(struct kv_txn *t, void *arg)
{
        struct fmt_key k;

        fmt_key_process(&k, lazy.pid);
        return kv_clear(t, fmt_slice(&k));
}

/* Another mount opens the store after the crash. */
static void check_left(struct fixture *f, const struct way *w, uint64_t ino, uint64_t unit, unsigned n)
{
        static uint8_t got[2 * NEW];
        struct err_text text;
        uint64_t size;

        fixture_check(f, NULL);
        if (n % 5 == 4) {
                /* Unlinked before the mount is known to be dead, so that no collector has cleared
                 * anything. */
                assert_ok(kv_run(f->store, KV_WRITE, register_body, NULL));
                assert_ok(fs_open(f->store, &f->opts, &f->fs, &text));
                assert_ok(fs_unlink(f->fs, ROOT, str("file")));
                fixture_drain(f);
                assert_int_equal(count_keys(f->store, "f"), 0);
                fixture_close(f);
                return;
        }
        assert_ok(fs_open(f->store, &f->opts, &f->fs, &text));
        size = attr(f, ino).size;
        assert_true(size >= w->old && size <= (w->to > w->old ? w->to : w->old));
        assert_int_equal(get(f, ino, 0, got, sizeof(got)), size);
        check_bytes(w, got, size, unit);
        /* Data in flight does not appear. */
        switch (n % 4) {
        case 0:
                assert_ok(truncate_to(f, ino, 2 * NEW));
                break;
        case 1:
                put(f, ino, 2 * NEW - 1, "x");
                break;
        case 2:
                assert_ok(fs_fallocate(f->fs, ino, 0, 0, 2 * NEW));
                break;
        case 3:
                assert_ok(truncate_to(f, ino, 5));
                size = size < 5 ? size : 5;
                assert_ok(truncate_to(f, ino, 2 * NEW));
                break;
        }
        assert_int_equal(attr(f, ino).size, 2 * NEW);
        assert_zeros(f, ino, size, 2 * NEW - 1 - size);
        fixture_drain(f);
        if (n % 5 == 0)
                assert_ok(fs_unlink(f->fs, ROOT, str("file")));
        fixture_close(f);
}

/* Returns false if there was no commit N. MOST: bytes of a request. */
static bool crash_at(const struct way *w, const struct fs_writeback_opts *writeback, size_t most, unsigned n,
                     bool after_commit)
{
        struct fixture f;
        struct fs *fs;
        struct kv_store *mount;
        struct kv_fault_opts opts = fixture_faults;
        struct err_text text;
        struct fmt_key markers;
        uint64_t ino;
        bool crashed;

        fixture_open(&f, "mem+remote");
        ((struct kv_limits *)(uintptr_t)kv_limits(f.store))->txn_plan_bytes = PLAN;
        ino = new_file(&f, ROOT, "file");
        write_all(f.fs, ino, 0, w->old, before, NEW);
        fs_close(f.fs);
        /* Collectors respect its intent record while its session lives. */
        if (writeback == &little)
                assert_ok(kv_run(f.store, KV_WRITE, register_body, NULL));

        opts.keep_below = true;
        assert_ok(kv_fault_open(f.store, &opts, &mount));
        kv_fault_set(mount, &(struct kv_fault_opts){ .slow_ppm = 300000, .slow_us = 100 });
        fmt_key_status(&markers, lazy.pid);
        assert_ok(kv_set_markers(mount, fmt_slice(&markers)));
        f.opts.writeback = writeback;
        assert_ok(fs_open(mount, &f.opts, &fs, &text));
        f.opts.writeback = NULL;
        kv_fault_crash_at(mount, n, after_commit);
        write_all(fs, ino, w->from, w->hole_from > 0 ? w->hole_from : w->to, after, most);
        if (w->hole_to > 0)
                write_all(fs, ino, w->hole_to, w->to, after, most);
        crashed = fs_flush(fs, ino) < 0;
        fs_close(fs);
        kv_close(mount);
        if (writeback == &little)
                assert_ok(kv_run(f.store, KV_WRITE, unregister_body, NULL));
        check_left(&f, w, ino, most % BLOCK == 0 || most == NEW ? BLOCK : 1, n);
        return crashed;
}

static void every_commit(const struct fs_writeback_opts *writeback, size_t most)
{
        for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
                unsigned n = 0;

                for (bool crashed = true; crashed; n++) {
                        crashed = crash_at(&ways[i], writeback, most, n, false);
                        crashed = crash_at(&ways[i], writeback, most, n, true) || crashed;
                }
                print_message("%s: %u commits\n", ways[i].name, n - 1);
        }
}

static void test_every_commit(void **state)
{
        every_commit(&lazy, NEW);
}

/* Requests that end within blocks, and requests of whole blocks. */
static void test_every_commit_of_a_stream(void **state)
{
        every_commit(&little, 7000);
        every_commit(&little, 2 * BLOCK);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_commit),
                cmocka_unit_test(test_every_commit_of_a_stream),
        };

        for (size_t i = 0; i < NEW; i++) {
                before[i] = (uint8_t)(1 + i % 97);
                after[i] = (uint8_t)(101 + i % 89);
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}

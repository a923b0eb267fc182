/* SPDX-License-Identifier: MIT */
/* Readahead: the right bytes, in fewer transactions than requests, never older than documented. Only the
 * tests move the clock. */
#include "fixture.h"
#include "fs/data/readahead.h"
#include "fs/gc/gc.h"
#include "kv/testing/testing.h"

#include <linux/falloc.h>
#include <pthread.h>

#define REQUEST (128u << 10)
#define SIZE    ((6u << 20) + 1234)

static uint8_t data[SIZE];
static _Atomic uint64_t time_ns;

static uint64_t still_ns(const struct clock *c)
{
        return atomic_load(&time_ns);
}

struct pair {
        struct fixture a, b;
};

static const struct fs_writeback_opts lazy = { .age_ms = 1000000 };

static void open_pair(struct pair *p, bool stats)
{
        struct err_text text;

        fixture_open(&p->a, stats                            ? "mem+stats+remote"
                            : strstr(fixture_spec, "+fault") ? "mem+fault+remote"
                                                             : "mem+remote");
        fs_close(p->a.fs);
        p->a.clock.clock.monotonic_ns = still_ns;
        p->a.opts.writeback = &lazy;
        p->a.opts.no_read_ahead = false;
        assert_ok(fs_open(p->a.store, &p->a.opts, &p->a.fs, &text));
        p->b = p->a;
        p->b.opts.no_read_ahead = true;
        assert_ok(fs_open(p->b.store, &p->b.opts, &p->b.fs, &text));
}

static void close_pair(struct pair *p)
{
        fs_close(p->b.fs);
        fixture_close(&p->a);
}

static uint64_t make_file(struct fixture *f)
{
        uint64_t ino = new_file(f, ROOT, "file");

        assert_int_equal(fs_write(f->fs, ino, 0, slice_of(data, SIZE), 0), SIZE);
        assert_ok(fs_flush(f->fs, ino));
        return ino;
}

/* Reads [from, to) in requests of the size of the kernel's. */
static void read_range(struct fixture *f, uint64_t ino, uint64_t from, uint64_t to)
{
        static uint8_t buf[REQUEST];

        for (uint64_t at = from; at < to; at += REQUEST) {
                uint64_t expected = SIZE - at < REQUEST ? SIZE - at : REQUEST;

                assert_int_equal(get(f, ino, at, buf, REQUEST), expected);
                if (memcmp(buf, data + at, expected) != 0)
                        fail_msg("wrong bytes at %llu", (unsigned long long)at);
        }
}

static void test_right_bytes(void **state)
{
        static uint8_t buf[SIZE];
        struct pair p;
        uint64_t ino;

        open_pair(&p, false);
        ino = make_file(&p.a);
        for (size_t step = 4096; step < 2 * REQUEST; step = step * 2 + 1000) {
                for (uint64_t at = 0; at < SIZE; at += step) {
                        uint64_t expected = SIZE - at < step ? SIZE - at : step;

                        assert_int_equal(get(&p.a, ino, at, buf, step), expected);
                        assert_memory_equal(buf, data + at, expected);
                }
                assert_int_equal(get(&p.a, ino, SIZE, buf, step), 0);
        }
        assert_int_equal(get(&p.a, ino, 0, buf, sizeof(buf)), SIZE);
        assert_memory_equal(buf, data, SIZE);
        close_pair(&p);
}

/* Makes a file and reads it. */
static void assert_fewer_transactions(struct pair *p)
{
        uint64_t ino = make_file(&p->a);
        struct kv_stats stats;

        fs_gc_drain(p->a.fs);
        fs_gc_drain(p->b.fs);
        kv_stats_reset(p->a.stats);
        read_range(&p->a, ino, 0, SIZE);
        kv_stats_get(p->a.stats, &stats);
        /* 49 requests; 13 chunks of 512 KiB, at most 8 beyond the end before the end is known, and the first
         * requests. */
        assert_true(stats.txns < 40);
}

static void test_fewer_transactions(void **state)
{
        struct pair p;

        open_pair(&p, true);
        assert_fewer_transactions(&p);
        close_pair(&p);
}

/* State of readers that have stopped does not block new readers. */
static void test_many_files(void **state)
{
        static uint8_t buf[REQUEST];

        /* They stop half way and time passes, or they read to the end. */
        for (int whole = 0; whole < 2; whole++) {
                struct pair p;

                open_pair(&p, true);
                for (unsigned i = 0; i < 25; i++) {
                        uint64_t ino = new_file(&p.a, ROOT, (const char[]){ (char)('A' + i), '\0' });

                        assert_ok(truncate_to(&p.a, ino, SIZE));
                        for (uint64_t at = 0; at < (whole ? SIZE : SIZE / 2); at += REQUEST)
                                assert_true(get(&p.a, ino, at, buf, REQUEST) > 0);
                        if (!whole)
                                atomic_fetch_add(&time_ns, (READAHEAD_MS + 1) * UINT64_C(1000000));
                }
                assert_fewer_transactions(&p);
                close_pair(&p);
        }
}

/* A change by this mount is read at once, flushed or not. */
static void test_own_changes(void **state)
{
        struct pair p;
        uint64_t ino;

        open_pair(&p, false);
        ino = make_file(&p.a);
        for (int way = 0; way < 6; way++) {
                uint64_t at = 3 * (1u << 20);
                uint8_t byte;

                read_range(&p.a, ino, 0, 1u << 20);
                byte = data[at] = (uint8_t)(data[at] + 1);
                switch (way) {
                case 0:
                        assert_int_equal(fs_write(p.a.fs, ino, at, slice_of(&byte, 1), 0), 1);
                        break;
                case 1:
                        assert_int_equal(fs_write(p.a.fs, ino, at, slice_of(&byte, 1), 0), 1);
                        assert_ok(fs_flush(p.a.fs, ino));
                        break;
                case 2:
                        data[at] = 0;
                        assert_ok(
                                fs_fallocate(p.a.fs, ino, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, 1));
                        break;
                case 3:
                        assert_ok(truncate_to(&p.a, ino, at));
                        assert_ok(truncate_to(&p.a, ino, SIZE));
                        memset(data + at, 0, SIZE - at);
                        break;
                case 4:
                        assert_ok(truncate_to(&p.a, ino, SIZE - 1));
                        assert_int_equal(fs_write(p.a.fs, ino, 0, slice_of(&byte, 1), FS_WRITE_APPEND), 1);
                        data[SIZE - 1] = byte;
                        data[at] = (uint8_t)(byte - 1);
                        break;
                case 5:
                        data[at] = (uint8_t)(byte - 1);
                        assert_int_equal(fs_write(p.a.fs, ino, SIZE - 1, slice_of(data + SIZE - 1, 1), 0), 1);
                        break;
                }
                read_range(&p.a, ino, 1u << 20, SIZE);
        }
        close_pair(&p);
}

/* A change by another mount is read after the documented time, or after fs_drop_read_ahead. */
static void test_changes_of_others(void **state)
{
        struct pair p;
        uint64_t ino;

        open_pair(&p, false);
        ino = make_file(&p.a);
        for (int way = 0; way < 2; way++) {
                uint64_t at = 2 * (1u << 20);

                read_range(&p.a, ino, 0, 1u << 20);
                data[at] ^= 1;
                assert_int_equal(fs_write(p.b.fs, ino, at, slice_of(&data[at], 1), 0), 1);
                assert_ok(fs_flush(p.b.fs, ino));
                if (way == 0)
                        fs_drop_read_ahead(p.a.fs, ino);
                else
                        atomic_fetch_add(&time_ns, (READAHEAD_MS + 1) * UINT64_C(1000000));
                read_range(&p.a, ino, 1u << 20, SIZE);
        }
        close_pair(&p);
}

/* Several readers and a writer of one file in one mount. */
struct crowd {
        struct pair p;
        uint64_t ino;
        _Atomic bool done;
        _Atomic unsigned written; /* lower bound of every byte of the file */
};

static void *crowd_reader(void *arg)
{
        struct crowd *c = arg;
        uint8_t *buf = malloc(REQUEST);

        while (!atomic_load(&c->done))
                for (uint64_t at = 0; at < 16 * REQUEST; at += REQUEST) {
                        unsigned least = atomic_load(&c->written);

                        if (get(&c->p.a, c->ino, at, buf, REQUEST) != REQUEST)
                                fail_msg("short read");
                        for (unsigned i = 0; i < REQUEST; i += 4096)
                                if (buf[i] < least)
                                        fail_msg("old byte %u at %llu, after %u", buf[i],
                                                 (unsigned long long)(at + i), least);
                }
        free(buf);
        return NULL;
}

static void test_crowd(void **state)
{
        static uint8_t bytes[16 * REQUEST];
        struct crowd c = { .ino = 0 };
        pthread_t threads[3];

        open_pair(&c.p, false);
        c.ino = new_file(&c.p.a, ROOT, "file");
        assert_int_equal(fs_write(c.p.a.fs, c.ino, 0, slice_of(bytes, sizeof(bytes)), 0), sizeof(bytes));
        for (int i = 0; i < 3; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, crowd_reader, &c), 0);
        for (unsigned version = 1; version < 15; version++) {
                memset(bytes, (int)version, sizeof(bytes));
                assert_int_equal(fs_write(c.p.a.fs, c.ino, 0, slice_of(bytes, sizeof(bytes)), 0),
                                 sizeof(bytes));
                if (version % 3 == 0)
                        assert_ok(fs_flush(c.p.a.fs, c.ino));
                atomic_store(&c.written, version);
        }
        atomic_store(&c.done, true);
        for (int i = 0; i < 3; i++)
                pthread_join(threads[i], NULL);
        close_pair(&c.p);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_right_bytes),       cmocka_unit_test(test_fewer_transactions),
                cmocka_unit_test(test_many_files),        cmocka_unit_test(test_own_changes),
                cmocka_unit_test(test_changes_of_others), cmocka_unit_test(test_crowd),
        };
        struct rng rng;

        if (argc > 1)
                fixture_spec = argv[1];
        rng_seed(&rng, fixture_seed(argc, argv));
        rng_fill(&rng, data, sizeof(data));
        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* A file is written from the beginning to the end, many times as long as the write-back cache: it is flushed
 * while it is written, every read of it is right, and waiting for a flush does not include data written
 * later.
 *
 * test_stream SPEC: "mem", "mem+fault", "fdb", ...; environment ASHLAR_SEED, ASHLAR_ROUNDS. */
#include "fs/writeback/writeback.h"
#include "stream.h"

#include <unistd.h>

static uint64_t seed, rounds;

/* Parameters of a round: each value occurs. */
static struct stream_opts some_opts(struct rng *rng)
{
        return (struct stream_opts){ .threads = 1 + (unsigned)rng_below(rng, 6),
                                     .faults = true,
                                     .age_ms = rng_below(rng, 3) == 0 ? 5 : 0,
                                     .read_ahead = rng_below(rng, 2),
                                     .unregistered = rng_below(rng, 5) == 0 };
}

static struct writer some_writer(struct stream *s, struct rng *rng)
{
        return (struct writer){ .s = s,
                                .seed = rng_next(rng),
                                .most = 1000 + rng_below(rng, 30000),
                                .whole_blocks = rng_below(rng, 2),
                                .len = (4 + rng_below(rng, 8)) * STREAM_BLOCKS * BLOCK +
                                       rng_below(rng, BLOCK) };
}

/* ---- commits ----------------------------------------------------------------------------------------- */

/* Deterministic: one flush thread, a writer that is always ahead, and another client that writes, so that
 * the store in memory keeps its history. One intent record, one end, the size in steps, and every part
 * blind. Requests are of whole blocks: a flush that begins with a part of a block takes no more, because
 * its rest follows. */
static void test_one_flush(void **state)
{
        const struct stream_opts opts = { .threads = 1 };
        struct kv_txn *beside;
        struct stream s;
        struct writer w;

        stream_open(&s, fixture_spec, seed, &opts);
        w = (struct writer){
                .s = &s, .seed = seed, .most = 9000, .len = 900 * BLOCK + 77, .whole_blocks = true
        };
        w.ino = s.spy->ino = new_file(&s.a, ROOT, "file");
        assert_ok(kv_begin(s.b.bottom, KV_WRITE, &beside));
        s.spy->intents = s.spy->ended = s.spy->records = 0;
        atomic_store(&s.spy->behind_writer, true);
        writer_start(&w);
        writer_join(&w);
        assert_ok(fs_fsync(s.a.fs, w.ino));
        kv_end(beside);
        print_message("%u blind parts, %u that read, %u times the record\n", s.spy->blind, s.spy->reading,
                      s.spy->records);
        assert_int_equal(s.spy->intents, 1);
        assert_int_equal(s.spy->ended, 1);
        assert_int_equal(s.spy->reading, 0);
        /* Parts of five blocks, or less at the end of the dirty blocks; the last one may be sequential. */
        assert_in_range(s.spy->blind, 890 / 5, 890 / 4);
        /* A step is a quarter of the memory, or a part more. */
        assert_in_range(s.spy->records, 900 / 24, 900 / 16 + 4);
        stream_compare(&s.b, w.ino, stream_pattern, w.len);
        assert_int_equal(attr(&s.b, w.ino).blocks, stream_blocks_of(&s, stream_pattern, w.len));
        stream_close(&s);
}

/* The same with several threads, whose parts are committed in turn, and memory for many parts. */
static void test_streams(void **state)
{
        const struct stream_opts opts = { .threads = 4, .blocks = 8 * STREAM_BLOCKS };
        struct kv_txn *beside;
        struct stream s;
        struct writer w;

        stream_open(&s, fixture_spec, seed, &opts);
        w = (struct writer){ .s = &s, .seed = seed, .most = 9000, .len = 2000 * BLOCK, .whole_blocks = true };
        w.ino = s.spy->ino = new_file(&s.a, ROOT, "file");
        assert_ok(kv_begin(s.b.bottom, KV_WRITE, &beside));
        s.spy->intents = s.spy->ended = s.spy->blind = s.spy->reading = 0;
        s.spy->turn = BLOCK; /* the first block is committed with the size */
        s.spy->ahead_max = opts.blocks / 4 + 6;
        atomic_store(&s.spy->behind_writer, true);
        writer_start(&w);
        writer_join(&w);
        assert_ok(fs_fsync(s.a.fs, w.ino));
        kv_end(beside);
        print_message("%u flushes, %u blind parts, %u that read\n", s.spy->intents, s.spy->blind,
                      s.spy->reading);
        assert_int_equal(s.spy->intents, 1);
        assert_int_equal(s.spy->ended, 1);
        assert_int_equal(s.spy->reading, 0);
        assert_in_range(s.spy->blind, 1980 / 5, 1990 / 4);
        stream_compare(&s.b, w.ino, stream_pattern, w.len);
        stream_close(&s);
}

/* ---- reads -------------------------------------------------------------------------------------------- */

struct scene {
        struct stream s;
        struct writer w;
        struct reader readers[2], watcher;
        struct rng rng;
};

/* A round of a test: opens the mounts, makes the file, and starts the threads that work on it. */
static void scene_open(struct scene *c, uint64_t number)
{
        struct stream_opts opts;

        rng_seed(&c->rng, seed + number);
        opts = some_opts(&c->rng);
        stream_open(&c->s, fixture_spec, seed + number, &opts);
        c->w = some_writer(&c->s, &c->rng);
        c->w.ino = c->s.spy->ino = new_file(&c->s.a, ROOT, "file");
        for (unsigned i = 0; i < 2; i++)
                c->readers[i] = (struct reader){ .w = &c->w, .seed = rng_next(&c->rng) };
        c->watcher = (struct reader){ .w = &c->w, .seed = rng_next(&c->rng) };
}

static void scene_start(struct scene *c)
{
        writer_start(&c->w);
        reader_start(&c->readers[0]);
        reader_start(&c->readers[1]);
        watcher_start(&c->watcher);
}

static void scene_join(struct scene *c)
{
        writer_join(&c->w);
        reader_join(&c->readers[0]);
        reader_join(&c->readers[1]);
        reader_join(&c->watcher);
        assert_ok(fs_fsync(c->s.a.fs, c->w.ino));
}

static void scene_close(struct scene *c, const uint8_t *expected, uint64_t len)
{
        stream_compare(&c->s.a, c->w.ino, expected, len);
        stream_compare(&c->s.b, c->w.ino, expected, len);
        stream_close(&c->s);
}

static void test_seen(void **state)
{
        for (uint64_t i = 0; i < rounds; i++) {
                struct scene c;

                scene_open(&c, i);
                scene_start(&c);
                scene_join(&c);
                assert_times(attr(&c.s.a, c.w.ino).mtime, now(&c.s.b));
                assert_times(attr(&c.s.b, c.w.ino).mtime, now(&c.s.b));
                /* A disturbed flush may leave an intent record (docs/DESIGN.md). */
                if (!c.s.unregistered)
                        assert_int_equal(attr(&c.s.b, c.w.ino).blocks,
                                         stream_blocks_of(&c.s, stream_pattern, c.w.len));
                scene_close(&c, stream_pattern, c.w.len);
        }
}

/* In order, with holes. */
static void test_holes(void **state)
{
        static uint8_t model[STREAM_BYTES];

        for (uint64_t i = 0; i < rounds; i++) {
                struct scene c;

                scene_open(&c, i);
                memset(model, 0, sizeof(model));
                c.w.model = model;
                c.w.gap = (uint64_t[]){ 300, 5000, 100000 }[i % 3];
                c.readers[0].expected = c.readers[1].expected = c.watcher.expected = model;
                scene_start(&c);
                scene_join(&c);
                if (!c.s.unregistered)
                        assert_int_equal(attr(&c.s.b, c.w.ino).blocks,
                                         stream_blocks_of(&c.s, model, c.w.written));
                scene_close(&c, model, c.w.written);
        }
}

/* The privilege bits are dropped with the first byte that is written without them. */
static void test_kill_priv(void **state)
{
        for (uint64_t i = 0; i < rounds; i++) {
                struct scene c;

                scene_open(&c, i);
                assert_ok(chmod_to(&c.s.a, c.w.ino, 04755));
                c.w.kill_from = c.w.len / 3;
                scene_start(&c);
                scene_join(&c);
                assert_int_equal(attr(&c.s.a, c.w.ino).mode, S_IFREG | 0755);
                assert_int_equal(attr(&c.s.b, c.w.ino).mode, S_IFREG | 0755);
                scene_close(&c, stream_pattern, c.w.len);
        }
}

/* ---- beside the writer -------------------------------------------------------------------------------- */

#define PATCH 255u

/* Overwrites parts of the written data, through the same mount. */
struct patcher {
        struct writer *w;
        uint64_t seed;
        uint8_t *expected;
        unsigned patches;
        pthread_t thread;
};

static void *patcher_main(void *arg)
{
        static uint8_t patch[9000];
        struct patcher *p = arg;
        struct rng rng;

        memset(patch, PATCH, sizeof(patch));
        rng_seed(&rng, p->seed);
        while (!atomic_load(&p->w->done)) {
                uint64_t written = atomic_load(&p->w->written), at;
                size_t len = 1 + (size_t)rng_below(&rng, sizeof(patch));

                if (written < len)
                        continue;
                /* Anywhere, or in the part that is being flushed. */
                at = rng_below(&rng, written - len + 1);
                if (rng_below(&rng, 2) && written - len > STREAM_BLOCKS * BLOCK)
                        at = written - len - rng_below(&rng, STREAM_BLOCKS * BLOCK);
                must(fs_write(p->w->s->a.fs, p->w->ino, at, slice_of(patch, len), 0) == (ssize_t)len);
                memset(p->expected + at, PATCH, len);
                p->patches++;
                usleep((useconds_t)rng_below(&rng, 3000));
        }
        return NULL;
}

static void test_overwritten(void **state)
{
        static uint8_t expected[STREAM_BYTES];

        for (uint64_t i = 0; i < rounds; i++) {
                struct patcher p;
                struct scene c;

                scene_open(&c, i);
                memcpy(expected, stream_pattern, sizeof(expected));
                p = (struct patcher){ .w = &c.w, .seed = rng_next(&c.rng), .expected = expected };
                c.readers[0].except = c.readers[1].except = c.watcher.except = PATCH;
                scene_start(&c);
                assert_int_equal(pthread_create(&p.thread, NULL, patcher_main, &p), 0);
                scene_join(&c);
                pthread_join(p.thread, NULL);
                assert_ok(fs_fsync(c.s.a.fs, c.w.ino));
                scene_close(&c, expected, c.w.len);
        }
}

/* fsync does not wait for data that is written after its start: it waits for the flush under way, and for
 * one more if that did not take all of the earlier data. */
static void test_fsync_is_bounded(void **state)
{
        unsigned early = 0;

        for (uint64_t i = 0; i < rounds; i++) {
                unsigned calls = 0;
                struct scene c;

                scene_open(&c, i);
                c.w.len = STREAM_BYTES / 2;
                scene_start(&c);
                while (!atomic_load(&c.w.done)) {
                        uint64_t before = atomic_load(&c.w.written), after;
                        uint64_t size;

                        if (calls % 3 == 2)
                                assert_ok(fs_sync(c.s.a.fs));
                        else
                                assert_ok(fs_fsync(c.s.a.fs, c.w.ino));
                        after = atomic_load(&c.w.under_way);
                        size = attr(&c.s.b, c.w.ino).size;
                        assert_true(size >= before);
                        assert_true(after <= before + 8 * STREAM_BLOCKS * BLOCK);
                        calls++;
                        early += after < c.w.len;
                        usleep((useconds_t)rng_below(&c.rng, 5000));
                }
                scene_join(&c);
                scene_close(&c, stream_pattern, c.w.len);
        }
        assert_true(early > 0);
}

/* Two files, in memory that is not enough for both, and small files at the same time. */
static void test_two_files(void **state)
{
        for (uint64_t i = 0; i < rounds; i++) {
                struct stream_opts opts;
                struct writer w[2];
                struct reader r[4];
                struct stream s;
                struct rng rng;
                char name[16];

                rng_seed(&rng, seed + i);
                opts = some_opts(&rng);
                opts.total_blocks = 40 + rng_below(&rng, 60);
                stream_open(&s, fixture_spec, seed + i, &opts);
                for (unsigned k = 0; k < 2; k++) {
                        w[k] = some_writer(&s, &rng);
                        w[k].ino = new_file(&s.a, ROOT, k ? "one" : "two");
                        for (unsigned m = 0; m < 2; m++)
                                r[2 * k + m] = (struct reader){ .w = &w[k], .seed = rng_next(&rng) };
                        writer_start(&w[k]);
                        reader_start(&r[2 * k]);
                        watcher_start(&r[2 * k + 1]);
                }
                for (unsigned n = 0; n < 20; n++) {
                        uint64_t ino;

                        snprintf(name, sizeof(name), "small %u", n);
                        ino = new_file(&s.a, ROOT, name);
                        put(&s.a, ino, n * 1000, name);
                        assert_ok(fs_flush(s.a.fs, ino));
                        assert_data(&s.b, ino, n * 1000, name, strlen(name));
                }
                for (unsigned k = 0; k < 2; k++) {
                        writer_join(&w[k]);
                        reader_join(&r[2 * k]);
                        reader_join(&r[2 * k + 1]);
                }
                assert_ok(fs_sync(s.a.fs));
                assert_int_equal(fs_writeback_bytes(s.a.fs), 0);
                for (unsigned k = 0; k < 2; k++)
                        stream_compare(&s.b, w[k].ino, stream_pattern, w[k].len);
                stream_close(&s);
        }
}

/* A stream over an existing file: it is overwritten, and then extended. */
static void test_over_old(void **state)
{
        static uint8_t old[STREAM_BYTES];

        memset(old, PATCH, sizeof(old));
        for (uint64_t i = 0; i < rounds; i++) {
                struct scene c;
                uint64_t len;

                scene_open(&c, i);
                len = c.w.len / 2 + rng_below(&c.rng, BLOCK);
                assert_int_equal(fs_write(c.s.b.fs, c.w.ino, 0, slice_of(old, len), 0), len);
                assert_ok(fs_fsync(c.s.b.fs, c.w.ino));
                c.watcher.except = PATCH;
                scene_start(&c);
                scene_join(&c);
                if (!c.s.unregistered)
                        assert_int_equal(attr(&c.s.b, c.w.ino).blocks,
                                         stream_blocks_of(&c.s, stream_pattern, c.w.len));
                scene_close(&c, stream_pattern, c.w.len);
        }
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_flush),
                cmocka_unit_test(test_streams),
                cmocka_unit_test(test_seen),
                cmocka_unit_test(test_holes),
                cmocka_unit_test(test_kill_priv),
                cmocka_unit_test(test_overwritten),
                cmocka_unit_test(test_fsync_is_bounded),
                cmocka_unit_test(test_two_files),
                cmocka_unit_test(test_over_old),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        seed = fixture_seed(argc, argv);
        rounds = fixture_number("ASHLAR_ROUNDS", 3);
        if (argc > 2)
                cmocka_set_test_filter(argv[2]);
        alarm(240);
        return cmocka_run_group_tests(tests, NULL, NULL);
}

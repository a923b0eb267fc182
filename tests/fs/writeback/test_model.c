/* SPDX-License-Identifier: MIT */
/* Seeded random operations on a few files by two mounts of one store, one after the other, against a
 * model: for each file its committed bytes, and for each mount its dirty bytes. A mount reads its dirty bytes
 * over the committed ones. Only the test starts flushes, so the model is exact.
 *
 * test_model SPEC: environment ASHLAR_SEED, ASHLAR_STEPS. */
#include "fixture.h"
#include "fs/writeback/writeback.h"

#include <linux/falloc.h>

#define FILES     3u
#define MOUNTS    2u
#define FILE_MAX  (160u * 1024u)
#define WRITE_MAX (90u * 1024u)

struct layer {
        uint8_t data[FILE_MAX + WRITE_MAX];
        bool written[FILE_MAX + WRITE_MAX];
        uint64_t end; /* end of the written data */
};

struct file {
        uint64_t ino;
        char name[8];
        uint8_t data[FILE_MAX + WRITE_MAX];
        uint64_t size;
        struct layer layers[MOUNTS];
};

struct world {
        struct fixture mounts[MOUNTS];
        struct file files[FILES];
        struct rng rng;
        uint64_t step;
};

static const struct fs_writeback_opts lazy = { .age_ms = 1000000, .threads = 3 };
static uint64_t seed, n_steps;

static uint64_t below(struct world *w, uint64_t n)
{
        return rng_below(&w->rng, n);
}

/* ---- the model ------------------------------------------------------------------------------------ */

static void layer_flush(struct file *f, unsigned m)
{
        struct layer *l = &f->layers[m];

        if (l->end > f->size) {
                memset(f->data + f->size, 0, l->end - f->size);
                f->size = l->end;
        }
        for (uint64_t i = 0; i < l->end; i++)
                if (l->written[i])
                        f->data[i] = l->data[i];
        memset(l->written, 0, sizeof(l->written));
        l->end = 0;
}

static uint64_t seen_size(const struct file *f, unsigned m)
{
        return f->layers[m].end > f->size ? f->layers[m].end : f->size;
}

static uint8_t seen(const struct file *f, unsigned m, uint64_t i)
{
        if (f->layers[m].written[i])
                return f->layers[m].data[i];
        return i < f->size ? f->data[i] : 0;
}

static void resize(struct file *f, uint64_t size)
{
        if (size > f->size)
                memset(f->data + f->size, 0, size - f->size);
        f->size = size;
}

/* ---- steps ------------------------------------------------------------------------------------------ */

static uint64_t some_offset(struct world *w, const struct file *f)
{
        switch (below(w, 4)) {
        case 0:
                return below(w, FILE_MAX / 4096) * 4096;
        case 1:
                return f->size < FILE_MAX ? f->size : FILE_MAX;
        default:
                return below(w, FILE_MAX);
        }
}

static void step_write(struct world *w, struct file *f, unsigned m)
{
        static uint8_t data[WRITE_MAX];
        struct layer *l = &f->layers[m];
        uint64_t at = some_offset(w, f), len = 1 + below(w, below(w, 3) == 0 ? WRITE_MAX : 6000);

        if (below(w, 6) == 0)
                memset(data, 0, len);
        else
                rng_fill(&w->rng, data, len);
        assert_int_equal(fs_write(w->mounts[m].fs, f->ino, at, slice_of(data, len), 0), len);
        memcpy(l->data + at, data, len);
        memset(l->written + at, 1, len);
        if (at + len > l->end)
                l->end = at + len;
}

static void step_append(struct world *w, struct file *f, unsigned m)
{
        static uint8_t data[5000];
        uint64_t len = 1 + below(w, sizeof(data));

        if (seen_size(f, m) > FILE_MAX)
                return;
        rng_fill(&w->rng, data, len);
        assert_int_equal(fs_write(w->mounts[m].fs, f->ino, 0, slice_of(data, len), FS_WRITE_APPEND), len);
        layer_flush(f, m);
        memcpy(f->data + f->size, data, len);
        f->size += len;
}

static void step_flush(struct world *w, struct file *f, unsigned m)
{
        if (below(w, 2))
                assert_ok(fs_flush(w->mounts[m].fs, f->ino));
        else
                assert_ok(fs_fsync(w->mounts[m].fs, f->ino));
        layer_flush(f, m);
}

static void step_sync(struct world *w, struct file *f, unsigned m)
{
        assert_ok(fs_sync(w->mounts[m].fs));
        for (unsigned i = 0; i < FILES; i++)
                layer_flush(&w->files[i], m);
}

static void step_truncate(struct world *w, struct file *f, unsigned m)
{
        uint64_t size = some_offset(w, f);

        assert_ok(truncate_to(&w->mounts[m], f->ino, size));
        layer_flush(f, m);
        resize(f, size);
}

static void step_zero(struct world *w, struct file *f, unsigned m)
{
        static const int modes[] = { 0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE };
        int mode = modes[below(w, 3)];
        uint64_t at = some_offset(w, f), len = 1 + below(w, 50000), end = at + len;

        assert_ok(fs_fallocate(w->mounts[m].fs, f->ino, mode, at, len));
        layer_flush(f, m);
        if (!(mode & FALLOC_FL_KEEP_SIZE) && end > f->size)
                resize(f, end);
        for (uint64_t i = at; mode != 0 && i < end && i < f->size; i++)
                f->data[i] = 0;
}

static void step_chmod(struct world *w, struct file *f, unsigned m)
{
        assert_ok(chmod_to(&w->mounts[m], f->ino, (uint32_t)below(w, 01000)));
        layer_flush(f, m);
}

static void step_read(struct world *w, struct file *f, unsigned m)
{
        static uint8_t buf[FILE_MAX + WRITE_MAX];
        uint64_t at = some_offset(w, f), size = seen_size(f, m), len = 1 + below(w, sizeof(buf));
        uint64_t expected = at >= size ? 0 : len < size - at ? len : size - at;
        ssize_t n;

        fs_drop_read_ahead(w->mounts[m].fs, f->ino); /* as open(2) does */
        n = get(&w->mounts[m], f->ino, at, buf, len);
        assert_int_equal(n, expected);
        for (uint64_t i = 0; i < expected; i++)
                if (buf[i] != seen(f, m, at + i))
                        fail_msg("step %llu: mount %u, %s: byte %llu is %02x, not %02x",
                                 (unsigned long long)w->step, m, f->name, (unsigned long long)(at + i),
                                 buf[i], seen(f, m, at + i));
}

static void step_attr(struct world *w, struct file *f, unsigned m)
{
        uint64_t ino;

        assert_int_equal(attr(&w->mounts[m], f->ino).size, seen_size(f, m));
        assert_ok(look(&w->mounts[m], ROOT, f->name, &ino));
        assert_int_equal(ino, f->ino);
}

static void new_one(struct world *w, struct file *f, unsigned m)
{
        f->size = 0;
        f->ino = new_file(&w->mounts[m], ROOT, f->name);
        for (unsigned i = 0; i < MOUNTS; i++) {
                memset(f->layers[i].written, 0, sizeof(f->layers[i].written));
                f->layers[i].end = 0;
        }
}

static void step_replace(struct world *w, struct file *f, unsigned m)
{
        if (below(w, 4) > 0)
                return;
        assert_ok(fs_unlink(w->mounts[m].fs, ROOT, str(f->name)));
        new_one(w, f, below(w, 2));
}

static void check_all(struct world *w)
{
        fixture_check(&w->mounts[0], NULL);
        for (unsigned i = 0; i < FILES; i++)
                for (unsigned m = 0; m < MOUNTS; m++) {
                        step_read(w, &w->files[i], m);
                        step_attr(w, &w->files[i], m);
                }
}

static const struct {
        void (*run)(struct world *w, struct file *f, unsigned m);
        unsigned weight;
} steps[] = {
        { step_write, 30 }, { step_append, 4 }, { step_flush, 10 }, { step_sync, 1 }, { step_truncate, 6 },
        { step_zero, 4 },   { step_chmod, 2 },  { step_read, 20 },  { step_attr, 5 }, { step_replace, 2 },
};

static void one_step(struct world *w)
{
        unsigned total = 0, at;

        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
                total += steps[i].weight;
        at = (unsigned)below(w, total);
        for (size_t i = 0;; i++) {
                if (at < steps[i].weight) {
                        steps[i].run(w, &w->files[below(w, FILES)], (unsigned)below(w, MOUNTS));
                        return;
                }
                at -= steps[i].weight;
        }
}

static void test_two_mounts(void **state)
{
        struct world *w = calloc(1, sizeof(*w));
        char spec[40];
        struct err_text text;

        assert_non_null(w);
        rng_seed(&w->rng, seed);
        snprintf(spec, sizeof(spec), "%s+remote", fixture_spec);
        fixture_open(&w->mounts[0], spec);
        ((struct kv_limits *)(uintptr_t)kv_limits(w->mounts[0].store))->txn_plan_bytes = 40000;
        fs_close(w->mounts[0].fs);
        w->mounts[0].opts.writeback = &lazy;
        for (unsigned m = 0; m < MOUNTS; m++) {
                w->mounts[m] = w->mounts[0];
                assert_ok(fs_open(w->mounts[m].store, &w->mounts[m].opts, &w->mounts[m].fs, &text));
        }
        for (unsigned i = 0; i < FILES; i++) {
                snprintf(w->files[i].name, sizeof(w->files[i].name), "file%u", i);
                new_one(w, &w->files[i], i % MOUNTS);
        }
        for (w->step = 0; w->step < n_steps; w->step++) {
                one_step(w);
                if (w->step % 300 == 299)
                        check_all(w);
        }
        for (unsigned m = 0; m < MOUNTS; m++)
                step_sync(w, NULL, m);
        check_all(w);
        for (unsigned m = 1; m < MOUNTS; m++)
                fs_close(w->mounts[m].fs);
        fixture_close(&w->mounts[0]);
        free(w);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_two_mounts) };

        if (argc > 1)
                fixture_spec = argv[1];
        seed = fixture_seed(argc, argv);
        n_steps = fixture_number("ASHLAR_STEPS", 3000);
        return cmocka_run_group_tests(tests, NULL, NULL);
}

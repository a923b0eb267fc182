/* SPDX-License-Identifier: MIT */
/* Another mount changes a file while it is streamed: its attributes, its end, its data, its size, or its
 * name. In any order the final content is explained by the writes, and the checker finds nothing.
 *
 * test_disturbed SPEC: "mem", "mem+fault", "fdb", ...; environment ASHLAR_SEED, ASHLAR_ROUNDS. */
#include "fs/writeback/writeback.h"
#include "stream.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#define THEIRS 251u               /* byte that the other mount writes; not in the pattern */
#define FAR    (2 * STREAM_BYTES) /* beyond the end of the stream */

static uint64_t seed, rounds;

/* Legal bytes below the writer's end besides the pattern. */
enum { MAY_BE_ZERO = 1, MAY_BE_THEIRS = 2 };

enum what { ATTRIBUTES, LONGER, INTO, CUT, ZERO, GONE };

struct disturber {
        struct writer *w;
        enum what what;
        struct rng rng;
        uint8_t allowed[STREAM_BYTES];
        uint64_t least; /* lower bound of the final size */
        bool far;       /* the other mount extended it beyond the stream */
        uint32_t mode;
        unsigned done;
        pthread_t thread;
};

static struct fixture *other(const struct disturber *d)
{
        return &d->w->s->b;
}

static uint64_t some(struct disturber *d, uint64_t n)
{
        return rng_below(&d->rng, n);
}

/* All data written from now on is there in the end. */
static uint64_t writer_is_at(const struct disturber *d)
{
        return atomic_load(&d->w->under_way);
}

static void allow(struct disturber *d, uint64_t from, uint64_t to, uint8_t what)
{
        for (uint64_t i = from; i < to && i < STREAM_BYTES; i++)
                d->allowed[i] |= what;
}

/* ---- changes by the other mount ----------------------------------------------------------------------- */

/* The writer may extend it again. */
static int set_size(struct disturber *d, uint64_t size)
{
        struct fs_setattr set = { .set = FS_SET_SIZE, .size = size };
        struct fs_attr a;

        return fs_setattr(other(d)->fs, d->w->ino, &set, &a);
}

static void do_attributes(struct disturber *d)
{
        struct fs_setattr set = { .set = FS_SET_ATIME, .atime = { (time_t)some(d, 1000000), 7 } };
        struct fixture *f = other(d);
        struct fs_attr a;
        char name[32];

        switch (some(d, 4)) {
        case 0:
                d->mode = (uint32_t)some(d, 01000);
                must(chmod_to(f, d->w->ino, d->mode) == 0);
                break;
        case 1:
                must(fs_setattr(f->fs, d->w->ino, &set, &a) == 0);
                break;
        case 2:
                must(fs_setxattr(f->fs, d->w->ino, str("user.x"), str("value"), 0) == 0);
                break;
        case 3:
                snprintf(name, sizeof(name), "link %u", d->done);
                must(hardlink(f, d->w->ino, ROOT, name) == 0);
                break;
        }
}

/* No data of the writer is lost. */
static void do_longer(struct disturber *d)
{
        static uint8_t theirs[3000];
        struct fixture *f = other(d);
        size_t len = 1 + (size_t)some(d, sizeof(theirs));

        memset(theirs, THEIRS, sizeof(theirs));
        switch (some(d, 8)) {
        case 0:
                d->far = true;
                must(set_size(d, FAR + some(d, 100000)) == 0);
                break;
        case 1:
                d->far = true;
                must(fs_fallocate(f->fs, d->w->ino, 0, FAR, 1 + some(d, 100000)) == 0);
                break;
        default:
                must(fs_write(f->fs, d->w->ino, 0, slice_of(theirs, len), FS_WRITE_APPEND) == (ssize_t)len);
        }
}

static void do_into(struct disturber *d)
{
        static uint8_t theirs[30000];
        size_t len = 1 + (size_t)some(d, some(d, 2) ? 100 : sizeof(theirs));
        uint64_t at = some(d, d->w->len - len);

        memset(theirs, THEIRS, sizeof(theirs));
        must(fs_write(other(d)->fs, d->w->ino, at, slice_of(theirs, len), 0) == (ssize_t)len);
        must(fs_fsync(other(d)->fs, d->w->ino) == 0);
        allow(d, at, at + len, MAY_BE_THEIRS);
}

static void do_cut(struct disturber *d)
{
        uint64_t size = attr(other(d), d->w->ino).size,
                 to = some(d, 3) == 0 ? some(d, size + 1) : size - some(d, size < 200000 ? size + 1 : 200000);

        if (to > d->w->len)
                to = d->w->len;
        must(set_size(d, to) == 0);
        allow(d, to, writer_is_at(d), MAY_BE_ZERO);
        d->far = false;
        d->least = writer_is_at(d) < d->w->len ? d->w->len : to;
}

static void do_zero(struct disturber *d)
{
        static const int modes[] = { FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
        uint64_t at = some(d, d->w->len), len = 1 + some(d, 100000);

        must(fs_fallocate(other(d)->fs, d->w->ino, modes[some(d, 2)], at, len) == 0);
        allow(d, at, at + len < writer_is_at(d) ? at + len : writer_is_at(d), MAY_BE_ZERO);
}

static void do_something(struct disturber *d)
{
        enum what what = d->what == GONE ? some(d, GONE) : d->what;

        switch (what) {
        case ATTRIBUTES:
                do_attributes(d);
                break;
        case LONGER:
                do_longer(d);
                break;
        case INTO:
                do_into(d);
                break;
        case CUT:
                do_cut(d);
                break;
        case ZERO:
                do_zero(d);
                break;
        default:
                break;
        }
        d->done++;
}

static void *disturber_main(void *arg)
{
        struct disturber *d = arg;
        unsigned n = 1 + (unsigned)some(d, 12);

        while (d->done < n && !atomic_load(&d->w->done)) {
                usleep((useconds_t)some(d, 4000));
                do_something(d);
        }
        if (d->what == GONE) {
                usleep((useconds_t)some(d, 4000));
                must(fs_unlink(other(d)->fs, ROOT, str("file")) == 0);
        }
        return NULL;
}

/* ---- the final content -------------------------------------------------------------------------------- */

static void check_bytes(const struct disturber *d)
{
        static uint8_t got[STREAM_BYTES];
        uint64_t len = d->w->len, size = attr(other(d), d->w->ino).size;

        assert_true(size >= d->least);
        assert_true(!d->far || size >= FAR);
        if (len > size)
                len = size;
        for (uint64_t at = 0; at < len; at += 1 << 20)
                assert_true(get(other(d), d->w->ino, at, got + at, len - at < 1 << 20 ? len - at : 1 << 20) >
                            0);
        for (uint64_t i = 0; i < len; i++)
                if (got[i] != stream_pattern[i] && !(got[i] == 0 && (d->allowed[i] & MAY_BE_ZERO)) &&
                    !(got[i] == THEIRS && (d->allowed[i] & MAY_BE_THEIRS)))
                        fail_msg("byte %llu of %llu is %02x, not %02x", (unsigned long long)i,
                                 (unsigned long long)size, got[i], stream_pattern[i]);
        /* Behind the writer's end. */
        for (uint64_t at = len; at < size; at += 1 << 20) {
                ssize_t n = get(other(d), d->w->ino, at, got, 1 << 20);

                for (ssize_t i = 0; i < n; i++)
                        assert_true(got[i] == 0 || got[i] == THEIRS);
        }
}

/* Data in flight does not appear when the file is extended, and st_blocks is right after it is written
 * again. */
static void check_after(struct disturber *d)
{
        struct stream *s = d->w->s;
        uint64_t len = d->w->len;

        assert_ok(truncate_to(&s->b, d->w->ino, len));
        assert_ok(truncate_to(&s->b, d->w->ino, len + 2 * STREAM_BLOCKS * BLOCK));
        assert_zeros(&s->b, d->w->ino, len, 2 * STREAM_BLOCKS * BLOCK);
        assert_ok(truncate_to(&s->b, d->w->ino, len));
        d->w->result = 0;
        atomic_store(&d->w->done, false);
        writer_start(d->w);
        writer_join(d->w);
        assert_ok(fs_fsync(s->a.fs, d->w->ino));
        stream_compare(&s->b, d->w->ino, stream_pattern, len);
}

static void check_gone(struct disturber *d)
{
        int r = fs_fsync(d->w->s->a.fs, d->w->ino);

        if (r != -ESTALE && r != -ENOENT)
                assert_ok(r);
        assert_int_equal(fs_writeback_bytes(d->w->s->a.fs), 0);
        if (d->done > 0)
                return; /* may have links */
        fixture_drain(&d->w->s->b);
        assert_int_equal(count_keys(d->w->s->b.store, "f"), 0);
}

static void one_round(uint64_t number, enum what what)
{
        struct disturber *d = calloc(1, sizeof(*d));
        struct stream_opts opts = { .faults = true };
        struct stream s;
        struct writer w;

        assert_non_null(d);
        d->what = what;
        rng_seed(&d->rng, number);
        opts.threads = 1 + (unsigned)some(d, 6);
        opts.unregistered = some(d, 4) == 0;
        opts.age_ms = some(d, 3) == 0 ? 5 : 0;
        stream_open(&s, fixture_spec, number, &opts);
        w = (struct writer){ .s = &s,
                             .seed = number,
                             .most = 1000 + some(d, 30000),
                             .may_fail = what == GONE,
                             .whole_blocks = some(d, 3) > 0,
                             .len = (3 + some(d, 9)) * STREAM_BLOCKS * BLOCK };
        w.len += some(d, 2) ? some(d, BLOCK) : 0;
        w.ino = s.spy->ino = new_file(&s.a, ROOT, "file");
        d->w = &w;
        d->mode = 0644;
        d->least = w.len;
        assert_int_equal(pthread_create(&d->thread, NULL, disturber_main, d), 0);
        writer_start(&w);
        writer_join(&w);
        pthread_join(d->thread, NULL);
        if (what == GONE) {
                check_gone(d);
        } else {
                assert_ok(fs_fsync(s.a.fs, w.ino));
                stream_check(&s);
                check_bytes(d);
                if (what == ATTRIBUTES)
                        assert_int_equal(attr(&s.b, w.ino).mode & 0777, d->mode);
                if (what == ATTRIBUTES && !opts.unregistered)
                        assert_int_equal(attr(&s.b, w.ino).blocks,
                                         stream_blocks_of(&s, stream_pattern, w.len));
                check_after(d);
        }
        stream_close(&s);
        free(d);
}

static void rounds_of(enum what what)
{
        for (uint64_t i = 0; i < rounds; i++)
                one_round(seed + i, what);
}

/* A prefix of the data of an evicted mount is there, nothing else, and the loss is reported. */
static void evicted_round(uint64_t number)
{
        struct stream_opts opts = { .faults = true };
        struct stream s;
        struct writer w;
        struct rng rng;
        uint64_t size;

        rng_seed(&rng, number);
        opts.threads = 1 + (unsigned)rng_below(&rng, 6);
        stream_open(&s, fixture_spec, number, &opts);
        w = (struct writer){ .s = &s,
                             .seed = number,
                             .most = 1000 + rng_below(&rng, 30000),
                             .whole_blocks = rng_below(&rng, 2),
                             .len = STREAM_BYTES };
        w.ino = s.spy->ino = new_file(&s.a, ROOT, "file");
        writer_start(&w);
        usleep((useconds_t)rng_below(&rng, 10000));
        stream_evict(&s);
        size = attr(&s.b, w.ino).size;
        writer_join(&w);
        /* Without a session writes succeed, and a loss is reported later, if there is any. */
        if (size < w.len)
                assert_fails(fs_fsync(s.a.fs, w.ino), ERR_FENCED);
        assert_int_equal(fs_writeback_bytes(s.a.fs), 0);
        assert_int_equal(attr(&s.b, w.ino).size, size);
        assert_data(&s.b, w.ino, 0, stream_pattern, size);
        stream_check(&s);
        assert_ok(truncate_to(&s.b, w.ino, size + STREAM_BLOCKS * BLOCK));
        assert_zeros(&s.b, w.ino, size, STREAM_BLOCKS * BLOCK);
        stream_close(&s);
}

static void test_evicted(void **state)
{
        for (uint64_t i = 0; i < rounds; i++)
                evicted_round(seed + i);
}

static void test_attributes(void **state)
{
        rounds_of(ATTRIBUTES);
}

static void test_longer(void **state)
{
        rounds_of(LONGER);
}

static void test_written_into(void **state)
{
        rounds_of(INTO);
}

static void test_cut(void **state)
{
        rounds_of(CUT);
}

static void test_zeroed(void **state)
{
        rounds_of(ZERO);
}

static void test_gone(void **state)
{
        rounds_of(GONE);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_attributes),   cmocka_unit_test(test_longer),
                cmocka_unit_test(test_written_into), cmocka_unit_test(test_cut),
                cmocka_unit_test(test_zeroed),       cmocka_unit_test(test_gone),
                cmocka_unit_test(test_evicted),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        seed = fixture_seed(argc, argv);
        rounds = fixture_number("ASHLAR_ROUNDS", 5);
        if (argc > 2)
                cmocka_set_test_filter(argv[2]);
        alarm(240);
        return cmocka_run_group_tests(tests, NULL, NULL);
}

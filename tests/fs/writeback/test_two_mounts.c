/* SPDX-License-Identifier: MIT */
/* The write-back cache: two mounts that change one file. */
#include "pair.h"

#include <pthread.h>
#include <unistd.h>

/* A flush replaces only written bytes: other bytes of the same block stay. */
static void test_same_block(void **state)
{
        struct pair p;
        uint64_t ino;

        open_pair(&p, "mem+remote", &lazy);
        ino = new_file(&p.a, ROOT, "file");
        put(&p.a, ino, 0, "..........");
        assert_ok(fs_flush(p.a.fs, ino));
        put(&p.a, ino, 1, "aa");
        put(&p.b, ino, 2, "bb");
        put(&p.a, ino, 6, "a");
        put(&p.b, ino, 8, "b");
        assert_data(&p.a, ino, 0, ".aa...a...", 10);
        assert_data(&p.b, ino, 0, "..bb....b.", 10);
        assert_ok(fs_flush(p.b.fs, ino));
        /* A mount reads its dirty bytes over those that the other committed, and a flush overwrites these. */
        assert_data(&p.a, ino, 0, ".aab..a.b.", 10);
        assert_ok(fs_flush(p.a.fs, ino));
        assert_data(&p.b, ino, 0, ".aab..a.b.", 10);
        close_pair(&p);
}

/* Effects follow the order of commits. Truncated data does not reappear. */
static void test_truncated_by_other(void **state)
{
        struct pair p;

        fill_big();
        open_pair(&p, "mem+remote", &lazy);
        for (size_t blocks = 2; blocks < 200; blocks += 100) {
                uint64_t ino = new_file(&p.a, ROOT, blocks == 2 ? "a" : "b");

                write_at(&p.a, ino, 0, big, sizeof(big));
                assert_ok(fs_flush(p.a.fs, ino));
                write_at(&p.a, ino, 20 * BLOCK, big + 7, blocks * BLOCK);
                assert_ok(truncate_to(&p.b, ino, 10));
                assert_int_equal(attr(&p.a, ino).size, (20 + blocks) * BLOCK);
                assert_zeros(&p.a, ino, 10, 20 * BLOCK - 10);
                assert_ok(fs_flush(p.a.fs, ino));
                assert_int_equal(attr(&p.b, ino).size, (20 + blocks) * BLOCK);
                assert_data(&p.b, ino, 0, big, 10);
                assert_zeros(&p.b, ino, 10, 20 * BLOCK - 10);
                assert_data(&p.b, ino, 20 * BLOCK, big + 7, blocks * BLOCK);
        }
        close_pair(&p);
}

static void test_append(void **state)
{
        struct pair p;
        uint64_t ino;

        open_pair(&p, "mem+remote", &lazy);
        ino = new_file(&p.a, ROOT, "file");
        put(&p.a, ino, 0, "one ");
        assert_int_equal(fs_write(p.a.fs, ino, 0, str("two "), FS_WRITE_APPEND), 4);
        assert_int_equal(fs_write(p.b.fs, ino, 0, str("three "), FS_WRITE_APPEND), 6);
        assert_int_equal(fs_write(p.a.fs, ino, 0, str("four"), FS_WRITE_APPEND), 4);
        assert_data(&p.a, ino, 0, "one two three four", 18);
        assert_data(&p.b, ino, 0, "one two three four", 18);
        close_pair(&p);
}

/* Both extend the file at the same time, each with its own blocks. */
struct extender {
        struct fixture *f;
        uint64_t ino;
        unsigned which;
};

#define ROUNDS 6u

static void *extend_main(void *arg)
{
        struct extender *x = arg;

        for (unsigned round = 0; round < ROUNDS; round++) {
                for (unsigned i = 0; i < 60; i++) {
                        uint64_t at = ((uint64_t)(round * 60 + i) * 2 + x->which) * BLOCK;

                        assert_int_equal(fs_write(x->f->fs, x->ino, at, slice_of(big + at % 1000, BLOCK), 0),
                                         BLOCK);
                }
                assert_ok(fs_flush(x->f->fs, x->ino));
        }
        return NULL;
}

static void test_both_extend(void **state)
{
        struct extender x[2];
        pthread_t thread[2];
        struct pair p;
        uint64_t ino;

        fill_big();
        open_pair(&p, "mem+remote", &lazy);
        ino = new_file(&p.a, ROOT, "file");
        for (unsigned i = 0; i < 2; i++) {
                x[i] = (struct extender){ .f = i ? &p.b : &p.a, .ino = ino, .which = i };
                assert_int_equal(pthread_create(&thread[i], NULL, extend_main, &x[i]), 0);
        }
        for (unsigned i = 0; i < 2; i++)
                pthread_join(thread[i], NULL);
        assert_int_equal(attr(&p.a, ino).size, 2 * 60 * ROUNDS * BLOCK);
        for (uint64_t at = 0; at < 2 * 60 * ROUNDS * BLOCK; at += BLOCK)
                assert_data(&p.a, ino, at, big + at % 1000, BLOCK);
        close_pair(&p);
}

/* One mount writes repeatedly while another truncates the file, or removes it. In any order the checker finds
 * nothing, and the file consists of written bytes. */
struct cutter {
        struct fixture *f;
        uint64_t ino, seed;
        bool unlink;
        int result;
};

static void *cut_main(void *arg)
{
        struct cutter *c = arg;
        struct fs_attr a; /* the other may have extended it again */
        struct rng rng;

        rng_seed(&rng, c->seed);
        for (unsigned i = 0; i < 12 && !c->unlink && c->result >= 0; i++) {
                struct fs_setattr set = { .set = FS_SET_SIZE, .size = rng_below(&rng, 70 * BLOCK) };

                c->result = fs_setattr(c->f->fs, c->ino, &set, &a);
        }
        if (c->unlink) {
                usleep((useconds_t)rng_below(&rng, 3000));
                c->result = fs_unlink(c->f->fs, ROOT, str("file"));
        }
        return NULL;
}

static void cut_round(struct pair *p, uint64_t number, bool unlink)
{
        static uint8_t got[70 * BLOCK];
        uint64_t ino = new_file(&p->a, ROOT, "file");
        struct cutter c = { .f = &p->b, .ino = ino, .seed = number, .unlink = unlink };
        pthread_t thread;
        int r = 0;

        assert_int_equal(pthread_create(&thread, NULL, cut_main, &c), 0);
        for (unsigned i = 0; i < 6 && r == 0; i++) {
                ssize_t n = fs_write(p->a.fs, ino, 0, slice_of(big, 60 * BLOCK), 0);

                r = n < 0 ? (int)n : fs_flush(p->a.fs, ino);
                if (r != 0 && (!unlink || (r != -ESTALE && r != -ENOENT)))
                        fail_msg("flush: %s", err_str(r));
        }
        pthread_join(thread, NULL);
        assert_ok(c.result);
        if (!unlink) {
                ssize_t n = get(&p->b, ino, 0, got, sizeof(got));

                for (ssize_t i = 0; i < n; i++)
                        if (got[i] != 0 && got[i] != big[i])
                                fail_msg("byte %zd is %02x", i, got[i]);
                assert_ok(fs_unlink(p->b.fs, ROOT, str("file")));
        }
        fixture_check(&p->a, NULL);
        fixture_drain(&p->a);
        assert_int_equal(count_keys(p->a.store, "f"), 0);
}

static void test_truncated_while_flushing(void **state)
{
        struct pair p;

        fill_big();
        open_pair(&p, "mem+fault+remote", &lazy);
        for (uint64_t i = 0; i < 30; i++) {
                kv_fault_set(p.a.fault, &(struct kv_fault_opts){ .slow_ppm = 30000, .slow_us = 300 });
                cut_round(&p, fixture_number("ASHLAR_SEED", 1) + i, i % 3 == 2);
        }
        close_pair(&p);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_same_block),
                cmocka_unit_test(test_truncated_by_other),
                cmocka_unit_test(test_append),
                cmocka_unit_test(test_both_extend),
                cmocka_unit_test(test_truncated_while_flushing),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        fixture_seed(argc, argv);
        memset(big, 'g', sizeof(big));
        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The write-back cache: when dirty data is committed, in how many transactions, and how writers wait. */
#include "pair.h"

#include <pthread.h>
#include <unistd.h>

/* ---- cost ---------------------------------------------------------------------------------------- */

/* Create, write, close: two transactions, each with one round of reads. */
static void test_small_file(void **state)
{
        struct kv_stats stats;
        struct pair p;
        uint64_t ino;

        open_pair(&p, "mem+stats+remote", &lazy);
        new_file(&p.a, ROOT, "first"); /* takes a range of numbers */
        kv_stats_reset(p.a.stats);
        ino = new_file(&p.a, ROOT, "file");
        kv_stats_get(p.a.stats, &stats);
        assert_int_equal(stats.txns, 1);
        write_at(&p.a, ino, 0, big, BLOCK);
        kv_stats_get(p.a.stats, &stats);
        assert_int_equal(stats.txns, 1);
        assert_ok(fs_flush(p.a.fs, ino));
        kv_stats_get(p.a.stats, &stats);
        assert_int_equal(stats.txns, 2);
        assert_int_equal(stats.read_rounds, 2);
        assert_ok(fs_flush(p.a.fs, ino));
        kv_stats_get(p.a.stats, &stats);
        assert_int_equal(stats.txns, 2);
        assert_data(&p.b, ino, 0, big, BLOCK);
        close_pair(&p);
}

/* Flushes INO in N transactions without conflicts. */
static void flush_in(struct pair *p, uint64_t ino, unsigned n)
{
        struct kv_stats stats;

        kv_stats_reset(p->a.stats);
        assert_ok(fs_flush(p->a.fs, ino));
        kv_stats_get(p->a.stats, &stats);
        assert_int_equal(stats.txns, n);
        assert_int_equal(stats.conflicts, 0);
}

/* The intent record, a transaction for each five blocks, the last step. */
static void test_large_file(void **state)
{
        struct pair p;
        uint64_t ino;

        if (strstr(fixture_spec, "+fault"))
                return; /* not registered, so that collectors may disturb it */
        open_pair(&p, "mem+stats+remote", &lazy);
        ino = new_file(&p.a, ROOT, "file");
        write_at(&p.a, ino, 0, big, 101 * BLOCK);
        flush_in(&p, ino, 22);
        assert_int_equal(attr(&p.b, ino).size, 101 * BLOCK);
        assert_int_equal(attr(&p.b, ino).blocks, 101 * BLOCK / 512);
        assert_int_equal(count_keys(p.a.store, "g"), 0);
        write_at(&p.a, ino, 0, big + 1, 100 * BLOCK);
        flush_in(&p, ino, 22);
        assert_data(&p.b, ino, 0, big + 1, 100 * BLOCK);
        /* From within a block, which is written with the size. */
        assert_ok(truncate_to(&p.a, ino, 99 * BLOCK + 50));
        write_at(&p.a, ino, 99 * BLOCK + 20, big, 100 * BLOCK);
        flush_in(&p, ino, 22);
        assert_data(&p.b, ino, 99 * BLOCK + 20, big, 100 * BLOCK);
        close_pair(&p);
}

/* Into a file that is one hole: st_blocks is counted beside the record. */
static void test_fill_hole(void **state)
{
        struct pair p;
        uint64_t ino;

        open_pair(&p, "mem+stats+remote", &lazy);
        ino = new_file(&p.a, ROOT, "file");
        assert_ok(truncate_to(&p.a, ino, 200 * BLOCK));
        write_at(&p.a, ino, 0, big, 150 * BLOCK);
        assert_ok(fs_flush(p.a.fs, ino));
        assert_int_equal(attr(&p.b, ino).blocks, 150 * BLOCK / 512);
        assert_int_equal(attr(&p.b, ino).size, 200 * BLOCK);
        fixture_check(&p.a, NULL);
        assert_ok(truncate_to(&p.b, ino, 0));
        assert_int_equal(attr(&p.b, ino).blocks, 0);
        close_pair(&p);
}

/* ---- times of flushes ---------------------------------------------------------------------------- */

/* The timer flushes. */
static void test_timer(void **state)
{
        static const struct fs_writeback_opts quick = { .age_ms = 20 };
        struct pair p;
        uint64_t ino;

        open_pair(&p, "mem+remote", &quick);
        ino = new_file(&p.a, ROOT, "file");
        put(&p.a, ino, 0, "x");
        for (int i = 0; attr(&p.b, ino).size == 0; i++) {
                if (i == 2000)
                        fail_msg("nothing is flushed");
                usleep(5000);
        }
        assert_data(&p.b, ino, 0, "x", 1);
        close_pair(&p);
}

/* Data written after a sync waits for the next flush. (Once a sync requested some flushes twice; the
 * second one ran after it and committed later data.) */
static void test_sync_is_over(void **state)
{
        /* More threads than CPUs, so that some run late. */
        static const struct fs_writeback_opts crowd = { .age_ms = FOREVER, .threads = 30 };
        uint64_t ino[30];
        struct pair p;

        open_pair(&p, "mem+remote", &crowd);
        for (unsigned i = 0; i < 30; i++)
                ino[i] = new_file(&p.a, ROOT, (const char[]){ (char)('A' + i), '\0' });
        for (uint64_t round = 0; round < 100; round++) {
                for (unsigned i = 0; i < 30; i++)
                        put(&p.a, ino[i], 2 * round, "x");
                assert_ok(fs_sync(p.a.fs));
                for (unsigned i = 0; i < 30; i++)
                        put(&p.a, ino[i], 2 * round + 1, "y");
                for (unsigned i = 0; i < 30; i++)
                        assert_int_equal(attr(&p.b, ino[i]).size, 2 * round + 1);
        }
        close_pair(&p);
}

/* ---- limits ------------------------------------------------------------------------------------- */

/* Many small writes into one block. */
static void test_small_writes(void **state)
{
        uint8_t expected[BLOCK] = { 0 };
        struct pair p;
        uint64_t ino;

        open_pair(&p, "mem+remote", &lazy);
        ino = new_file(&p.a, ROOT, "file");
        for (unsigned i = 0; i < BLOCK; i += 2) {
                expected[i] = (uint8_t)(1 + i % 250);
                write_at(&p.a, ino, i, &expected[i], 1);
        }
        assert_data(&p.a, ino, 0, expected, BLOCK - 1);
        assert_ok(fs_flush(p.a.fs, ino));
        assert_data(&p.b, ino, 0, expected, BLOCK - 1);
        close_pair(&p);
}

static const struct kv_fault_opts no_space = { .no_space_ppm = 1000000 };
static const struct kv_fault_opts none = { 0 };

static void test_writers_wait(void **state)
{
        static const struct fs_writeback_opts small = { .age_ms = FOREVER,
                                                        .inode_bytes = 50000,
                                                        .total_bytes = 90000 };
        struct pair p;
        uint64_t ino[4];

        fill_big();
        open_pair(&p, "mem+fault+remote", &small);
        for (int i = 0; i < 4; i++)
                ino[i] = new_file(&p.a, ROOT, (const char *[]){ "a", "b", "c", "d" }[i]);
        for (size_t at = 0; at < 40 * BLOCK; at += BLOCK)
                for (int i = 0; i < 4; i++) {
                        write_at(&p.a, ino[i], at, big + at, BLOCK);
                        assert_true(fs_writeback_bytes(p.a.fs) <= 90000);
                }
        assert_ok(fs_sync(p.a.fs));
        for (int i = 0; i < 4; i++)
                assert_data(&p.b, ino[i], 0, big, 40 * BLOCK);
        /* Full of blocks that cannot be flushed, the cache reports the error and does not wait. */
        kv_fault_set(p.a.fault, &no_space);
        ssize_t n = 1;
        for (int i = 0; i < 100 && n > 0; i++)
                n = fs_write(p.a.fs, ino[i % 4], (uint64_t)i * BLOCK, slice_of(big, BLOCK), 0);
        assert_fails(n, ENOSPC);
        kv_fault_set(p.a.fault, &none);
        assert_ok(fs_sync(p.a.fs));
        close_pair(&p);
}

/* Many files and memory for one block: a waiting writer gets it after the others. */
struct crowd {
        struct fixture *f;
        uint64_t ino[6];
        _Atomic unsigned next;
};

static void *crowd_main(void *arg)
{
        struct crowd *c = arg;
        unsigned i = atomic_fetch_add(&c->next, 1) % 6;

        assert_int_equal(fs_write(c->f->fs, c->ino[i], 0, slice_of(big, BLOCK), 0), BLOCK);
        return NULL;
}

static void test_crowd(void **state)
{
        static const struct fs_writeback_opts tiny = { .age_ms = FOREVER, .total_bytes = 1 };
        pthread_t threads[6];
        struct crowd c = { .next = 0 };
        struct pair p;

        open_pair(&p, "mem+remote", &tiny);
        c.f = &p.a;
        for (int i = 0; i < 6; i++)
                c.ino[i] = new_file(&p.a, ROOT, (const char[]){ (char)('a' + i), '\0' });
        for (int round = 0; round < 100; round++) {
                for (int i = 0; i < 6; i++)
                        assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, &c), 0);
                for (int i = 0; i < 6; i++)
                        pthread_join(threads[i], NULL);
        }
        assert_ok(fs_sync(p.a.fs));
        for (int i = 0; i < 6; i++)
                assert_data(&p.b, c.ino[i], 0, big, BLOCK);
        close_pair(&p);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_small_file),   cmocka_unit_test(test_large_file),
                cmocka_unit_test(test_fill_hole),    cmocka_unit_test(test_timer),
                cmocka_unit_test(test_sync_is_over), cmocka_unit_test(test_small_writes),
                cmocka_unit_test(test_writers_wait), cmocka_unit_test(test_crowd),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        fixture_seed(argc, argv);
        memset(big, 'g', sizeof(big));
        return cmocka_run_group_tests(tests, NULL, NULL);
}

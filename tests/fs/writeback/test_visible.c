/* SPDX-License-Identifier: MIT */
/* The write-back cache: what the mount itself and another one read before, during and after a flush. */
#include "pair.h"

#include <pthread.h>

/* ---- visibility ----------------------------------------------------------------------------------- */

struct found {
        const char *name;
        struct fs_attr attr;
};

static int find_entry(const struct fs_entry *entry, void *arg)
{
        struct found *f = arg;

        if (!slice_eq(entry->name, slice_str(f->name)))
                return 1;
        f->attr = *entry->attr;
        return 0;
}

static void assert_sees(struct fixture *f, uint64_t ino, const char *name, uint64_t size)
{
        struct found found = { .name = name };
        struct fs_attr a;

        assert_int_equal(attr(f, ino).size, size);
        assert_ok(fs_lookup(f->fs, ROOT, str(name), &a));
        fs_forget(f->fs, ino, 1);
        assert_int_equal(a.size, size);
        assert_int_equal(fs_readdir(f->fs, ROOT, str(""), FS_READDIR_PLUS, find_entry, &found), 0);
        assert_int_equal(found.attr.size, size);
}

static void test_read_own_writes(void **state)
{
        struct timespec before;
        struct fs_attr a;
        struct pair p;
        uint64_t ino;

        open_pair(&p, "mem+remote", &lazy);
        ino = new_file(&p.a, ROOT, "file");
        before = now(&p.b);
        tick(&p.a);
        put(&p.a, ino, 5000, "buffered");
        assert_sees(&p.a, ino, "file", 5008);
        assert_sees(&p.b, ino, "file", 0);
        assert_times(attr(&p.a, ino).mtime, now(&p.a));
        assert_times(attr(&p.b, ino).mtime, before);
        assert_zeros(&p.a, ino, 0, 5000);
        assert_data(&p.a, ino, 5000, "buffered", 8);
        put(&p.a, ino, 5002, "TH");
        assert_data(&p.a, ino, 5000, "buTHered", 8);
        assert_ok(fs_rename(p.a.fs, ROOT, str("file"), ROOT, str("new"), 0, NULL));
        assert_sees(&p.a, ino, "new", 5008);
        assert_ok(fs_link(p.a.fs, ino, ROOT, str("link"), &a));
        fs_forget(p.a.fs, ino, 1);
        assert_int_equal(a.size, 5008);
        assert_ok(fs_flush(p.a.fs, ino));
        assert_sees(&p.b, ino, "new", 5008);
        assert_data(&p.b, ino, 5000, "buTHered", 8);
        /* The mtime is that of the write, not of the flush. */
        assert_times(attr(&p.b, ino).mtime, now(&p.a));
        close_pair(&p);
}

static void assert_file_times(struct fixture *f, uint64_t ino, struct timespec mtime, struct timespec ctime)
{
        struct fs_attr a = attr(f, ino);

        assert_times(a.mtime, mtime);
        assert_times(a.ctime, ctime);
}

/* As without the cache: the times are those of the write, and a change between write and flush is
 * later. */
static void test_times(void **state)
{
        struct pair p;

        open_pair(&p, "mem+remote", &lazy);
        for (size_t blocks = 1; blocks < 200; blocks += 100) {
                uint64_t ino = new_file(&p.a, ROOT, blocks == 1 ? "small" : "large");
                struct timespec written, changed, kept;

                tick(&p.a);
                written = now(&p.a);
                write_at(&p.a, ino, 0, big, blocks * BLOCK);
                assert_file_times(&p.a, ino, written, written);
                tick(&p.a);
                changed = now(&p.a);
                assert_ok(chmod_to(&p.b, ino, 0600));
                tick(&p.a);
                assert_file_times(&p.a, ino, written, changed);
                assert_ok(fs_flush(p.a.fs, ino));
                assert_file_times(&p.b, ino, written, changed);

                kept = now(&p.a);
                assert_int_equal(fs_write(p.a.fs, ino, 1, slice_of(big, blocks * BLOCK), FS_WRITE_KEEP_TIMES),
                                 blocks * BLOCK);
                tick(&p.a);
                assert_file_times(&p.a, ino, written, kept);
                assert_ok(fs_flush(p.a.fs, ino));
                assert_file_times(&p.b, ino, written, kept);
        }
        close_pair(&p);
}

static void test_errors_of_write(void **state)
{
        struct pair p;
        uint64_t dir, link;

        open_pair(&p, "mem+remote", &lazy);
        dir = new_dir(&p.a, ROOT, "dir");
        link = new_symlink(&p.a, ROOT, "link", "x");
        assert_fails(fs_write(p.a.fs, dir, 0, str("x"), 0), EISDIR);
        assert_fails(fs_write(p.a.fs, link, 0, str("x"), 0), EINVAL);
        assert_fails(fs_write(p.a.fs, 999, 0, str("x"), 0), ENOENT);
        assert_fails(fs_write(p.a.fs, dir, INT64_MAX, str("x"), 0), EFBIG);
        close_pair(&p);
}

/* A write drops the privilege bits, also when it is flushed in parallel. */
static void test_kill_priv(void **state)
{
        struct pair p;

        open_pair(&p, "mem+remote", &lazy);
        for (size_t blocks = 1; blocks < 200; blocks += 100) {
                uint64_t ino = new_file(&p.a, ROOT, blocks == 1 ? "a" : "b");

                assert_ok(chmod_to(&p.a, ino, 04755));
                assert_ok(fs_setxattr(p.a.fs, ino, str("security.capability"), str("v"), 0));
                assert_int_equal(fs_write(p.a.fs, ino, 0, slice_of(big, blocks * BLOCK), FS_WRITE_KILL_PRIV),
                                 blocks * BLOCK);
                assert_int_equal(attr(&p.a, ino).mode, S_IFREG | 0755);
                assert_ok(fs_flush(p.a.fs, ino));
                assert_int_equal(attr(&p.b, ino).mode, S_IFREG | 0755);
                assert_fails(fs_getxattr(p.b.fs, ino, str("security.capability"), NULL, 0), ENODATA);
        }
        close_pair(&p);
}

/* ---- during a flush ----------------------------------------------------------------------------- */

/* Threads of one mount read each other's writes at once, before, during and after a flush. */
struct watched {
        struct pair p;
        uint64_t ino;
        _Atomic uint64_t size;
        _Atomic bool done;
};

static void *watch_main(void *arg)
{
        struct watched *w = arg;

        while (!atomic_load(&w->done)) {
                uint64_t least = atomic_load(&w->size);

                assert_true(attr(&w->p.a, w->ino).size >= least);
        }
        return NULL;
}

static void test_read_while_flushing(void **state)
{
        struct watched w = { .ino = 0 };
        pthread_t threads[2];

        open_pair(&w.p, "mem+fault+remote", &lazy);
        kv_fault_set(w.p.a.fault, &(struct kv_fault_opts){ .slow_ppm = 100000, .slow_us = 200 });
        w.ino = new_file(&w.p.a, ROOT, "file");
        for (int i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&threads[i], NULL, watch_main, &w), 0);
        for (uint64_t i = 0; i < 600; i++) {
                put(&w.p.a, w.ino, i * 10, "0123456789");
                atomic_store(&w.size, (i + 1) * 10);
                if (i % 3 == 2)
                        assert_ok(fs_flush(w.p.a.fs, w.ino));
        }
        atomic_store(&w.done, true);
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        close_pair(&w.p);
}

/* A late reader detects a commit of its mount, also when the entry of the inode was freed and made again. */
static void test_entry_made_again(void **state)
{
        uint8_t buf[4] = { 0 };
        fs_writeback_mark mark;
        struct pair p;
        uint64_t ino;

        open_pair(&p, "mem+remote", &lazy);
        ino = new_file(&p.a, ROOT, "file");
        mark = fs_writeback_now(p.a.fs);
        put(&p.a, ino, 0, "old");
        assert_ok(fs_flush(p.a.fs, ino));
        for (uint64_t other = 1000000; other < 1003000; other++)
                fs_writeback_created(p.a.fs, other);
        assert_int_equal(fs_writeback_apply(p.a.fs, mark, ino, 0, buf, 3), 1);
        put(&p.a, ino, 1, "e");
        assert_int_equal(fs_writeback_apply(p.a.fs, mark, ino, 0, buf, 3), 1);
        mark = fs_writeback_now(p.a.fs);
        assert_int_equal(fs_writeback_apply(p.a.fs, mark, ino, 0, buf, 3), 0);
        assert_data(&p.a, ino, 0, "oed", 3);
        close_pair(&p);
}

/* While one mount extends a file, the other never sees a size that covers blocks not committed yet. */
struct growing {
        struct pair p;
        uint64_t ino;
        _Atomic bool done;
};

static void *grow_main(void *arg)
{
        struct growing *g = arg;

        for (unsigned round = 0; round < 40; round++) {
                write_at(&g->p.a, g->ino, (uint64_t)round * 50000, big, 50000);
                if (round % 5 == 4)
                        assert_ok(fs_flush(g->p.a.fs, g->ino));
        }
        atomic_store(&g->done, true);
        return NULL;
}

static void test_size_follows(void **state)
{
        static const struct fs_writeback_opts small = { .age_ms = 5,
                                                        .inode_bytes = 300000,
                                                        .total_bytes = 400000 };
        struct growing g = { .ino = 0 };
        uint8_t buf[100];
        pthread_t thread;
        uint64_t seen = 0;

        fill_big();
        open_pair(&g.p, "mem+remote", &small);
        g.ino = new_file(&g.p.a, ROOT, "file");
        assert_int_equal(pthread_create(&thread, NULL, grow_main, &g), 0);
        while (!atomic_load(&g.done)) {
                uint64_t size = attr(&g.p.b, g.ino).size;

                assert_true(size >= seen);
                for (uint64_t at = seen; at < size; at += 1000) {
                        ssize_t n = get(&g.p.b, g.ino, at, buf, sizeof(buf));

                        assert_true(n > 0 && buf[0] != 0);
                }
                seen = size;
                assert_true(fs_writeback_bytes(g.p.a.fs) <= 400000);
        }
        pthread_join(thread, NULL);
        assert_int_equal(attr(&g.p.b, g.ino).size, 40 * 50000);
        close_pair(&g.p);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_read_own_writes),     cmocka_unit_test(test_times),
                cmocka_unit_test(test_errors_of_write),     cmocka_unit_test(test_kill_priv),
                cmocka_unit_test(test_read_while_flushing), cmocka_unit_test(test_entry_made_again),
                cmocka_unit_test(test_size_follows),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        fixture_seed(argc, argv);
        memset(big, 'g', sizeof(big));
        return cmocka_run_group_tests(tests, NULL, NULL);
}

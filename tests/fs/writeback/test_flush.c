/* SPDX-License-Identifier: MIT */
/* The write-back cache: what the mount itself and another one on the same store read, what is committed when,
 * and which errors are reported. Two file systems on one store; transactions are planned so small that ten
 * blocks are already flushed in parallel. */
#include "fixture.h"
#include "fs/gc/gc.h"
#include "fs/writeback/writeback.h"
#include "kv/testing/testing.h"

#include <linux/falloc.h>
#include <pthread.h>
#include <unistd.h>

#define BLOCK   4096u
#define PLAN    40000u   /* five blocks a transaction */
#define FOREVER 1000000u /* ms: the timer never flushes */

static uint8_t big[200 * BLOCK];

struct pair {
        struct fixture a, b; /* both use the store of A */
};

/* Registers a mount, so that collectors of others respect its intent records. */
static int register_body(struct kv_txn *t, void *arg)
{
        static const struct fmt_process process;
        uint8_t value[FMT_SMALL_MAX];
        struct fmt_key k;

        fmt_key_process(&k, arg);
        return kv_set(t, fmt_slice(&k), slice_of(value, fmt_process_encode(&process, value)));
}

static void open_one(struct fixture *f, const struct fs_writeback_opts *writeback, const char *pid)
{
        struct fs_writeback_opts opts = *writeback;
        struct err_text text;

        memcpy(opts.pid, pid, sizeof(opts.pid));
        /* With faults, and without a session. */
        if (!strstr(fixture_spec, "+fault"))
                assert_ok(kv_run(f->store, KV_WRITE, register_body, opts.pid));
        f->opts.writeback = &opts;
        f->opts.no_read_ahead = true; /* so that a mount reads what another flushed at once */
        assert_ok(fs_open(f->store, &f->opts, &f->fs, &text));
        f->opts.writeback = NULL;
}

static void open_pair(struct pair *p, const char *spec, const struct fs_writeback_opts *opts)
{
        if (strstr(fixture_spec, "+fault") && strcmp(spec, "mem+remote") == 0)
                spec = "mem+fault+remote";
        fixture_open(&p->a, spec);
        ((struct kv_limits *)(uintptr_t)kv_limits(p->a.store))->txn_plan_bytes = PLAN;
        fs_close(p->a.fs);
        open_one(&p->a, opts, "a:..............");
        p->b = p->a;
        open_one(&p->b, opts, "b:..............");
        /* Its costs are not those of the test. */
        fs_gc_settle(p->a.fs);
        fs_gc_settle(p->b.fs);
}

static void close_pair(struct pair *p)
{
        fs_close(p->b.fs);
        fixture_close(&p->a);
}

static const struct fs_writeback_opts lazy = { .age_ms = FOREVER };

static void write_at(struct fixture *f, uint64_t ino, uint64_t offset, const void *data, size_t len)
{
        assert_result(fs_write(f->fs, ino, offset, slice_of(data, len), 0), (int64_t)len, "fs_write",
                      __FILE__, __LINE__);
}

static void fill_big(void)
{
        for (size_t i = 0; i < sizeof(big); i++)
                big[i] = (uint8_t)(1 + i % 251);
}

/* ---- what it costs ------------------------------------------------------------------------------- */

static bool small_file(void)
{
        struct kv_stats created, written, flushed, clean;
        struct pair p;
        uint64_t ino;

        open_pair(&p, "mem+stats+remote", &lazy);
        new_file(&p.a, ROOT, "first"); /* takes a range of numbers */
        kv_stats_reset(p.a.stats);
        ino = new_file(&p.a, ROOT, "file");
        kv_stats_get(p.a.stats, &created);
        write_at(&p.a, ino, 0, big, BLOCK);
        kv_stats_get(p.a.stats, &written);
        assert_ok(fs_flush(p.a.fs, ino));
        kv_stats_get(p.a.stats, &flushed);
        assert_ok(fs_flush(p.a.fs, ino));
        kv_stats_get(p.a.stats, &clean);
        assert_data(&p.b, ino, 0, big, BLOCK);
        close_pair(&p);
        return created.txns == 1 && written.txns == 1 && flushed.txns == 2 && clean.txns == 2 &&
               flushed.read_rounds == 2;
}

/* Create, write, close: two transactions, each with one round of reads. */
static void test_small_file(void **state)
{
        int attempt = 0;

        /* The collectors may commit at the same time, but not each time. */
        while (!small_file())
                assert_true(++attempt < 20);
}

static bool large_file(void)
{
        struct kv_stats created, over, longer;
        struct pair p;
        uint64_t ino;

        open_pair(&p, "mem+stats+remote", &lazy);
        ino = new_file(&p.a, ROOT, "file");
        write_at(&p.a, ino, 0, big, 101 * BLOCK);
        kv_stats_reset(p.a.stats);
        assert_ok(fs_flush(p.a.fs, ino));
        kv_stats_get(p.a.stats, &created);
        assert_int_equal(attr(&p.b, ino).size, 101 * BLOCK);
        assert_int_equal(attr(&p.b, ino).blocks, 101 * BLOCK / 512);
        assert_int_equal(count_keys(p.a.store, "g"), 0);
        write_at(&p.a, ino, 0, big + 1, 100 * BLOCK);
        kv_stats_reset(p.a.stats);
        assert_ok(fs_flush(p.a.fs, ino));
        kv_stats_get(p.a.stats, &over);
        assert_data(&p.b, ino, 0, big + 1, 100 * BLOCK);
        /* From within a block, which is committed with the size. */
        assert_ok(truncate_to(&p.a, ino, 99 * BLOCK + 50));
        write_at(&p.a, ino, 99 * BLOCK + 20, big, 100 * BLOCK);
        kv_stats_reset(p.a.stats);
        assert_ok(fs_flush(p.a.fs, ino));
        kv_stats_get(p.a.stats, &longer);
        assert_data(&p.b, ino, 99 * BLOCK + 20, big, 100 * BLOCK);
        close_pair(&p);
        return longer.txns == 22 && longer.conflicts == 0 && created.txns == 22 && created.conflicts == 0 &&
               over.txns == 22 && over.conflicts == 0;
}

/* The first transaction, one for each five blocks, the last one; no two conflict. */
static void test_large_file(void **state)
{
        int attempt = 0;

        if (strstr(fixture_spec, "+fault"))
                return; /* not registered, so that collectors may interfere */
        while (!large_file())
                assert_true(++attempt < 20);
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

/* ---- what is seen --------------------------------------------------------------------------------- */

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
        assert_ok(fs_rename(p.a.fs, ROOT, str("file"), ROOT, str("new"), 0));
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

/* As without the cache: the times are those of the write, and what was changed between write and flush is
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

/* ---- two mounts ------------------------------------------------------------------------------------ */

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

/* ---- errors ------------------------------------------------------------------------------------------ */

static const struct kv_fault_opts no_room = { .no_space_ppm = 1000000 };
static const struct kv_fault_opts away = { .io_error_ppm = 1000000 };
static const struct kv_fault_opts none = { 0 };

static void test_error_passes(void **state)
{
        struct pair p;
        uint64_t ino;

        fill_big();
        open_pair(&p, "mem+fault+remote", &lazy);
        kv_fault_set(p.a.fault, &none);
        ino = new_file(&p.a, ROOT, "file");
        for (size_t blocks = 1; blocks < 200; blocks += 100) {
                write_at(&p.a, ino, 0, big, blocks * BLOCK);
                kv_fault_set(p.a.fault, &no_room);
                assert_fails(fs_flush(p.a.fs, ino), ENOSPC);
                assert_fails(fs_fsync(p.a.fs, ino), ENOSPC);
                assert_fails(fs_sync(p.a.fs), ENOSPC);
                assert_fails(fs_write(p.a.fs, ino, 0, str("x"), 0), ENOSPC);
                kv_fault_set(p.a.fault, &away);
                assert_fails(fs_fsync(p.a.fs, ino), EIO);
                assert_data(&p.a, ino, 0, big, blocks * BLOCK);
                kv_fault_set(p.a.fault, &none);
                assert_ok(fs_flush(p.a.fs, ino));
                assert_ok(fs_fsync(p.a.fs, ino));
                assert_data(&p.b, ino, 0, big, blocks * BLOCK);
        }
        close_pair(&p);
}

struct record {
        uint64_t ino;
        bool damage; /* false: restore it */
        uint8_t value[FMT_INODE_MAX];
        size_t len;
};

static int record_body(struct kv_txn *t, void *arg)
{
        struct record *rec = arg;
        struct slice value;
        struct fmt_key k;
        int r;

        fmt_key_inode(&k, rec->ino);
        if (!rec->damage)
                return kv_set(t, fmt_slice(&k), slice_of(rec->value, rec->len));
        r = kv_get(t, fmt_slice(&k), 0, &value);
        if (r < 0)
                return r;
        memcpy(rec->value, value.data, value.len);
        rec->len = value.len;
        return kv_set(t, fmt_slice(&k), str("damaged"));
}

/* A loss not reported yet does not hide a later error of a flush. */
static void test_error_behind_loss(void **state)
{
        struct record rec = { .damage = true };
        struct pair p;
        uint64_t at;

        open_pair(&p, "mem+fault+remote", &lazy);
        kv_fault_set(p.a.fault, &none);
        rec.ino = new_file(&p.a, ROOT, "file");
        put(&p.a, rec.ino, 0, "kept");
        assert_ok(fs_flush(p.a.fs, rec.ino));
        put(&p.a, rec.ino, 0, "lost");
        assert_ok(kv_run(p.a.store, KV_WRITE, record_body, &rec));
        assert_fails(fs_lseek(p.a.fs, rec.ino, 0, SEEK_DATA, &at), ERR_CORRUPT);
        rec.damage = false;
        assert_ok(kv_run(p.a.store, KV_WRITE, record_body, &rec));
        assert_ok(fs_lseek(p.a.fs, rec.ino, 0, SEEK_DATA, &at));
        assert_data(&p.a, rec.ino, 0, "kept", 4);
        put(&p.a, rec.ino, 4, " too");
        kv_fault_set(p.a.fault, &no_room);
        assert_fails(fs_lseek(p.a.fs, rec.ino, 0, SEEK_DATA, &at), ENOSPC);
        kv_fault_set(p.a.fault, &none);
        assert_fails(fs_fsync(p.a.fs, rec.ino), ERR_CORRUPT);
        assert_ok(fs_fsync(p.a.fs, rec.ino));
        assert_data(&p.b, rec.ino, 0, "kept too", 8);
        close_pair(&p);
}

/* A store that does not answer: calls end at their deadline, and nothing is lost. */
static void test_deadline(void **state)
{
        struct deadline deadline;
        struct pair p;

        open_pair(&p, "mem+fault+remote", &lazy);
        kv_fault_set(p.a.fault, &none);
        for (unsigned i = 0; i < 2; i++) {
                uint64_t ino = new_file(&p.a, ROOT, i == 0 ? "a" : "b");
                size_t blocks = 50;

                assert_int_equal(fs_write(p.a.fs, ino, 0, slice_of(big, blocks * BLOCK), 0), blocks * BLOCK);
                kv_fault_set(p.a.fault, &(struct kv_fault_opts){ .slow_ppm = 1000000, .slow_us = 100000 });
                deadline_begin(&deadline, i == 0 ? 20 : 0);
                if (i == 1)
                        deadline_cancel(&deadline);
                assert_fails(fs_flush(p.a.fs, ino), i == 0 ? ERR_AWAY : EINTR);
                deadline_end(&deadline);
                kv_fault_set(p.a.fault, &none);
                assert_ok(fs_flush(p.a.fs, ino));
                assert_data(&p.b, ino, 0, big, blocks * BLOCK);
        }
        close_pair(&p);
}

/* A truncation must work where a flush cannot. */
static void test_truncate_without_space(void **state)
{
        fs_writeback_mark mark;
        struct pair p;
        uint64_t ino;

        open_pair(&p, "mem+fault+remote", &lazy);
        kv_fault_set(p.a.fault, &none);
        ino = new_file(&p.a, ROOT, "file");
        put(&p.a, ino, 0, "kept");
        assert_ok(fs_flush(p.a.fs, ino));
        tick(&p.a);
        put(&p.a, ino, 2, "PT and more");
        kv_fault_set(p.a.fault, &no_room);
        assert_fails(fs_flush(p.a.fs, ino), ENOSPC);
        mark = fs_writeback_now(p.a.fs);
        /* The truncation itself gets ENOSPC here, but drops the dirty data beyond the new size. */
        assert_fails(truncate_to(&p.a, ino, 0), ENOSPC);
        assert_int_equal(fs_writeback_bytes(p.a.fs), 0);
        assert_ok(fs_flush(p.a.fs, ino));
        /* A read that ran at the same time is repeated. */
        assert_int_equal(fs_writeback_apply(p.a.fs, mark, ino, 0, NULL, 0), 1);
        kv_fault_set(p.a.fault, &none);
        assert_times(attr(&p.a, ino).mtime, attr(&p.b, ino).mtime);
        put(&p.a, ino, 0, "k");
        assert_ok(fs_flush(p.a.fs, ino));
        assert_ok(truncate_to(&p.a, ino, 3));
        assert_data(&p.a, ino, 0, "kep", 3);
        assert_int_equal(attr(&p.a, ino).size, 3);
        close_pair(&p);
}

/* A flush that no caller waits for leaves the block that is being filled. When that block is truncated, the
 * blocks that the flush could not commit are still dirty. */
static void test_truncate_after_flush(void **state)
{
        static const struct fs_writeback_opts small = { .age_ms = FOREVER, .inode_bytes = 300000 };
        struct pair p;
        uint64_t ino;

        fill_big();
        open_pair(&p, "mem+fault+remote", &small);
        kv_fault_set(p.a.fault, &none);
        ino = new_file(&p.a, ROOT, "file");
        kv_fault_set(p.a.fault, &no_room);
        write_at(&p.a, ino, 0, big, 40 * BLOCK + 10);
        usleep(100000); /* the flush of the timer fails */
        assert_fails(truncate_to(&p.a, ino, 20 * BLOCK), ENOSPC);
        assert_fails(fs_flush(p.a.fs, ino), ENOSPC);
        kv_fault_set(p.a.fault, &none);
        assert_ok(fs_fsync(p.a.fs, ino));
        assert_int_equal(attr(&p.b, ino).size, 20 * BLOCK);
        assert_data(&p.b, ino, 0, big, 20 * BLOCK);
        close_pair(&p);
}

/* Nothing is written for a removed inode. */
static void test_inode_removed(void **state)
{
        struct pair p;

        open_pair(&p, "mem+remote", &lazy);
        for (size_t blocks = 1; blocks < 200; blocks += 100) {
                uint64_t ino = new_file(&p.a, ROOT, "file");

                write_at(&p.a, ino, 0, big, BLOCK);
                assert_ok(fs_flush(p.a.fs, ino));
                write_at(&p.a, ino, 0, big, blocks * BLOCK);
                assert_ok(fs_unlink(p.b.fs, ROOT, str("file")));
                fixture_drain(&p.b);
                assert_fails(fs_flush(p.a.fs, ino), ESTALE);
                assert_ok(fs_flush(p.a.fs, ino)); /* the loss was reported before */
                assert_int_equal(count_keys(p.a.store, "f"), 0);
        }
        close_pair(&p);
}

static int clear_body(struct kv_txn *t, void *arg)
{
        return kv_clear(t, str("pfence"));
}

static int set_body(struct kv_txn *t, void *arg)
{
        return kv_set(t, str("pfence"), str(""));
}

static void test_evicted(void **state)
{
        struct fixture f;
        struct kv_store *fenced;
        struct err_text text;
        struct fs *fs;
        uint64_t ino;

        fixture_open(&f, "mem+remote");
        ino = new_file(&f, ROOT, "file");
        assert_ok(kv_run(f.store, KV_WRITE, set_body, NULL));
        assert_ok(kv_fault_open(f.store, &(struct kv_fault_opts){ .keep_below = true }, &fenced));
        assert_ok(kv_set_fence(fenced, str("pfence")));
        f.opts.writeback = &lazy;
        assert_ok(fs_open(fenced, &f.opts, &fs, &text));
        assert_int_equal(fs_write(fs, ino, 0, slice_of(big, 100 * BLOCK), 0), 100 * BLOCK);
        assert_ok(kv_run(f.store, KV_WRITE, clear_body, NULL));
        assert_fails(fs_fsync(fs, ino), ERR_FENCED);
        assert_int_equal(fs_writeback_bytes(fs), 0);
        assert_int_equal(count_keys(f.store, "f"), 0);
        fs_close(fs);
        assert_ok(kv_close(fenced));
        fixture_close(&f);
}

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
        kv_fault_set(p.a.fault, &no_room);
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
                cmocka_unit_test(test_small_file),
                cmocka_unit_test(test_large_file),
                cmocka_unit_test(test_fill_hole),
                cmocka_unit_test(test_read_own_writes),
                cmocka_unit_test(test_times),
                cmocka_unit_test(test_errors_of_write),
                cmocka_unit_test(test_timer),
                cmocka_unit_test(test_sync_is_over),
                cmocka_unit_test(test_kill_priv),
                cmocka_unit_test(test_same_block),
                cmocka_unit_test(test_truncated_by_other),
                cmocka_unit_test(test_append),
                cmocka_unit_test(test_both_extend),
                cmocka_unit_test(test_size_follows),
                cmocka_unit_test(test_truncated_while_flushing),
                cmocka_unit_test(test_read_while_flushing),
                cmocka_unit_test(test_entry_made_again),
                cmocka_unit_test(test_error_passes),
                cmocka_unit_test(test_error_behind_loss),
                cmocka_unit_test(test_deadline),
                cmocka_unit_test(test_truncate_without_space),
                cmocka_unit_test(test_truncate_after_flush),
                cmocka_unit_test(test_inode_removed),
                cmocka_unit_test(test_evicted),
                cmocka_unit_test(test_small_writes),
                cmocka_unit_test(test_writers_wait),
                cmocka_unit_test(test_crowd),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        fixture_seed(argc, argv);
        memset(big, 'g', sizeof(big));
        return cmocka_run_group_tests(tests, NULL, NULL);
}

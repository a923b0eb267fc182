/* SPDX-License-Identifier: MIT */
/* The write-back cache: which errors are reported, to which call, and what is kept. */
#include "pair.h"

#include <pthread.h>
#include <unistd.h>

static const struct kv_fault_opts no_space = { .no_space_ppm = 1000000 };
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
                kv_fault_set(p.a.fault, &no_space);
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
        kv_fault_set(p.a.fault, &no_space);
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
        kv_fault_set(p.a.fault, &no_space);
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
        kv_fault_set(p.a.fault, &no_space);
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

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_error_passes),
                cmocka_unit_test(test_error_behind_loss),
                cmocka_unit_test(test_deadline),
                cmocka_unit_test(test_truncate_without_space),
                cmocka_unit_test(test_truncate_after_flush),
                cmocka_unit_test(test_inode_removed),
                cmocka_unit_test(test_evicted),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        fixture_seed(argc, argv);
        memset(big, 'g', sizeof(big));
        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* A crash at every commit of a scripted sequence, before and after it: the store is then always a state
 * between two operations, the checker finds nothing, and the collector finishes what was left. */
#include "dump.h"
#include "fixture.h"
#include "kv/testing/testing.h"

#include <linux/falloc.h>
#include <linux/fs.h>

#define BIG (3u * 1024u * 1024u)

/* ---- the script --------------------------------------------------------------------------------- */

static const struct fs_cred user = { .uid = 1000, .gid = 1000 };

/* Returns the inode at PATH (with '/' between names), or 0. The operation itself reports errors of the
 * store. */
static uint64_t at(struct fs *fs, const char *path)
{
        uint64_t ino = ROOT;

        while (ino != 0 && *path) {
                size_t n = strcspn(path, "/");
                struct fs_attr a;

                if (fs_lookup(fs, ino, slice_of(path, n), &a) < 0)
                        return 0;
                fs_forget(fs, a.ino, 1);
                ino = a.ino;
                path += n + (path[n] == '/');
        }
        return ino;
}

static int do_mkdir(struct fs *fs, const char *dir, const char *name)
{
        struct fs_attr a;
        int r = fs_mkdir(fs, &user, at(fs, dir), str(name), 0755, &a);

        if (r >= 0)
                fs_forget(fs, a.ino, 1);
        return r;
}

static int do_create(struct fs *fs, const char *dir, const char *name)
{
        struct fs_attr a;
        int r = fs_mknod(fs, &user, at(fs, dir), str(name), S_IFREG | 0644, 0, &a);

        if (r >= 0)
                fs_forget(fs, a.ino, 1);
        return r;
}

static int do_symlink(struct fs *fs, const char *dir, const char *name)
{
        struct fs_attr a;
        int r = fs_symlink(fs, &user, at(fs, dir), str(name), str("target"), &a);

        if (r >= 0)
                fs_forget(fs, a.ino, 1);
        return r;
}

static int do_link(struct fs *fs, const char *from, const char *name)
{
        struct fs_attr a;
        int r = fs_link(fs, at(fs, from), ROOT, str(name), &a);

        if (r >= 0)
                fs_forget(fs, a.ino, 1);
        return r;
}

static int do_unlink(struct fs *fs, const char *dir, const char *name)
{
        return fs_unlink(fs, at(fs, dir), str(name));
}

static int do_rmdir(struct fs *fs, const char *dir, const char *name)
{
        return fs_rmdir(fs, at(fs, dir), str(name));
}

static int write_bytes(struct fs *fs, const char *path, size_t len, char byte)
{
        char *data = malloc(len);
        ssize_t n;

        assert_non_null(data);
        memset(data, byte, len);
        n = fs_write(fs, at(fs, path), 0, slice_of(data, len), 0);
        free(data);
        return n == (ssize_t)len ? 0 : n < 0 ? (int)n : -EIO;
}

static int do_write_small(struct fs *fs, const char *path, const char *unused)
{
        return write_bytes(fs, path, 5000, 's');
}

static int do_write_big(struct fs *fs, const char *path, const char *unused)
{
        return write_bytes(fs, path, BIG, 'b');
}

static int set_size(struct fs *fs, const char *path, uint64_t size)
{
        struct fs_setattr set = { .set = FS_SET_SIZE, .size = size };
        struct fs_attr a;

        return fs_setattr(fs, at(fs, path), &set, &a);
}

static int do_cut(struct fs *fs, const char *path, const char *unused)
{
        return set_size(fs, path, 100);
}

static int do_extend(struct fs *fs, const char *path, const char *unused)
{
        return set_size(fs, path, BIG);
}

static int do_punch(struct fs *fs, const char *path, const char *unused)
{
        return fs_fallocate(fs, at(fs, path), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1000, BIG - 5000);
}

static int do_rename(struct fs *fs, const char *from, const char *to)
{
        return fs_rename(fs, ROOT, str(from), ROOT, str(to), 0, NULL);
}

static int do_move_into_dir(struct fs *fs, const char *from, const char *to)
{
        return fs_rename(fs, ROOT, str(from), at(fs, "dir"), str(to), 0, NULL);
}

static int do_exchange(struct fs *fs, const char *from, const char *to)
{
        return fs_rename(fs, ROOT, str(from), ROOT, str(to), RENAME_EXCHANGE, NULL);
}

static int do_setxattr(struct fs *fs, const char *path, const char *name)
{
        return fs_setxattr(fs, at(fs, path), str(name), str("value"), 0);
}

static int do_sync(struct fs *fs, const char *unused, const char *unused2)
{
        return fs_sync(fs);
}

static const struct {
        int (*run)(struct fs *fs, const char *a, const char *b);
        const char *a, *b;
        bool in_steps; /* uses several transactions: a state in between is legal */
} script[] = {
        { do_mkdir, "", "dir", false },
        { do_create, "", "file", false },
        { do_write_small, "file", "", false },
        { do_create, "dir", "big", false },
        { do_write_big, "dir/big", "", true },
        { do_link, "file", "second", false },
        { do_symlink, "", "symlink", false },
        { do_setxattr, "file", "user.a", false },
        { do_cut, "dir/big", "", true },
        { do_extend, "dir/big", "", true },
        { do_write_big, "dir/big", "", true },
        { do_punch, "dir/big", "", true },
        { do_write_big, "dir/big", "", true },
        { do_unlink, "dir", "big", false },
        { do_create, "", "big", false },
        { do_write_big, "big", "", true },
        { do_rename, "file", "big", false },
        { do_exchange, "big", "symlink", false },
        { do_unlink, "", "second", false },
        { do_mkdir, "dir", "sub", false },
        { do_rmdir, "dir", "sub", false },
        { do_mkdir, "", "other", false },
        { do_move_into_dir, "other", "other", false },
        { do_unlink, "", "big", false },
        { do_sync, "", "", false },
};

#define STEPS (sizeof(script) / sizeof(script[0]))

/* ---- visible state ------------------------------------------------------------------------------ */

struct picture {
        struct fs *fs;
        FILE *out;
        unsigned depth;
};

static int sum_data(const struct iovec *iov, int n, size_t len, void *arg)
{
        uint64_t *sum = arg;

        for (int i = 0; i < n; i++)
                for (size_t k = 0; k < iov[i].iov_len; k++)
                        *sum = (*sum ^ ((uint8_t *)iov[i].iov_base)[k]) * UINT64_C(0x100000001b3);
        return 0;
}

static int draw_entry(const struct fs_entry *entry, void *arg)
{
        struct picture *p = arg;
        uint64_t sum = 0;
        struct fs_attr a;

        assert_ok(fs_getattr(p->fs, entry->ino, &a));
        if (S_ISREG(a.mode))
                assert_ok(fs_read(p->fs, entry->ino, 0, a.size, 0, sum_data, &sum));
        fprintf(p->out, "%*s%.*s %o %u %llu %016llx %d\n", (int)p->depth, "", (int)entry->name.len,
                (const char *)entry->name.data, a.mode, a.nlink, (unsigned long long)a.size,
                (unsigned long long)sum, fs_listxattr(p->fs, entry->ino, NULL, 0));
        if (S_ISDIR(a.mode)) {
                p->depth++;
                assert_int_equal(fs_readdir(p->fs, entry->ino, str(""), 0, draw_entry, p), 1);
                p->depth--;
        }
        return 1;
}

/* Returns the whole tree as text. */
static char *draw(struct fs *fs)
{
        char *text;
        size_t len;
        struct picture p = { .fs = fs, .out = open_memstream(&text, &len) };

        assert_non_null(p.out);
        assert_int_equal(fs_readdir(fs, ROOT, str(""), 0, draw_entry, &p), 1);
        fclose(p.out);
        return text;
}

/* ---- runs --------------------------------------------------------------------------------------- */

static char *pictures[STEPS + 1];

static void open_quiet(struct fixture *f)
{
        fixture_open(f, "mem+fault");
        kv_fault_set(f->fault, &(struct kv_fault_opts){ 0 });
}

static int draw_all(void **state)
{
        struct fixture f;

        open_quiet(&f);
        pictures[0] = draw(f.fs);
        for (size_t i = 0; i < STEPS; i++) {
                assert_ok(script[i].run(f.fs, script[i].a, script[i].b));
                pictures[i + 1] = draw(f.fs);
        }
        fixture_close(&f);
        return 0;
}

static int free_all(void **state)
{
        for (size_t i = 0; i <= STEPS; i++)
                free(pictures[i]);
        return 0;
}

/* Runs the script until a step fails; returns the number of steps that succeeded. */
static size_t run_script(struct fs *fs)
{
        size_t i = 0;

        while (i < STEPS && script[i].run(fs, script[i].a, script[i].b) >= 0)
                i++;
        return i;
}

/* Opens the store after the crash. DONE steps had been acknowledged. */
static void check_left(struct fixture *crashed, const struct dump *left, size_t done)
{
        struct fixture f = { .spec = "mem", .clock = crashed->clock };
        struct err_text text;
        char *picture;

        f.store = dump_open(left);
        fixture_check(&f, NULL);
        f.opts.clock = &f.clock.clock;
        assert_ok(fs_open(f.store, &f.opts, &f.fs, &text));
        picture = draw(f.fs);
        if (strcmp(picture, pictures[done]) != 0 &&
            (done == STEPS || (!script[done].in_steps && strcmp(picture, pictures[done + 1]) != 0)))
                fail_msg("after %zu steps:\n%s", done, picture);
        free(picture);
        fixture_drain(&f);
        fixture_close(&f);
}

/* Crashes at commit N; returns false if the script ended before. */
static bool crash_at(uint64_t n, bool after)
{
        struct fixture f;
        struct dump left;
        size_t done;

        open_quiet(&f);
        kv_fault_crash_at(f.fault, n, after);
        done = run_script(f.fs);
        if (done == STEPS) /* crash at the commits of fs_close, too */
                fs_close(f.fs);
        dump_load(&left, f.bottom);
        if (done < STEPS)
                fs_close(f.fs);
        kv_close(f.store);
        check_left(&f, &left, done);
        dump_free(&left);
        return done < STEPS;
}

static void test_every_commit(void **state)
{
        bool crashed = true;
        uint64_t n = 0;

        while (crashed) {
                crashed = crash_at(n, false);
                crashed = crash_at(n, true) || crashed;
                n += crashed;
        }
        print_message("%llu commits\n", (unsigned long long)n);
        assert_true(n >= STEPS - 1);
        /* Some more commits, which are those of the collector. */
        for (uint64_t i = 0; i < 20; i++) {
                crash_at(n + i, false);
                crash_at(n + i, true);
        }
}

/* ---- a truncation that a crash cut short ---------------------------------------------------------- */

#define BLOCKS 40u
#define CUT    5000u /* new size; blocks from 8192 on are dead */

/* A store with a file that is half truncated: all its blocks are still there. */
static void half_truncate(struct dump *d)
{
        static uint8_t data[BLOCKS * 4096];
        struct fmt_garbage garbage = { .epoch = 0 };
        uint8_t out[FMT_INODE_MAX];
        struct fmt_scratch scratch;
        struct fmt_inode inode;
        struct fixture f;
        struct fmt_key key;
        uint64_t ino;

        fixture_open(&f, "mem");
        memset(data, 's', sizeof(data));
        ino = new_file(&f, ROOT, "file");
        assert_int_equal(fs_write(f.fs, ino, 0, slice_of(data, sizeof(data)), 0), sizeof(data));
        assert_ok(fs_sync(f.fs));
        dump_load(d, f.store);
        fixture_close(&f);

        fmt_key_inode(&key, ino);
        assert_ok(fmt_inode_decode(dump_get(d, fmt_slice(&key)), &scratch, &inode));
        inode.size = CUT;
        inode.trim_from = 8192;
        inode.allocated -= 4096 - 1024; /* 904 bytes remain of the last block */
        dump_set(d, fmt_slice(&key), slice_of(out, fmt_inode_encode(&inode, out)));
        fmt_key_block(&key, ino, 4096);
        dump_set(d, fmt_slice(&key), slice_of(data, CUT - 4096));
        fmt_key_garbage(&key, ino);
        dump_set(d, fmt_slice(&key), slice_of(out, fmt_garbage_encode(&garbage, out)));
}

/* The first call on the file after the crash makes it larger, before a collector could finish. */
static void grow(struct fs *fs, uint64_t ino, int way)
{
        struct fs_setattr set = { .set = FS_SET_SIZE, .size = BLOCKS * 4096 };
        char data[8192] = { 0 };
        struct fs_attr a;

        switch (way) {
        case 0:
                assert_ok(fs_setattr(fs, ino, &set, &a));
                break;
        case 1:
                assert_int_equal(fs_write(fs, ino, BLOCKS * 4096 - 1, slice_of(data, 1), 0), 1);
                break;
        case 2:
                assert_ok(fs_fallocate(fs, ino, 0, 0, BLOCKS * 4096));
                break;
        case 3:
                assert_ok(fs_fallocate(fs, ino, FALLOC_FL_ZERO_RANGE, BLOCKS * 4096 - 10, 10));
                break;
        case 4:
                assert_int_equal(fs_write(fs, ino, 0, slice_of(data, sizeof(data)), FS_WRITE_APPEND),
                                 sizeof(data));
                assert_ok(fs_setattr(fs, ino, &set, &a));
                break;
        }
}

static void test_half_truncated(void **state)
{
        for (int way = 0; way < 5; way++) {
                struct fixture f;
                struct dump d;
                uint64_t ino;
                struct err_text text;

                half_truncate(&d);
                f = (struct fixture){ .spec = "mem" };
                f.store = dump_open(&d);
                fixture_check(&f, NULL);
                assert_ok(fs_open(f.store, &f.opts, &f.fs, &text));
                ino = at(f.fs, "file");
                grow(f.fs, ino, way);
                assert_int_equal(attr(&f, ino).size, BLOCKS * 4096);
                assert_zeros(&f, ino, CUT, BLOCKS * 4096 - CUT);
                fixture_drain(&f);
                assert_zeros(&f, ino, CUT, BLOCKS * 4096 - CUT);
                fixture_close(&f);
                dump_free(&d);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_every_commit),
                cmocka_unit_test(test_half_truncated),
        };

        return cmocka_run_group_tests(tests, draw_all, free_all);
}

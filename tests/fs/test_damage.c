/* SPDX-License-Identifier: MIT */
/* Damaged stores: every pair in turn is replaced by garbage, cut, flipped, exchanged or taken away, and then
 * every call is made on every inode. They may return errors; sanitizers check the rest.
 *
 * test_damage: environment ASHLAR_SEED. */
#include "dump.h"
#include "fixture.h"
#include "maint/maint.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <unistd.h>

static const struct fs_cred user = { .uid = 1000, .gid = 1000 };
static const char *const name_list[] = { "dir", "file", "symlink", "fifo", "sub", "link", "new" };

#define NAMES (sizeof(name_list) / sizeof(name_list[0]))

static struct rng rng;

/* ---- every call --------------------------------------------------------------------------------- */

/* Errors that kv_run handles must not be returned. */
static void sane(int64_t r)
{
        assert_true(r > -ERR_FENCED - 1);
        assert_true(r != -ERR_CONFLICT && r != -ERR_UNKNOWN_RESULT && r != -ERR_RETRY);
}

static int take_data(const struct iovec *iov, int n, size_t len, void *arg)
{
        volatile uint8_t *sink = arg;
        size_t sum = 0;

        for (int i = 0; i < n; i++) {
                for (size_t k = 0; k < iov[i].iov_len; k++)
                        *sink ^= ((uint8_t *)iov[i].iov_base)[k];
                sum += iov[i].iov_len;
        }
        assert_int_equal(sum, len);
        return (int)len;
}

static int take_entry(const struct fs_entry *entry, void *arg)
{
        struct fs *fs = arg;

        if (entry->attr)
                fs_forget(fs, entry->attr->ino, 1);
        return 1;
}

static void got(struct fs *fs, int r, const struct fs_attr *a)
{
        sane(r);
        if (r >= 0)
                fs_forget(fs, a->ino, 1);
}

static void read_all(struct fs *fs, uint64_t ino)
{
        char buf[FMT_SYMLINK_MAX + 1];
        uint8_t sink = 0;
        struct fs_attr a;
        uint64_t n;

        sane(fs_getattr(fs, ino, &a));
        sane(fs_readlink(fs, ino, buf));
        sane(fs_parent(fs, ino, &n));
        sane(fs_readdir(fs, ino, str(""), 0, take_entry, fs));
        sane(fs_readdir(fs, ino, str(""), FS_READDIR_PLUS, take_entry, fs));
        sane(fs_read(fs, ino, 0, 20000, 0, take_data, &sink));
        sane(fs_read(fs, ino, 5000, 100, 0, take_data, &sink));
        sane(fs_lseek(fs, ino, 0, SEEK_DATA, &n));
        sane(fs_lseek(fs, ino, 0, SEEK_HOLE, &n));
        sane(fs_getxattr(fs, ino, str("user.a"), buf, sizeof(buf)));
        sane(fs_listxattr(fs, ino, buf, sizeof(buf)));
        for (size_t i = 0; i < NAMES; i++)
                got(fs, fs_lookup(fs, ino, str(name_list[i]), &a), &a);
}

static void change_inode(struct fs *fs, uint64_t ino)
{
        struct fs_setattr mode = { .set = FS_SET_MODE | FS_SET_UID, .mode = 0600 };
        struct fs_setattr size = { .set = FS_SET_SIZE, .size = 6000 };
        struct fs_attr a;

        sane(fs_write(fs, ino, 3000, str("some bytes"), FS_WRITE_KILL_PRIV));
        sane(fs_write(fs, ino, 0, str("appended"), FS_WRITE_APPEND));
        sane(fs_fallocate(fs, ino, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 5000));
        sane(fs_setattr(fs, ino, &size, &a));
        sane(fs_fallocate(fs, ino, 0, 0, 30000));
        sane(fs_setattr(fs, ino, &mode, &a));
        sane(fs_setxattr(fs, ino, str("user.b"), str("v"), 0));
        sane(fs_removexattr(fs, ino, str("user.a")));
}

static void change_names(struct fs *fs, uint64_t dir, const uint64_t *inodes, size_t n)
{
        struct fs_attr a;

        got(fs, fs_mknod(fs, &user, dir, str("new"), S_IFREG | 0644, 0, &a), &a);
        got(fs, fs_mkdir(fs, &user, dir, str("newdir"), 0755, &a), &a);
        got(fs, fs_symlink(fs, &user, dir, str("newsymlink"), str("x"), &a), &a);
        for (size_t i = 0; i < n; i++) {
                got(fs, fs_link(fs, inodes[i], dir, str("newlink"), &a), &a);
                sane(fs_rename(fs, dir, str("file"), inodes[i], str("moved"), 0, NULL));
                sane(fs_rename(fs, inodes[i], str("moved"), dir, str("file"), 0, NULL));
                sane(fs_rename(fs, dir, str("dir"), inodes[i], str("dir"), 0, NULL));
                sane(fs_rename(fs, dir, str("link"), inodes[i], str("sub"), RENAME_EXCHANGE, NULL));
        }
        for (size_t i = 0; i < NAMES; i++) {
                sane(fs_unlink(fs, dir, str(name_list[i])));
                sane(fs_rmdir(fs, dir, str(name_list[i])));
        }
}

/* Opens this store, calls everything and closes it. */
static void live(struct kv_store *store, const uint64_t *inodes, size_t n)
{
        struct fs_open_opts opts = { .atime = FS_STRICTATIME };
        struct maint_check_result result;
        struct err_text text;
        struct fs_statfs space;
        struct fs *fs;
        int r;

        sane(maint_check(store, NULL, NULL, NULL, &result, &text));
        r = fs_open(store, &opts, &fs, &text);
        sane(r);
        if (r < 0)
                return;
        sane(fs_statfs(fs, &space));
        for (size_t i = 0; i < n; i++)
                read_all(fs, inodes[i]);
        for (size_t i = 0; i < n; i++)
                change_inode(fs, inodes[i]);
        for (size_t i = 0; i < n; i++)
                change_names(fs, inodes[i], inodes, n);
        for (size_t i = 0; i < n; i++)
                read_all(fs, inodes[i]);
        sane(fs_sync(fs));
        fs_close(fs);
        sane(maint_check(store, NULL, NULL, NULL, &result, &text));
}

/* ---- damage ------------------------------------------------------------------------------------- */

enum { GONE, EMPTY, NONSENSE, RANDOM, CUT, LONGER, FLIPPED, ANOTHER, ZEROS, KINDS };

static void damage(struct dump *d, size_t i, int kind)
{
        uint8_t buf[70000];
        struct slice key = dump_key(&d->pairs[i]), value = dump_value(&d->pairs[i]);
        size_t len = value.len;

        memcpy(buf, value.data, len);
        switch (kind) {
        case GONE:
                dump_delete(d, key);
                return;
        case EMPTY:
                len = 0;
                break;
        case NONSENSE:
                len = 9;
                memset(buf, 0xff, len);
                break;
        case RANDOM:
                len = rng_below(&rng, 100);
                rng_fill(&rng, buf, len);
                break;
        case CUT:
                len = len > 0 ? rng_below(&rng, len) : 0;
                break;
        case LONGER:
                rng_fill(&rng, buf + len, 5000);
                len += 5000;
                break;
        case FLIPPED:
                if (len > 0)
                        buf[rng_below(&rng, len)] ^= (uint8_t)(1u << rng_below(&rng, 8));
                break;
        case ANOTHER:
                value = dump_value(&d->pairs[rng_below(&rng, d->n)]);
                len = value.len;
                memcpy(buf, value.data, len);
                break;
        case ZEROS:
                memset(buf, 0, len);
                break;
        }
        dump_set(d, key, slice_of(buf, len));
}

/* A tree with an inode of each kind, a truncation and a collection under way. */
static void make_dump(struct dump *d, uint64_t *inodes, size_t *ret_n)
{
        static uint8_t data[3 * 4096];
        struct fixture f;
        struct fs_attr a;
        size_t n = 0;

        fixture_open(&f, "mem");
        memset(data, 'd', sizeof(data));
        inodes[n++] = ROOT;
        inodes[n++] = new_dir(&f, ROOT, "dir");
        inodes[n++] = new_dir(&f, inodes[1], "sub");
        inodes[n++] = new_file(&f, ROOT, "file");
        assert_ok(hardlink(&f, inodes[3], inodes[1], "link"));
        assert_int_equal(fs_write(f.fs, inodes[3], 0, slice_of(data, 9000), 0), 9000);
        assert_ok(fs_setxattr(f.fs, inodes[3], str("user.a"), str("v"), 0));
        inodes[n++] = new_symlink(&f, ROOT, "symlink", "file");
        inodes[n++] = new_node(&f, ROOT, "fifo", S_IFIFO | 0600, 0);
        inodes[n++] = new_file(&f, ROOT, "held");
        assert_ok(fs_lookup(f.fs, ROOT, str("held"), &a));
        assert_int_equal(fs_write(f.fs, a.ino, 0, slice_of(data, 5000), 0), 5000);
        assert_ok(fs_unlink(f.fs, ROOT, str("held")));
        dump_load(d, f.store);
        fixture_close(&f);
        *ret_n = n;
}

/* Marks the file as half truncated. */
static void add_trim(struct dump *d, uint64_t ino)
{
        struct fmt_garbage garbage = { .epoch = 0 };
        uint8_t out[FMT_INODE_MAX];
        struct fmt_scratch scratch;
        struct fmt_inode inode;
        struct fmt_key key;

        fmt_key_inode(&key, ino);
        assert_ok(fmt_inode_decode(dump_get(d, fmt_slice(&key)), &scratch, &inode));
        inode.trim_from = 8192;
        inode.size = 8000;
        dump_set(d, fmt_slice(&key), slice_of(out, fmt_inode_encode(&inode, out)));
        fmt_key_garbage(&key, ino);
        dump_set(d, fmt_slice(&key), slice_of(out, fmt_garbage_encode(&garbage, out)));
}

static void run_damaged(const struct dump *whole, size_t i, int kind, const uint64_t *inodes, size_t n)
{
        struct kv_store *store = dump_open(whole);
        struct dump d;

        dump_load(&d, store);
        assert_ok(kv_close(store));
        damage(&d, i, kind);
        store = dump_open(&d);
        dump_free(&d);
        alarm(60); /* ends a call that does not return */
        live(store, inodes, n);
        alarm(0);
        assert_ok(kv_close(store));
}

static void test_damage(void **state)
{
        uint64_t inodes[16];
        struct dump whole;
        size_t n;

        make_dump(&whole, inodes, &n);
        for (int trim = 0; trim < 2; trim++) {
                if (trim)
                        add_trim(&whole, inodes[3]);
                for (size_t i = 0; i < whole.n; i++)
                        for (int kind = 0; kind < KINDS; kind++)
                                run_damaged(&whole, i, kind, inodes, n);
        }
        dump_free(&whole);
}

/* Valid records that contradict each other: circles of parents, of names. */
static void test_circles(void **state)
{
        uint64_t inodes[16];
        struct dump d;
        size_t n;

        make_dump(&d, inodes, &n);
        for (size_t up = 1; up < 3; up++)
                for (size_t down = 1; down < 3; down++) {
                        uint8_t out[FMT_INODE_MAX];
                        struct fmt_scratch scratch;
                        struct fmt_inode inode;
                        struct fmt_dirent entry = { .ino = inodes[up], .type = S_IFDIR };
                        struct kv_store *store;
                        struct fmt_key key;

                        fmt_key_inode(&key, inodes[up]);
                        assert_ok(fmt_inode_decode(dump_get(&d, fmt_slice(&key)), &scratch, &inode));
                        inode.parent = inodes[down];
                        dump_set(&d, fmt_slice(&key), slice_of(out, fmt_inode_encode(&inode, out)));
                        fmt_key_dirent(&key, inodes[down], str("dir"));
                        dump_set(&d, fmt_slice(&key), slice_of(out, fmt_dirent_encode(&entry, out)));
                        store = dump_open(&d);
                        alarm(60);
                        live(store, inodes, n);
                        alarm(0);
                        assert_ok(kv_close(store));
                }
        dump_free(&d);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_damage),
                cmocka_unit_test(test_circles),
        };

        rng_seed(&rng, fixture_seed(argc, argv));
        return cmocka_run_group_tests(tests, NULL, NULL);
}

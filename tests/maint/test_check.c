/* SPDX-License-Identifier: MIT */
/* maint_check itself: a clean tree has no violation, and each kind of damage is found and named. */
#include "dump.h"
#include "fixture.h"
#include "kv/testing/mem/mem.h"
#include "maint/maint.h"

/* The tree that is damaged:
 *   file      three blocks, a hard link to it in dir, an xattr
 *   dir/sub/  an empty directory
 *   symlink, fifo
 *   (held)    unlinked, still referenced: two blocks, under 'g' */
struct tree {
        struct fixture f;
        uint64_t file, dir, sub, symlink, held;
        struct dump dump;
};

static struct tree tree;

static int make_tree(void **state)
{
        struct fixture *f = &tree.f;
        static uint8_t data[3 * 4096];
        struct fs_attr a;

        fixture_open(f, "mem");
        memset(data, 'd', sizeof(data));
        tree.dir = new_dir(f, ROOT, "dir");
        tree.sub = new_dir(f, tree.dir, "sub");
        tree.file = new_file(f, ROOT, "file");
        assert_ok(hardlink(f, tree.file, tree.dir, "link"));
        assert_int_equal(fs_write(f->fs, tree.file, 0, slice_of(data, 3 * 4096 - 10), 0), 3 * 4096 - 10);
        assert_ok(fs_setxattr(f->fs, tree.file, str("user.a"), str("v"), 0));
        tree.symlink = new_symlink(f, ROOT, "symlink", "file");
        new_node(f, ROOT, "fifo", S_IFIFO | 0600, 0);
        tree.held = new_file(f, ROOT, "held");
        assert_ok(fs_lookup(f->fs, ROOT, str("held"), &a));
        assert_int_equal(fs_write(f->fs, tree.held, 0, slice_of(data, 5000), 0), 5000);
        assert_ok(fs_unlink(f->fs, ROOT, str("held")));
        dump_load(&tree.dump, f->store);
        return 0;
}

static int free_tree(void **state)
{
        dump_free(&tree.dump);
        fixture_close(&tree.f);
        return 0;
}

/* ---- running the checker ------------------------------------------------------------------------ */

struct lines {
        const char *wanted;
        bool found;
        char all[8192];
};

static void add_line(const char *violation, void *arg)
{
        struct lines *l = arg;
        size_t at = strlen(l->all);

        if (strstr(violation, l->wanted))
                l->found = true;
        snprintf(l->all + at, sizeof(l->all) - at, "%s\n", violation);
}

/* A clock that moves with each reading of it; the store reads it for each pair. */
struct stepping_clock {
        struct clock clock;
        uint64_t ns, step_ns;
};

static uint64_t step(const struct clock *clock)
{
        struct stepping_clock *c = (struct stepping_clock *)clock;

        return c->ns += c->step_ns;
}

/* Checks D in a store whose transactions may read the pairs of one kind, but not all pairs. */
static struct kv_store *open_with_age_limit(const struct dump *d, struct stepping_clock *clock)
{
        size_t of_kind[256] = { 0 }, most = 0;
        struct kv_mem_opts opts = { .clock = &clock->clock, .txn_ms = 1000 };
        struct kv_store *store;

        *clock = (struct stepping_clock){ .clock = { .monotonic_ns = step } };
        assert_ok(kv_mem_open_with(&opts, &store));
        dump_restore(d, store);
        for (size_t i = 0; i < d->n; i++) {
                size_t n = ++of_kind[dump_key(&d->pairs[i]).data[0]];

                most = n > most ? n : most;
        }
        assert_true(most + 8 < d->n);
        clock->step_ns = UINT64_C(1000000000) / (most + 6);
        return store;
}

static void run_check(struct kv_store *store, struct lines *lines, struct maint_check_result *ret)
{
        struct err_text text;

        assert_ok(maint_check(store, add_line, lines, NULL, ret, &text));
        assert_ok(kv_close(store));
}

/* Asserts that a violation that contains WANTED is found in D, in one transaction and in several. Frees D. */
static void expect(struct dump *d, const char *wanted)
{
        struct lines lines = { .wanted = wanted }, chunks = { .wanted = wanted };
        struct maint_check_result result;
        struct stepping_clock clock;

        run_check(dump_open(d), &lines, &result);
        if (!lines.found)
                fail_msg("'%s' was not found, but:\n%s", wanted, lines.all);
        assert_true(result.violations > 0);
        assert_true(result.snapshot);
        run_check(open_with_age_limit(d, &clock), &chunks, &result);
        assert_string_equal(chunks.all, lines.all);
        assert_true(result.violations > 0);
        assert_false(result.snapshot);
        dump_free(d);
}

static struct dump copy(void)
{
        struct kv_store *store = dump_open(&tree.dump);
        struct dump d;

        dump_load(&d, store);
        assert_ok(kv_close(store));
        return d;
}

/* Return a copy of the tree with one record changed. */
static struct fmt_inode load_inode(const struct dump *d, uint64_t ino)
{
        static struct fmt_scratch scratch;
        struct fmt_inode inode;
        struct fmt_key key;

        fmt_key_inode(&key, ino);
        assert_ok(fmt_inode_decode(dump_get(d, fmt_slice(&key)), &scratch, &inode));
        return inode;
}

static void store_inode(struct dump *d, uint64_t ino, const struct fmt_inode *inode)
{
        uint8_t out[FMT_INODE_MAX];
        struct fmt_key key;

        fmt_key_inode(&key, ino);
        dump_set(d, fmt_slice(&key), slice_of(out, fmt_inode_encode(inode, out)));
}

static void store_dirent(struct dump *d, uint64_t dir, const char *name, uint64_t ino, uint32_t type)
{
        struct fmt_dirent dirent = { .ino = ino, .type = type };
        uint8_t out[FMT_DIRENT_MAX];
        struct fmt_key key;

        fmt_key_dirent(&key, dir, str(name));
        dump_set(d, fmt_slice(&key), slice_of(out, fmt_dirent_encode(&dirent, out)));
}

static void store_block(struct dump *d, uint64_t ino, uint64_t offset, size_t len)
{
        uint8_t data[8192];
        struct fmt_key key;

        memset(data, 'b', sizeof(data));
        fmt_key_block(&key, ino, offset);
        dump_set(d, fmt_slice(&key), slice_of(data, len));
}

static void store_counter(struct dump *d, const struct fmt_key *key, int64_t n)
{
        uint8_t out[8];

        fmt_counter_encode(n, out);
        dump_set(d, fmt_slice(key), slice_of(out, 8));
}

/* ---- tests -------------------------------------------------------------------------------------- */

static void test_clean(void **state)
{
        struct maint_check_result result;

        fixture_check(&tree.f, &result);
        assert_int_equal(result.inodes, 7);
        assert_int_equal(result.directories, 3);
        assert_int_equal(result.files, 2);
        assert_int_equal(result.symlinks, 1);
        assert_int_equal(result.others, 1);
        assert_int_equal(result.dirents, 6);
        assert_int_equal(result.blocks, 5);
        assert_int_equal(result.xattrs, 1);
        assert_int_equal(result.garbage, 1);
        assert_int_equal(result.data_bytes, 3 * 4096 - 10);
}

static void test_names(void **state)
{
        struct dump d = copy();
        struct fmt_key key;

        store_dirent(&d, ROOT, "bad", 4000000, S_IFREG);
        expect(&d, "name without an inode");
        d = copy();
        store_dirent(&d, ROOT, "bad", tree.held, S_IFREG);
        expect(&d, "name of an unlinked inode");
        d = copy();
        store_dirent(&d, ROOT, "file", tree.file, S_IFLNK);
        expect(&d, "type differs");
        d = copy();
        store_dirent(&d, ROOT, "third", tree.file, S_IFREG);
        expect(&d, "1 fewer than its names");
        d = copy();
        fmt_key_dirent(&key, ROOT, str("file"));
        dump_delete(&d, fmt_slice(&key));
        expect(&d, "1 more than its names");
        d = copy();
        fmt_key_dirent(&key, tree.dir, str("sub"));
        dump_delete(&d, fmt_slice(&key));
        expect(&d, "directory without a name");
        d = copy();
        store_dirent(&d, tree.file, "bad", tree.file, S_IFREG);
        expect(&d, "is no directory in use, but has 1 entries");
        d = copy();
        store_dirent(&d, 4000000, "bad", tree.file, S_IFREG);
        expect(&d, "is no directory in use, but has 1 entries");
        d = copy();
        fmt_key_dirent(&key, ROOT, str("file"));
        dump_set(&d, fmt_slice(&key), str("\xff\xff\xff"));
        expect(&d, "damaged value");
}

static void test_directories(void **state)
{
        struct dump d = copy();
        struct fmt_inode inode;
        struct fmt_key key;

        store_dirent(&d, ROOT, "again", tree.sub, S_IFDIR);
        expect(&d, "second name of a directory");
        d = copy();
        inode = load_inode(&d, tree.sub);
        inode.parent = ROOT;
        store_inode(&d, tree.sub, &inode);
        expect(&d, "but its parent is 1");
        d = copy();
        fmt_key_attr(&key, tree.dir, FMT_ATTR_NLINK);
        store_counter(&d, &key, 5);
        expect(&d, "counts 4 subdirectories more");
        d = copy();
        store_counter(&d, &key, -5);
        expect(&d, "impossible number of subdirectories");
        d = copy();
        fmt_key_attr(&key, tree.file, FMT_ATTR_NLINK);
        store_counter(&d, &key, 1);
        expect(&d, "subdirectories of what is no directory");

        /* dir is in its own subdirectory, with consistent records. */
        d = copy();
        fmt_key_dirent(&key, ROOT, str("dir"));
        dump_delete(&d, fmt_slice(&key));
        store_dirent(&d, tree.sub, "dir", tree.dir, S_IFDIR);
        inode = load_inode(&d, tree.dir);
        inode.parent = tree.sub;
        store_inode(&d, tree.dir, &inode);
        fmt_key_attr(&key, tree.sub, FMT_ATTR_NLINK);
        store_counter(&d, &key, 1);
        fmt_key_attr(&key, ROOT, FMT_ATTR_NLINK);
        store_counter(&d, &key, 0);
        expect(&d, "circle of parents");

        d = copy();
        fmt_key_inode(&key, ROOT);
        dump_delete(&d, fmt_slice(&key));
        expect(&d, "there is no root directory");
        d = copy();
        store_dirent(&d, tree.sub, "root", ROOT, S_IFDIR);
        expect(&d, "name of the root directory");
}

static void test_blocks(void **state)
{
        struct dump d = copy();
        struct fmt_inode inode;
        struct fmt_key key;

        store_block(&d, tree.file, 40960, 10);
        expect(&d, "beyond the size");
        d = copy();
        store_block(&d, tree.file, 8192, 4096);
        expect(&d, "bytes beyond the size");
        d = copy();
        store_block(&d, tree.file, 0, 4097);
        expect(&d, "longer than the block size");
        d = copy();
        store_block(&d, tree.file, 100, 4096);
        expect(&d, "overlaps others");
        d = copy();
        store_block(&d, 4000000, 0, 4096);
        store_block(&d, 4000000, 4096, 4096);
        expect(&d, "inode 4000000 does not exist, but has 2 blocks");
        d = copy();
        store_block(&d, UINT64_MAX, 0, 4096);
        expect(&d, "does not exist, but has 1 blocks");
        d = copy();
        store_block(&d, tree.symlink, 0, 4096);
        expect(&d, "no regular file");
        d = copy();
        fmt_key_block(&key, tree.file, 4096);
        dump_delete(&d, fmt_slice(&key));
        expect(&d, "bytes allocated");
        d = copy();
        fmt_key_block(&key, tree.file, 4096);
        memcpy(key.data + key.len, "z\x01\x00", 3);
        key.len += 3;
        dump_set(&d, fmt_slice(&key), str("no lz4 data"));
        expect(&d, "second form of one block");
        d = copy();
        dump_set(&d, fmt_slice(&key), str("no lz4 data"));
        expect(&d, "damaged block");

        /* A truncation under way may have blocks beyond the size, if 'g' names it. */
        d = copy();
        inode = load_inode(&d, tree.file);
        inode.size = 100;
        inode.trim_from = 4096;
        store_inode(&d, tree.file, &inode);
        store_block(&d, tree.file, 0, 100);
        expect(&d, "half truncated, but not listed");
}

static void test_garbage(void **state)
{
        struct fmt_garbage garbage = { .epoch = 0 };
        struct dump d = copy();
        uint8_t out[FMT_SMALL_MAX];
        struct fmt_key key;

        fmt_key_garbage(&key, tree.held);
        dump_delete(&d, fmt_slice(&key));
        expect(&d, "has no links, but is not listed");
        d = copy();
        fmt_key_garbage(&key, tree.file);
        dump_set(&d, fmt_slice(&key), slice_of(out, fmt_garbage_encode(&garbage, out)));
        expect(&d, "is in use, but listed as garbage");
        d = copy();
        fmt_key_garbage(&key, 4000000);
        dump_set(&d, fmt_slice(&key), slice_of(out, fmt_garbage_encode(&garbage, out)));
        expect(&d, "does not exist, but is listed as garbage");
        d = copy();
        garbage.epoch = UINT64_C(1) << 40;
        fmt_key_garbage(&key, tree.held);
        dump_set(&d, fmt_slice(&key), slice_of(out, fmt_garbage_encode(&garbage, out)));
        expect(&d, "epoch that has not begun");
}

static void test_counters(void **state)
{
        struct dump d = copy();
        struct fmt_key key;

        fmt_key_meta_counter(&key, FMT_COUNTER_INODES);
        store_counter(&d, &key, 99);
        expect(&d, "but counted are 99");
        d = copy();
        dump_set(&d, fmt_slice(&key), str("short"));
        expect(&d, "damaged value");
        d = copy();
        fmt_key_meta_counter(&key, FMT_COUNTER_NEXT_INO);
        store_counter(&d, &key, (int64_t)tree.file);
        expect(&d, "never handed out");
        d = copy();
        dump_delete(&d, fmt_slice(&key));
        expect(&d, "next inode number is missing");
}

static void test_unknown(void **state)
{
        struct dump d = copy();
        struct fmt_key key;

        dump_set(&d, str("x"), str("y"));
        expect(&d, "unknown key");
        d = copy();
        dump_set(&d, str("iii"), str("y"));
        expect(&d, "unknown key");
        d = copy();
        dump_set(&d, str(""), str("y"));
        expect(&d, "unknown key");
        d = copy();
        dump_set(&d, str("\xff\xff"), str("y"));
        expect(&d, "unknown key");
        d = copy();
        fmt_key_xattr(&key, 4000000, str("user.a"));
        dump_set(&d, fmt_slice(&key), str("y"));
        expect(&d, "does not exist, but has 1 attributes");
        d = copy();
        fmt_key_inode(&key, tree.file);
        dump_set(&d, fmt_slice(&key), str("\xff\xff\xff\xff"));
        expect(&d, "damaged value");
        d = copy();
        fmt_key_meta(&key);
        dump_set(&d, fmt_slice(&key), str("\xff\xff\xff\xff"));
        expect(&d, "metadata block is damaged");
}

/* Removing any pair that is not optional is found. */
static void test_every_pair_counts(void **state)
{
        for (size_t i = 0; i < tree.dump.n; i++) {
                struct dump d = copy();
                struct slice key = dump_key(&tree.dump.pairs[i]);
                struct fmt_parsed_key parsed;
                bool decoration;

                assert_ok(fmt_key_parse(key, &parsed));
                decoration = parsed.kind == FMT_META || parsed.kind == FMT_XATTR ||
                             parsed.kind == FMT_PROCESS || parsed.kind == FMT_STATUS ||
                             (parsed.kind == FMT_ATTR && parsed.which != FMT_ATTR_NLINK) ||
                             (parsed.kind == FMT_BLOCK && parsed.ino == tree.held) ||
                             (parsed.kind == FMT_META_COUNTER && parsed.which == FMT_COUNTER_EPOCH);
                if (parsed.kind == FMT_ATTR && parsed.which == FMT_ATTR_NLINK) {
                        int64_t n;

                        assert_ok(fmt_counter_decode(dump_value(&tree.dump.pairs[i]), &n));
                        decoration = n == 0;
                }
                if (decoration) {
                        dump_free(&d);
                } else {
                        dump_delete(&d, key);
                        expect(&d, "");
                }
        }
}

/* More pairs than the checker reads at once. */
static void test_many_chunks(void **state)
{
        static uint8_t data[5 << 20];
        struct maint_check_result result;
        struct lines lines = { .wanted = "none" };
        struct stepping_clock clock;
        struct fixture f;
        struct dump d;

        fixture_open(&f, "mem");
        memset(data, 'd', sizeof(data));
        assert_int_equal(fs_write(f.fs, new_file(&f, ROOT, "large"), 0, slice_of(data, sizeof(data)), 0),
                         sizeof(data));
        dump_load(&d, f.store);
        fixture_close(&f);
        run_check(open_with_age_limit(&d, &clock), &lines, &result);
        assert_false(result.snapshot);
        assert_string_equal(lines.all, "");
        assert_int_equal(result.blocks, sizeof(data) / 4096);
        assert_int_equal(result.data_bytes, sizeof(data));
        dump_free(&d);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_many_chunks),
                cmocka_unit_test(test_clean),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_directories),
                cmocka_unit_test(test_blocks),
                cmocka_unit_test(test_garbage),
                cmocka_unit_test(test_counters),
                cmocka_unit_test(test_unknown),
                cmocka_unit_test(test_every_pair_counts),
        };

        return cmocka_run_group_tests(tests, make_tree, free_tree);
}

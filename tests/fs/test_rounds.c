/* SPDX-License-Identifier: MIT */
/* Costs of each operation in the store: sequential waits for reads, which are the latency on a cluster,
 * transactions, and changed keys. Each count is asserted; a smaller one belongs in the table, too. */
#include "fixture.h"
#include "fs/gc/gc.h"
#include "kv/testing/testing.h"

#include <linux/falloc.h>
#include <linux/fs.h>

static const struct fs_cred user = { .uid = 1000, .gid = 1000 };
static uint8_t megabyte[1 << 20];

/* Inodes of the operations. Those that are removed stay referenced, so that they are not collected. */
struct scene {
        struct fixture f;
        uint64_t dir, other, file, big, symlink;
};

static void must(int64_t r)
{
        assert_true(r >= 0);
}

static int ignore_data(const struct iovec *iov, int n, size_t len, void *arg)
{
        return 0;
}

static int ignore_entry(const struct fs_entry *entry, void *arg)
{
        return 0;
}

static int accept_entry(const struct fs_entry *entry, void *arg)
{
        return 1;
}

static void do_lookup(struct scene *s)
{
        struct fs_attr a;

        must(fs_lookup(s->f.fs, s->dir, str("file"), &a));
}

static void do_lookup_new(struct scene *s)
{
        struct fs_attr a;

        must(fs_lookup(s->f.fs, s->other, str("renamed"), &a));
}

static void do_lookup_missing(struct scene *s)
{
        struct fs_attr a;

        assert_fails(fs_lookup(s->f.fs, s->dir, str("none"), &a), ENOENT);
}

static void do_getattr(struct scene *s)
{
        attr(&s->f, s->file);
}

static void do_getattr_dir(struct scene *s)
{
        attr(&s->f, s->dir);
}

static void do_create(struct scene *s)
{
        struct fs_attr a;

        must(fs_mknod(s->f.fs, &user, s->dir, str("new"), S_IFREG | 0644, 0, &a));
}

static void do_mkdir(struct scene *s)
{
        struct fs_attr a;

        must(fs_mkdir(s->f.fs, &user, s->dir, str("new"), 0755, &a));
}

static void do_symlink(struct scene *s)
{
        struct fs_attr a;

        must(fs_symlink(s->f.fs, &user, s->dir, str("new"), str("target"), &a));
}

static void do_link(struct scene *s)
{
        struct fs_attr a;

        must(fs_link(s->f.fs, s->file, s->other, str("new"), &a));
}

static void do_unlink(struct scene *s)
{
        must(fs_unlink(s->f.fs, s->dir, str("file")));
}

static void do_rmdir(struct scene *s)
{
        must(fs_rmdir(s->f.fs, s->dir, str("empty")));
}

static void do_rename(struct scene *s)
{
        must(fs_rename(s->f.fs, s->dir, str("file"), s->dir, str("new"), 0, NULL));
}

static void do_rename_over(struct scene *s)
{
        must(fs_rename(s->f.fs, s->dir, str("file"), s->dir, str("big"), 0, NULL));
}

static void do_rename_dir(struct scene *s)
{
        must(fs_rename(s->f.fs, s->dir, str("empty"), s->other, str("empty"), 0, NULL));
}

static void do_chmod(struct scene *s)
{
        must(chmod_to(&s->f, s->file, 0600));
}

static void do_read_small(struct scene *s)
{
        must(fs_read(s->f.fs, s->file, 0, 4096, 0, ignore_data, NULL));
}

static void do_read_big(struct scene *s)
{
        must(fs_read(s->f.fs, s->big, 0, sizeof(megabyte), 0, ignore_data, NULL));
}

static void do_write_new(struct scene *s)
{
        must(fs_write(s->f.fs, s->file, 8192, slice_of(megabyte, 4096), 0));
}

static void do_write_over(struct scene *s)
{
        must(fs_write(s->f.fs, s->file, 0, slice_of(megabyte, 4096), 0));
}

static void do_write_inside(struct scene *s)
{
        must(fs_write(s->f.fs, s->file, 100, slice_of(megabyte, 100), 0));
}

static void do_append(struct scene *s)
{
        must(fs_write(s->f.fs, s->file, 0, slice_of(megabyte, 100), FS_WRITE_APPEND));
}

static void do_write_half_megabyte(struct scene *s)
{
        must(fs_write(s->f.fs, s->file, 4096, slice_of(megabyte, sizeof(megabyte) / 2), 0));
}

static void do_truncate(struct scene *s)
{
        must(truncate_to(&s->f, s->file, 10));
}

static void do_extend(struct scene *s)
{
        must(truncate_to(&s->f, s->file, 1 << 20));
}

static void do_punch(struct scene *s)
{
        must(fs_fallocate(s->f.fs, s->big, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192, 65536));
}

static void do_setxattr(struct scene *s)
{
        must(fs_setxattr(s->f.fs, s->file, str("user.b"), str("v"), 0));
}

static void do_getxattr(struct scene *s)
{
        must(fs_getxattr(s->f.fs, s->file, str("user.a"), NULL, 0));
}

static void do_getxattr_missing(struct scene *s)
{
        assert_fails(fs_getxattr(s->f.fs, s->file, str("security.capability"), NULL, 0), ENODATA);
}

static void do_listxattr(struct scene *s)
{
        must(fs_listxattr(s->f.fs, s->file, NULL, 0));
}

static void do_readlink(struct scene *s)
{
        char buf[FMT_SYMLINK_MAX + 1];

        must(fs_readlink(s->f.fs, s->symlink, buf));
}

static void do_readdir(struct scene *s)
{
        must(fs_readdir(s->f.fs, s->dir, str(""), 0, accept_entry, NULL));
}

static void do_readdir_plus(struct scene *s)
{
        must(fs_readdir(s->f.fs, s->dir, str(""), FS_READDIR_PLUS, ignore_entry, NULL));
}

static void do_parent(struct scene *s)
{
        uint64_t parent;

        must(fs_parent(s->f.fs, s->dir, &parent));
}

static void do_statfs(struct scene *s)
{
        struct fs_statfs space;

        must(fs_statfs(s->f.fs, &space));
}

/* Rounds over a local store, and over one whose reads cost round trips, where more is read at once. */
static const struct {
        const char *name;
        void (*run)(struct scene *s);
        unsigned rounds, remote_rounds, txns, changes;
} costs[] = {
        { "lookup", do_lookup, 2, 1, 1, 0 },
        { "lookup of a new name", do_lookup_new, 2, 2, 1, 0 },
        { "lookup of no name", do_lookup_missing, 2, 1, 1, 0 },
        { "getattr", do_getattr, 1, 1, 1, 0 },
        { "getattr of a directory", do_getattr_dir, 2, 1, 1, 0 },
        { "create", do_create, 1, 1, 1, 5 },
        { "mkdir", do_mkdir, 1, 1, 1, 6 },
        { "symlink", do_symlink, 1, 1, 1, 5 },
        { "link", do_link, 1, 1, 1, 5 },
        { "unlink", do_unlink, 2, 1, 1, 6 },
        { "rmdir", do_rmdir, 3, 2, 1, 7 },
        { "rename", do_rename, 2, 1, 1, 6 },
        { "rename over a file", do_rename_over, 2, 1, 1, 9 },
        { "rename of a directory", do_rename_dir, 3, 2, 1, 10 },
        { "chmod", do_chmod, 1, 1, 1, 2 },
        { "read of 4 KiB", do_read_small, 2, 1, 1, 0 },
        { "read of 1 MiB", do_read_big, 2, 1, 1, 0 },
        { "write of a new block", do_write_new, 1, 1, 1, 3 },
        { "write of a whole block", do_write_over, 2, 1, 1, 3 },
        { "write inside a block", do_write_inside, 2, 1, 1, 3 },
        { "append", do_append, 2, 2, 1, 3 },
        { "write of 512 KiB", do_write_half_megabyte, 3, 2, 2, 132 },
        { "truncate", do_truncate, 3, 3, 1, 4 },
        { "extend", do_extend, 1, 1, 1, 2 },
        { "punch hole", do_punch, 2, 2, 1, 3 },
        { "setxattr", do_setxattr, 1, 1, 1, 3 },
        { "getxattr", do_getxattr, 1, 1, 1, 0 },
        { "getxattr of no attribute", do_getxattr_missing, 1, 1, 1, 0 },
        { "listxattr", do_listxattr, 1, 1, 1, 0 },
        { "readlink", do_readlink, 1, 1, 1, 0 },
        { "readdir", do_readdir, 1, 1, 1, 0 },
        { "readdir with attributes", do_readdir_plus, 2, 2, 1, 0 },
        { "parent", do_parent, 1, 1, 1, 0 },
        { "statfs", do_statfs, 1, 1, 1, 0 },
};

static void set_scene(struct scene *s)
{
        struct fixture *f = &s->f;
        const char *held[] = { "file", "big", "empty" };
        struct fs_attr a;

        fixture_open(f, fixture_spec);
        s->dir = new_dir(f, ROOT, "dir");
        s->other = new_dir(f, ROOT, "other");
        s->file = new_file(f, s->dir, "file");
        s->big = new_file(f, s->dir, "big");
        s->symlink = new_symlink(f, s->dir, "symlink", "target");
        new_dir(f, s->dir, "empty");
        new_file(f, s->other, "file");
        must(fs_rename(f->fs, s->other, str("file"), s->other, str("renamed"), 0, NULL));
        memset(megabyte, 'm', sizeof(megabyte));
        must(fs_write(f->fs, s->file, 0, slice_of(megabyte, 5000), 0));
        must(fs_write(f->fs, s->big, 0, slice_of(megabyte, sizeof(megabyte)), 0));
        must(fs_setxattr(f->fs, s->file, str("user.a"), str("v"), 0));
        for (int i = 0; i < 3; i++)
                must(fs_lookup(f->fs, s->dir, str(held[i]), &a));
        fs_gc_drain(f->fs); /* the collector's first pass is not counted */
}

static void check_count(const char *name, const char *what, uint64_t count, unsigned expected)
{
        if (count != expected)
                fail_msg("%s: %llu %s, not %u", name, (unsigned long long)count, what, expected);
}

static void test_costs(void **state)
{
        bool remote = strstr(fixture_spec, "+remote");

        for (size_t i = 0; i < sizeof(costs) / sizeof(costs[0]); i++) {
                const char *name = costs[i].name;
                struct kv_stats stats;
                struct scene s;

                set_scene(&s);
                kv_stats_reset(s.f.stats);
                costs[i].run(&s);
                kv_stats_get(s.f.stats, &stats);
                fixture_close(&s.f);
                check_count(name, "rounds", stats.read_rounds,
                            remote ? costs[i].remote_rounds : costs[i].rounds);
                check_count(name, "transactions", stats.txns, costs[i].txns);
                check_count(name, "changes", stats.sets + stats.clears + stats.clear_ranges + stats.atomics,
                            costs[i].changes);
        }
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_costs) };

        if (argc > 1)
                fixture_spec = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}

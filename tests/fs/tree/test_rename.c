/* SPDX-License-Identifier: MIT */
/* rename(2) and renameat2(2): every combination of source and target. */
#include "fixture.h"

#include <linux/fs.h>

/* Kinds of source and target. */
enum what { NOTHING, FILE_A, SYMLINK, EMPTY_DIR, FULL_DIR };

static void make(struct fixture *f, uint64_t dir, const char *name, enum what what)
{
        switch (what) {
        case NOTHING:
                break;
        case FILE_A:
                new_file(f, dir, name);
                break;
        case SYMLINK:
                new_symlink(f, dir, name, "target");
                break;
        case EMPTY_DIR:
                new_dir(f, dir, name);
                break;
        case FULL_DIR:
                new_file(f, new_dir(f, dir, name), "inside");
                break;
        }
}

/* Returns the error that rename(2) gives for a source and a target. */
static int expected(enum what from, enum what to, unsigned flags)
{
        bool from_dir = from == EMPTY_DIR || from == FULL_DIR, to_dir = to == EMPTY_DIR || to == FULL_DIR;

        if (from == NOTHING)
                return -ENOENT;
        if (flags & RENAME_EXCHANGE)
                return to == NOTHING ? -ENOENT : 0;
        if (to == NOTHING)
                return 0;
        if (flags & RENAME_NOREPLACE)
                return -EEXIST;
        if (from_dir && !to_dir)
                return -ENOTDIR;
        if (!from_dir && to_dir)
                return -EISDIR;
        return to == FULL_DIR ? -ENOTEMPTY : 0;
}

static void check_case(struct fixture *f, enum what from, enum what to, unsigned flags, bool same_dir)
{
        uint64_t a = new_dir(f, ROOT, "a"), b = same_dir ? a : new_dir(f, ROOT, "b");
        uint64_t dirs = attr(f, ROOT).nlink, from_ino = 0, to_ino = 0, found;
        int r;

        make(f, a, "from", from);
        make(f, b, "to", to);
        look(f, a, "from", &from_ino);
        look(f, b, "to", &to_ino);
        tick(f);
        r = fs_rename(f->fs, a, str("from"), b, str("to"), flags, NULL);
        if (r != expected(from, to, flags))
                fail_msg("from %d to %d flags %u same %d: %s", from, to, flags, same_dir, err_str(r));
        if (r < 0) {
                assert_int_equal(look(f, a, "from", NULL), from == NOTHING ? -ENOENT : 0);
                assert_int_equal(look(f, b, "to", NULL), to == NOTHING ? -ENOENT : 0);
        } else {
                assert_ok(look(f, b, "to", &found));
                assert_int_equal(found, from_ino);
                assert_int_equal(look(f, a, "from", &found), flags & RENAME_EXCHANGE ? 0 : -ENOENT);
                if (flags & RENAME_EXCHANGE)
                        assert_int_equal(found, to_ino);
                assert_times(attr(f, a).mtime, now(f));
                assert_times(attr(f, b).mtime, now(f));
                assert_times(attr(f, a).ctime, now(f));
                assert_times(attr(f, b).ctime, now(f));
                assert_times(attr(f, from_ino).ctime, now(f));
                if (from >= EMPTY_DIR) {
                        assert_ok(fs_parent(f->fs, from_ino, &found));
                        assert_int_equal(found, b);
                }
        }
        assert_int_equal(attr(f, ROOT).nlink, dirs);
        fixture_check(f, NULL); /* link counts of both parents among others */
}

static void test_matrix(void **state)
{
        static const unsigned flags[] = { 0, RENAME_NOREPLACE, RENAME_EXCHANGE };

        for (enum what from = NOTHING; from <= FULL_DIR; from++)
                for (enum what to = NOTHING; to <= FULL_DIR; to++)
                        for (size_t i = 0; i < 3; i++)
                                for (int same = 0; same < 2; same++) {
                                        struct fixture f;

                                        fixture_open(&f, fixture_spec);
                                        check_case(&f, from, to, flags[i], same);
                                        fixture_close(&f);
                                }
}

static void test_flags(void **state)
{
        struct fixture *f = *state;

        new_file(f, ROOT, "a");
        new_file(f, ROOT, "b");
        assert_fails(fs_rename(f->fs, ROOT, str("a"), ROOT, str("b"), RENAME_NOREPLACE | RENAME_EXCHANGE,
                               NULL),
                     EINVAL);
        assert_fails(fs_rename(f->fs, ROOT, str("a"), ROOT, str("b"), 1u << 20, NULL), EINVAL);
        assert_fails(fs_rename(f->fs, ROOT, str("a"), ROOT, str("a"), RENAME_NOREPLACE, NULL), EEXIST);
        assert_ok(fs_rename(f->fs, ROOT, str("a"), ROOT, str("a"), 0, NULL));
        assert_ok(fs_rename(f->fs, ROOT, str("a"), ROOT, str("a"), RENAME_EXCHANGE, NULL));
        assert_string_equal(names(f, ROOT), "a/b/");
}

/* Two names of one file: rename succeeds and does nothing. */
static void test_same_inode(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "a");

        assert_ok(hardlink(f, file, ROOT, "b"));
        assert_ok(fs_rename(f->fs, ROOT, str("a"), ROOT, str("b"), 0, NULL));
        assert_string_equal(names(f, ROOT), "a/b/");
        assert_int_equal(attr(f, file).nlink, 2);
        assert_ok(fs_rename(f->fs, ROOT, str("a"), ROOT, str("b"), RENAME_EXCHANGE, NULL));
        assert_fails(fs_rename(f->fs, ROOT, str("a"), ROOT, str("b"), RENAME_NOREPLACE, NULL), EEXIST);
        assert_string_equal(names(f, ROOT), "a/b/");
        assert_int_equal(attr(f, file).nlink, 2);
}

static void test_into_itself(void **state)
{
        struct fixture *f = *state;
        uint64_t a = new_dir(f, ROOT, "a"), b = new_dir(f, a, "b"), c = new_dir(f, b, "c");

        assert_fails(fs_rename(f->fs, ROOT, str("a"), a, str("x"), 0, NULL), EINVAL);
        assert_fails(fs_rename(f->fs, ROOT, str("a"), b, str("x"), 0, NULL), EINVAL);
        assert_fails(fs_rename(f->fs, ROOT, str("a"), c, str("x"), 0, NULL), EINVAL);
        assert_fails(fs_rename(f->fs, ROOT, str("a"), a, str("b"), RENAME_EXCHANGE, NULL), EINVAL);
        assert_fails(fs_rename(f->fs, b, str("c"), ROOT, str("a"), RENAME_EXCHANGE, NULL), EINVAL);
        /* Over one of its own ancestors, which is not empty. */
        assert_fails(fs_rename(f->fs, b, str("c"), ROOT, str("a"), 0, NULL), ENOTEMPTY);
        assert_ok(fs_rename(f->fs, b, str("c"), ROOT, str("c"), 0, NULL));
        assert_ok(fs_rename(f->fs, ROOT, str("a"), c, str("a"), 0, NULL));
        assert_string_equal(names(f, ROOT), "c/");
}

/* A target that is replaced loses a link and its ctime moves; still referenced, it stays. */
static void test_replaced(void **state)
{
        struct fixture *f = *state;
        uint64_t from = new_file(f, ROOT, "from"), to = new_file(f, ROOT, "to");
        struct fs_attr a;

        put(f, to, 0, "old");
        put(f, from, 0, "new");
        assert_ok(hardlink(f, to, ROOT, "kept"));
        tick(f);
        assert_ok(fs_rename(f->fs, ROOT, str("from"), ROOT, str("to"), 0, NULL));
        a = attr(f, to);
        assert_int_equal(a.nlink, 1);
        assert_times(a.ctime, now(f));

        assert_ok(fs_lookup(f->fs, ROOT, str("kept"), &a));
        assert_ok(fs_rename(f->fs, ROOT, str("to"), ROOT, str("kept"), 0, NULL));
        assert_int_equal(attr(f, to).nlink, 0);
        assert_data(f, to, 0, "old", 3);
        assert_data(f, from, 0, "new", 3);
        fs_forget(f->fs, to, 1);
}

static void test_bad_places(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");

        assert_fails(fs_rename(f->fs, ROOT, str("file"), file, str("x"), 0, NULL), ENOTDIR);
        assert_fails(fs_rename(f->fs, file, str("x"), ROOT, str("x"), 0, NULL), ENOTDIR);
        assert_fails(fs_rename(f->fs, ROOT, str("file"), 987654321, str("x"), 0, NULL), ENOENT);
        assert_fails(fs_rename(f->fs, 987654321, str("x"), ROOT, str("x"), 0, NULL), ENOENT);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_matrix),  FIXTURE_TEST(test_flags),    FIXTURE_TEST(test_same_inode),
                FIXTURE_TEST(test_into_itself), FIXTURE_TEST(test_replaced), FIXTURE_TEST(test_bad_places),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}

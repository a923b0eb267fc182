/* SPDX-License-Identifier: MIT */
/* Directories: reading them in several calls while they change. */
#include "fixture.h"

#include <unistd.h>

/* Accepts up to `limit` names; keeps the last one. */
struct taker {
        unsigned limit, taken, referenced;
        char last[FMT_NAME_MAX + 1];
        uint8_t *seen; /* by the number in the name */
        struct fixture *f;
        bool plus;
};

static int take(const struct fs_entry *entry, void *arg)
{
        struct taker *p = arg;

        assert_true(entry->name.len <= FMT_NAME_MAX);
        if (p->taken == p->limit)
                return 0;
        p->taken++;
        memcpy(p->last, entry->name.data, entry->name.len);
        p->last[entry->name.len] = '\0';
        if (p->seen && p->last[0] == 'n')
                p->seen[atoi(p->last + 1)]++;
        assert_true(p->plus || !entry->attr);
        if (entry->attr) {
                p->referenced++;
                assert_int_equal(entry->attr->ino, entry->ino);
                assert_int_equal(entry->attr->mode & S_IFMT, entry->type);
        }
        return 1;
}

static void test_order_and_types(void **state)
{
        struct fixture *f = *state;
        uint64_t dir = new_dir(f, ROOT, "dir");

        new_file(f, dir, "b");
        new_dir(f, dir, "a");
        new_symlink(f, dir, "ab", "x");
        new_file(f, dir, "a\xff");
        assert_string_equal(names(f, dir), "a/ab/a\xff/b/");
        assert_string_equal(names(f, ROOT), "dir/");
        assert_int_equal(fs_readdir(f->fs, new_file(f, ROOT, "file"), str(""), 0, take, NULL), -ENOTDIR);
        assert_int_equal(fs_readdir(f->fs, 987654321, str(""), 0, take, NULL), -ENOENT);
}

/* Calls of every size while names are added and removed: names that stay are returned once each. */
static void test_continuation(void **state)
{
        enum { N = 300 };
        struct fixture *f = *state;
        uint64_t dir = new_dir(f, ROOT, "dir");
        uint8_t seen[N];
        char name[32];

        for (int i = 0; i < N; i++) {
                snprintf(name, sizeof(name), "n%03d", i);
                new_file(f, dir, name);
        }
        for (unsigned limit = 1; limit < 2 * N; limit = limit * 2 + 1) {
                struct taker p = { .limit = limit, .seen = seen };
                int r, round = 0;

                memset(seen, 0, sizeof(seen));
                do {
                        p.taken = 0;
                        r = fs_readdir(f->fs, dir, str(p.last), 0, take, &p);
                        assert_true(r >= 0);
                        /* Names before, behind and at the position of the reader. */
                        snprintf(name, sizeof(name), "%.20s+", p.last);
                        new_file(f, dir, name);
                        assert_ok(fs_unlink(f->fs, dir, str(name)));
                        snprintf(name, sizeof(name), "m%d-%d", (int)limit, round++);
                        new_file(f, dir, name);
                } while (r == 0);
                for (int i = 0; i < N; i++)
                        assert_int_equal(seen[i], 1);
        }
}

/* The name at which a reader stopped may be removed before the next call. */
static void test_continue_after_removed(void **state)
{
        struct fixture *f = *state;
        struct taker p = { .limit = 2 };
        const char *all[] = { "a", "b", "c", "d" };

        for (int i = 0; i < 4; i++)
                new_file(f, ROOT, all[i]);
        assert_int_equal(fs_readdir(f->fs, ROOT, str(""), 0, take, &p), 0);
        assert_string_equal(p.last, "b");
        assert_ok(fs_unlink(f->fs, ROOT, str("b")));
        p.taken = 0;
        p.limit = 1;
        assert_int_equal(fs_readdir(f->fs, ROOT, str(p.last), 0, take, &p), 0);
        assert_string_equal(p.last, "c");
}

/* READDIR_PLUS gives attributes, and a reference for each entry that was accepted with them. */
static void test_plus(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file"), other = new_file(f, ROOT, "other");
        struct taker p = { .limit = 1, .plus = true };
        struct fs_attr a;

        put(f, file, 0, "x");
        while (p.referenced == 0) { /* not while the collector is busy */
                p.taken = 0;
                assert_int_equal(fs_readdir(f->fs, ROOT, str(""), FS_READDIR_PLUS, take, &p), 0);
        }
        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
        assert_ok(fs_unlink(f->fs, ROOT, str("other")));
        for (int i = 0; fs_getattr(f->fs, other, &a) == 0; i++) {
                assert_true(i < 2000); /* it has no reference, so it is collected */
                usleep(5000);
        }
        assert_data(f, file, 0, "x", 1);
        fs_forget(f->fs, file, 1);
        fixture_drain(f);
        assert_fails(fs_getattr(f->fs, file, &a), ENOENT);
}

static void test_parent(void **state)
{
        struct fixture *f = *state;
        uint64_t a = new_dir(f, ROOT, "a"), b = new_dir(f, a, "b"), parent;

        assert_ok(fs_parent(f->fs, b, &parent));
        assert_int_equal(parent, a);
        assert_ok(fs_rename(f->fs, a, str("b"), ROOT, str("b"), 0, NULL));
        assert_ok(fs_parent(f->fs, b, &parent));
        assert_int_equal(parent, ROOT);
        assert_fails(fs_parent(f->fs, new_file(f, ROOT, "file"), &parent), ENOTDIR);
        assert_fails(fs_parent(f->fs, 987654321, &parent), ENOENT);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                FIXTURE_TEST(test_order_and_types),
                FIXTURE_TEST(test_continuation),
                FIXTURE_TEST(test_continue_after_removed),
                FIXTURE_TEST(test_plus),
                FIXTURE_TEST(test_parent),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}

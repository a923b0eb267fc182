/* SPDX-License-Identifier: MIT */
/* The collector in a store with damaged entries under 'g': it must end, and collect the valid ones. */
#include "fixture.h"

#include "format/format.h"

struct pair {
        struct slice key, value;
};

static int set_body(struct kv_txn *t, void *arg)
{
        const struct pair *p = arg;

        return kv_set(t, p->key, p->value);
}

static void set(struct fixture *f, struct slice key, struct slice value)
{
        struct pair p = { .key = key, .value = value };

        assert_ok(kv_run(f->store, KV_WRITE, set_body, &p));
}

static void set_garbage(struct fixture *f, uint64_t ino)
{
        struct fmt_key key;

        fmt_key_garbage(&key, ino);
        set(f, fmt_slice(&key), str("no garbage entry"));
}

static void test_strange_entries(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file"), live = new_file(f, ROOT, "live");

        put(f, file, 0, "to be collected");
        put(f, live, 0, "to stay");
        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
        set(f, str("g"), str(""));
        set(f, str("gxyz"), str("short"));
        set(f, str("g much longer than any key under g"), str(""));
        for (uint64_t i = 0; i < 200; i++)
                set_garbage(f, UINT64_MAX - i);
        set_garbage(f, live);
        set_garbage(f, ROOT);
        fixture_remount(f);
        fixture_remount(f);
        assert_int_equal(count_keys(f->store, "f"), 1); /* the block of the living file */
        assert_data(f, live, 0, "to stay", 7);
        assert_int_equal(attr(f, ROOT).nlink, 2);
}

/* A damaged record or damaged blocks do not prevent the collection of other inodes. */
static void test_damaged_inode(void **state)
{
        struct fixture *f = *state;
        uint64_t broken, odd, good;
        struct fs_attr a;
        struct fmt_key key;

        broken = new_file(f, ROOT, "broken");
        odd = new_file(f, ROOT, "odd");
        good = new_file(f, ROOT, "good");
        put(f, odd, 100000, "more than one block");
        put(f, good, 100000, "more than one block");
        assert_ok(fs_lookup(f->fs, ROOT, str("broken"), &a));
        assert_ok(fs_lookup(f->fs, ROOT, str("odd"), &a));
        assert_ok(fs_unlink(f->fs, ROOT, str("broken")));
        assert_ok(fs_unlink(f->fs, ROOT, str("odd")));
        fmt_key_inode(&key, broken);
        set(f, fmt_slice(&key), str("no record"));
        fmt_key_block(&key, odd, 50000);
        key.data[key.len++] = '?';
        set(f, fmt_slice(&key), str("no block"));
        assert_ok(fs_unlink(f->fs, ROOT, str("good")));
        fixture_remount(f);
        assert_fails(fs_getattr(f->fs, good, &a), ENOENT);
}

/* fixture_teardown would find the damage. */
static int teardown(void **state)
{
        struct fixture *f = *state;

        fs_close(f->fs);
        assert_ok(kv_close(f->store));
        free(f);
        return 0;
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_strange_entries, fixture_setup, teardown),
                cmocka_unit_test_setup_teardown(test_damaged_inode, fixture_setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

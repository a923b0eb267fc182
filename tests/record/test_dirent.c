/* SPDX-License-Identifier: MIT */
/* Entries of directories. */
#include "fixture.h"
#include "record/dirent.h"

#include <sys/stat.h>

#define DIR 5u

static void add_entry(struct kv_store *s, uint64_t dir, const char *name)
{
        struct kv_txn *t = begin(s);

        assert_ok(rec_dirent_set(t, dir, slice_str(name), 9, S_IFREG));
        assert_ok(finish(t));
}

/* Checks that DIR is empty in a transaction beside which an entry is added to OTHER; returns the commit's
 * result. */
static int check_beside(struct kv_store *s, uint64_t other, const char *name)
{
        struct kv_txn *t = begin(s);

        assert_ok(rec_dir_check_empty(t, DIR));
        add_entry(s, other, name);
        assert_ok(kv_set(t, slice_str("removed"), slice_str("")));
        return finish(t);
}

/* An entry that is added to an empty directory conflicts with its removal, whatever its name; one that is
 * added to another directory does not. */
static void test_check_empty(void **state)
{
        static const char *const names[] = { "\1", "name", "\xff\xff" };
        struct kv_txn *t;

        assert_ok(check_beside(*state, DIR - 1, "\xff"));
        assert_ok(check_beside(*state, DIR + 1, "\1"));
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                assert_fails(check_beside(*state, DIR, names[i]), ERR_CONFLICT);
                t = begin(*state);
                assert_fails(rec_dir_check_empty(t, DIR), ENOTEMPTY);
                assert_ok(rec_dirent_clear(t, DIR, slice_str(names[i])));
                assert_ok(finish(t));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = { STORE_TEST(test_check_empty) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

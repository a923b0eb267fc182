/* SPDX-License-Identifier: MIT */
/* Keys below an inode's record: extended attributes, locks, use counters, and the counter of blocks. */
#include "fixture.h"
#include "record/inode.h"
#include "record/lock.h"
#include "record/use.h"
#include "record/xattr.h"

/* ---- extended attributes ------------------------------------------------------------------------- */

static int get_xattr(struct kv_txn *t, uint64_t ino, const char *name, struct slice *ret)
{
        struct rec_xattr_read read;

        rec_xattr_start(t, &read, ino, slice_str(name), 0);
        return rec_xattr_wait(t, &read, ret);
}

/* All names, each followed by a space. */
static void assert_names(struct kv_txn *t, uint64_t ino, const char *expected)
{
        _cleanup_xattrs_ struct rec_xattrs names;
        struct slice name;
        char line[256] = "";
        int r;

        rec_xattrs_start(t, &names, ino);
        while ((r = rec_xattrs_next(&names, &name)) > 0)
                snprintf(line + strlen(line), sizeof(line) - strlen(line), "%.*s ", (int)name.len, name.data);
        assert_ok(r);
        assert_string_equal(line, expected);
}

static void test_xattr(void **state)
{
        struct kv_txn *t = begin(*state);
        struct slice value;

        assert_ok(rec_xattr_set(t, 7, slice_str("user.b"), slice_str("2")));
        assert_ok(rec_xattr_set(t, 7, slice_str("user.a"), slice_str("")));
        assert_ok(rec_xattr_set(t, 7, slice_str("\xff"), slice_str("last")));
        assert_ok(rec_xattr_set(t, 8, slice_str("user.other"), slice_str("3")));
        assert_ok(rec_xattr_set(t, 6, slice_str("user.other"), slice_str("3")));
        /* Keys that sort on both sides of the attributes are not attributes. */
        assert_ok(rec_use_set(t, 7, pid_c, 1));
        assert_ok(rec_inode_add(t, 7, FMT_ATTR_CHANGE, 1));
        assert_names(t, 7, "user.a user.b \xff ");
        assert_ok(get_xattr(t, 7, "user.b", &value));
        assert_true(slice_eq(value, slice_str("2")));
        assert_fails(get_xattr(t, 7, "user.other", &value), ENOENT);
        assert_ok(rec_xattr_clear(t, 7, slice_str("user.b")));
        assert_names(t, 7, "user.a \xff ");
        assert_names(t, 9, "");
        assert_ok(finish(t));
}

/* ---- locks -------------------------------------------------------------------------------------- */

static const struct fmt_lock whole = { .start = 0, .end = UINT64_MAX, .type = 1, .owner = 5, .sequence = 9 };

/* The ids of all locks, each with the first byte of its pid. */
static void assert_locks(struct kv_txn *t, uint64_t ino, const char *expected)
{
        _cleanup_locks_ struct rec_locks locks;
        struct rec_lock lock;
        char line[256] = "";
        int r;

        rec_locks_start(t, &locks, ino, true);
        while ((r = rec_locks_next(&locks, &lock)) > 0) {
                snprintf(line + strlen(line), sizeof(line) - strlen(line), "%02x:%.*s ", lock.pid[0],
                         (int)lock.id.len, lock.id.data);
                assert_int_equal(lock.lock.owner, whole.owner);
                assert_int_equal(lock.lock.sequence, whole.sequence);
        }
        assert_ok(r);
        assert_string_equal(line, expected);
}

static void test_lock(void **state)
{
        struct kv_txn *t = begin(*state);

        assert_ok(rec_lock_set(t, 7, pid_b, slice_str("one"), &whole));
        assert_ok(rec_lock_set(t, 7, pid_b, slice_str("two"), &whole));
        assert_ok(rec_lock_set(t, 7, pid_c, slice_str("\xff"), &whole));
        assert_ok(rec_lock_set(t, 7, pid_a, slice_str(""), &whole));
        assert_ok(rec_lock_set(t, 8, pid_a, slice_str("other"), &whole));
        assert_ok(rec_use_set(t, 7, pid_a, 1));
        assert_locks(t, 7, "00: 62:one 62:two ff:\xff ");
        assert_ok(rec_lock_clear(t, 7, pid_b, slice_str("one")));
        assert_locks(t, 7, "00: 62:two ff:\xff ");
        assert_ok(rec_lock_clear_mount(t, 7, pid_c));
        assert_ok(rec_lock_clear_mount(t, 7, pid_a));
        assert_locks(t, 7, "62:two ");
        assert_ok(rec_lock_clear_mount(t, 7, pid_b));
        assert_locks(t, 7, "");
        assert_locks(t, 8, "00:other ");
        assert_ok(finish(t));
}

/* A lock that is taken conflicts with a transaction that saw none. */
static void test_lock_conflict(void **state)
{
        struct kv_txn *a = begin(*state), *b = begin(*state);
        struct rec_locks locks;
        struct rec_lock lock;

        rec_locks_start(a, &locks, 7, false);
        assert_ok(rec_locks_next(&locks, &lock));
        rec_locks_end(&locks);
        assert_ok(rec_lock_set(a, 7, pid_a, slice_str("a"), &whole));
        assert_ok(rec_lock_set(b, 7, pid_b, slice_str("b"), &whole));
        assert_ok(finish(b));
        assert_fails(finish(a), ERR_CONFLICT);
}

static void test_damaged(void **state)
{
        struct kv_txn *t;
        struct rec_locks locks;
        struct rec_uses uses;
        struct rec_lock lock;
        struct rec_use use;
        struct fmt_key key;

        fmt_key_lock(&key, 7, pid_b, slice_str("id"));
        set_raw(*state, fmt_slice(&key), slice_str("no lock"));
        fmt_key_use(&key, 7, pid_b);
        set_raw(*state, fmt_slice(&key), slice_str("no counter"));
        t = begin(*state);
        rec_locks_start(t, &locks, 7, true);
        assert_fails(rec_locks_next(&locks, &lock), ERR_CORRUPT);
        rec_locks_end(&locks);
        rec_uses_start(t, &uses, 7, true);
        assert_fails(rec_uses_next(&uses, &use), ERR_CORRUPT);
        rec_uses_end(&uses);
        kv_end(t);
}

/* ---- use counters -------------------------------------------------------------------------------- */

/* All counters, each with the first byte of its pid. */
static void assert_uses(struct kv_txn *t, uint64_t ino, const char *expected)
{
        _cleanup_uses_ struct rec_uses uses;
        struct rec_use use;
        char line[256] = "";
        int r;

        rec_uses_start(t, &uses, ino, true);
        while ((r = rec_uses_next(&uses, &use)) > 0)
                snprintf(line + strlen(line), sizeof(line) - strlen(line), "%02x:%lld ", use.pid[0],
                         (long long)use.count);
        assert_ok(r);
        assert_string_equal(line, expected);
}

static void test_use(void **state)
{
        struct kv_txn *t = begin(*state);

        assert_ok(rec_use_set(t, 7, pid_b, 2));
        assert_ok(rec_use_set(t, 7, pid_a, INT64_MAX));
        assert_ok(rec_use_set(t, 7, pid_c, 1));
        assert_ok(rec_use_set(t, 8, pid_b, 4));
        assert_ok(rec_lock_set(t, 7, pid_c, slice_str("lock"), &whole));
        assert_ok(rec_xattr_set(t, 7, slice_str("user.a"), slice_str("1")));
        assert_uses(t, 7, "00:9223372036854775807 62:2 ff:1 ");
        assert_ok(rec_use_set(t, 7, pid_b, 3));
        assert_ok(rec_use_clear(t, 7, pid_a));
        assert_ok(rec_use_clear(t, 7, pid_a));
        assert_uses(t, 7, "62:3 ff:1 ");
        assert_uses(t, 9, "");
        assert_ok(finish(t));
}

/* ---- the record --------------------------------------------------------------------------------- */

static void test_allocated(void **state)
{
        struct kv_txn *t = begin(*state);
        struct rec_allocated_read read;
        struct fmt_inode rec = { .allocated = 512 };

        assert_ok(rec_inode_add(t, 7, FMT_ATTR_BLOCKS, 1024));
        assert_ok(rec_inode_add(t, 7, FMT_ATTR_BLOCKS, -512));
        for (int i = 0; i < 2; i++) {
                rec_allocated_start(t, &read, 7);
                assert_ok(rec_allocated_wait(t, &read));
                assert_ok(rec_allocated_fold(t, &read, &rec));
                assert_int_equal(rec.allocated, 1024);
        }
        assert_ok(finish(t));
        assert_int_equal(count_pairs(*state), 0);
}

static void test_clear(void **state)
{
        const struct fmt_inode rec = { .mode = S_IFREG | 0644, .nlink = 1 };
        struct kv_txn *t = begin(*state);

        assert_ok(rec_inode_store_new(t, 6, &rec));
        assert_ok(rec_inode_store_new(t, 7, &rec));
        assert_ok(rec_inode_store_new(t, 8, &rec));
        assert_ok(rec_inode_add(t, 7, FMT_ATTR_CHANGE, 1));
        assert_ok(rec_xattr_set(t, 7, slice_str("user.a"), slice_str("1")));
        assert_ok(rec_lock_set(t, 7, pid_a, slice_str("lock"), &whole));
        assert_ok(rec_use_set(t, 7, pid_c, 1));
        assert_ok(rec_inode_clear(t, 7));
        assert_ok(finish(t));
        assert_int_equal(count_pairs(*state), 2);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                STORE_TEST(test_xattr),   STORE_TEST(test_lock), STORE_TEST(test_lock_conflict),
                STORE_TEST(test_damaged), STORE_TEST(test_use),  STORE_TEST(test_allocated),
                STORE_TEST(test_clear),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

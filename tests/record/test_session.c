/* SPDX-License-Identifier: MIT */
/* The session table. tests/fs tests how mounts use it. */
#include "fixture.h"
#include "record/session_table.h"

static const struct fmt_process entry = {
        .host = { (const uint8_t *)"host", 4 },
        .mountpoint = { (const uint8_t *)"/mnt", 4 },
        .unix_pid = 42,
};

static void add(struct kv_store *s, const uint8_t pid[FMT_PID_SIZE], uint64_t heartbeat)
{
        const struct fmt_status status = { .heartbeat = heartbeat };
        struct kv_txn *t = begin(s);

        assert_ok(rec_session_set(t, pid, &entry));
        assert_ok(rec_status_set(t, pid, &status));
        assert_ok(finish(t));
}

struct line {
        char text[256];
};

static int print_one(const struct rec_session *s, void *arg)
{
        struct line *l = arg;
        size_t n = strlen(l->text);

        snprintf(l->text + n, sizeof(l->text) - n, "%02x:%s:%llu ", s->pid[0],
                 s->damaged ? "damaged" : (s->entry.unix_pid == 42 ? "42" : "?"),
                 (unsigned long long)s->heartbeat);
        return 0;
}

static void assert_table(struct kv_store *s, const char *expected)
{
        struct line l = { "" };

        assert_ok(rec_session_each(s, print_one, &l));
        assert_string_equal(l.text, expected);
}

/* Entries lie on both sides of the statuses. */
static void test_each(void **state)
{
        assert_table(*state, "");
        add(*state, pid_c, 3);
        add(*state, pid_a, 1);
        add(*state, pid_b, 2);
        assert_table(*state, "00:42:1 62:42:2 ff:42:3 ");
}

static void test_damaged(void **state)
{
        struct fmt_key key;

        add(*state, pid_a, 1);
        add(*state, pid_c, 3);
        fmt_key_process(&key, pid_a);
        set_raw(*state, fmt_slice(&key), slice_str("\xff"));
        fmt_key_status(&key, pid_c);
        set_raw(*state, fmt_slice(&key), slice_str("\xff"));
        set_raw(*state, slice_str("pshort"), slice_str(""));
        assert_table(*state, "00:damaged:1 ff:42:0 ");
}

static void test_evict(void **state)
{
        uint64_t seen = 1, wrong = 2;
        struct fmt_key key;

        add(*state, pid_a, 1);
        add(*state, pid_c, 3);
        rec_session_batch_key(pid_a, &key);
        set_raw(*state, fmt_slice(&key), slice_str("number"));
        assert_fails(rec_session_evict(*state, pid_a, &wrong), EBUSY);
        assert_ok(rec_session_evict(*state, pid_a, &seen));
        assert_fails(rec_session_evict(*state, pid_a, NULL), ENOENT);
        assert_table(*state, "ff:42:3 ");
        assert_int_equal(count_pairs(*state), 2);
        assert_ok(rec_session_evict(*state, pid_c, NULL));
        assert_int_equal(count_pairs(*state), 0);
}

static void test_clear_all(void **state)
{
        assert_ok(rec_session_clear_all(*state));
        add(*state, pid_a, 1);
        add(*state, pid_b, 1);
        add(*state, pid_c, 3);
        set_raw(*state, slice_str("o"), slice_str(""));
        set_raw(*state, slice_str("q"), slice_str(""));
        assert_ok(rec_session_clear_all(*state));
        assert_int_equal(count_pairs(*state), 2);
}

static void test_is_only(void **state)
{
        struct kv_txn *t = begin(*state);

        assert_int_equal(rec_session_is_only(t, NULL), 1);
        assert_ok(rec_session_set(t, pid_c, &entry));
        assert_int_equal(rec_session_is_only(t, NULL), 0);
        assert_int_equal(rec_session_is_only(t, pid_c), 1);
        assert_int_equal(rec_session_is_only(t, pid_a), 0);
        assert_int_equal(rec_session_exists(t, pid_c, 0), 1);
        assert_int_equal(rec_session_exists(t, pid_a, 0), 0);
        assert_ok(rec_session_clear(t, pid_c));
        assert_int_equal(rec_session_exists(t, pid_c, 0), 0);
        kv_end(t);
}

static void assert_conflict(struct kv_store *s, void (*change)(struct kv_txn *t))
{
        struct kv_txn *a = begin(s), *b = begin(s);

        assert_int_equal(rec_session_is_only(a, pid_a), 1);
        assert_ok(kv_set(a, slice_str("x"), slice_str("")));
        change(b);
        assert_ok(finish(b));
        assert_fails(finish(a), ERR_CONFLICT);
}

static void register_b(struct kv_txn *t)
{
        assert_ok(rec_session_set(t, pid_b, &entry));
}

static void register_c(struct kv_txn *t)
{
        assert_ok(rec_session_clear(t, pid_b));
        assert_ok(rec_session_set(t, pid_c, &entry));
}

static void test_registration_conflicts(void **state)
{
        add(*state, pid_a, 1);
        assert_conflict(*state, register_b);
        assert_ok(rec_session_evict(*state, pid_b, NULL));
        assert_conflict(*state, register_c);
}

/* A transaction that declares itself as one of the mount conflicts with an eviction that read the status. */
static void test_disturb(void **state)
{
        struct kv_txn *evict, *mount;
        struct fmt_status status;

        add(*state, pid_a, 7);
        evict = begin(*state);
        mount = begin(*state);
        assert_ok(rec_status_get(evict, pid_a, &status));
        assert_int_equal(status.heartbeat, 7);
        assert_ok(rec_session_clear(evict, pid_a));
        assert_ok(rec_status_disturb(mount, pid_a));
        assert_ok(finish(mount));
        assert_fails(finish(evict), ERR_CONFLICT);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                STORE_TEST(test_each),      STORE_TEST(test_damaged), STORE_TEST(test_evict),
                STORE_TEST(test_clear_all), STORE_TEST(test_is_only), STORE_TEST(test_registration_conflicts),
                STORE_TEST(test_disturb),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

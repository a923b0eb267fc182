/* SPDX-License-Identifier: MIT */
/* Several threads in the same directories and files, over a store that adds conflicts, unknown results and
 * failed reads. In any order: each race has one winner, one of the two names of a rename is always there,
 * nothing is lost or there twice, and the checker finds nothing at the end.
 *
 * test_concurrent SPEC: environment ASHLAR_SEED (of the faults), ASHLAR_ROUNDS. */
#include "fixture.h"

#include <linux/fs.h>
#include <pthread.h>

#define THREADS 4

static uint64_t rounds;
static const struct fs_cred user = { .uid = 1000, .gid = 1000 };

/* The threads of one test. cmocka asserts in the main thread only, so failures are counted here. */
struct team {
        struct fixture f;
        pthread_barrier_t barrier;
        void (*work)(struct team *t, unsigned me);
        uint64_t dir_a, dir_b, file;
        _Atomic uint64_t wins, failures;
};

struct member {
        struct team *team;
        unsigned me;
};

#define EXPECT(t, condition)                                                                \
        do {                                                                                \
                if (!(condition)) {                                                         \
                        atomic_fetch_add(&(t)->failures, 1);                                \
                        print_error("%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
                }                                                                           \
        } while (0)

static void *run_member(void *arg)
{
        struct member *m = arg;

        m->team->work(m->team, m->me);
        return NULL;
}

static struct team *team_open(void)
{
        struct team *t = calloc(1, sizeof(*t));

        assert_non_null(t);
        fixture_open(&t->f, fixture_spec);
        pthread_barrier_init(&t->barrier, NULL, THREADS);
        t->dir_a = new_dir(&t->f, ROOT, "a");
        t->dir_b = new_dir(&t->f, ROOT, "b");
        return t;
}

static void team_run(struct team *t, void (*work)(struct team *t, unsigned me))
{
        struct member members[THREADS];
        pthread_t threads[THREADS];

        t->work = work;
        for (unsigned i = 0; i < THREADS; i++) {
                members[i] = (struct member){ t, i };
                assert_int_equal(pthread_create(&threads[i], NULL, run_member, &members[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
        assert_int_equal(t->failures, 0);
}

static void team_close(struct team *t)
{
        fixture_close(&t->f);
        pthread_barrier_destroy(&t->barrier);
        free(t);
}

/* ---- one winner --------------------------------------------------------------------------------- */

static void race_create(struct team *t, unsigned me)
{
        for (uint64_t i = 0; i < rounds; i++) {
                struct fs_attr a;
                char name[32];
                int r;

                snprintf(name, sizeof(name), "race%llu", (unsigned long long)i);
                pthread_barrier_wait(&t->barrier);
                if (i % 3 == 0)
                        r = fs_mkdir(t->f.fs, &user, t->dir_a, str(name), 0755, &a);
                else if (i % 3 == 1)
                        r = fs_mknod(t->f.fs, &user, t->dir_a, str(name), S_IFREG | 0644, 0, &a);
                else
                        r = fs_symlink(t->f.fs, &user, t->dir_a, str(name), str("x"), &a);
                EXPECT(t, r == 0 || r == -EEXIST);
                if (r == 0) {
                        atomic_fetch_add(&t->wins, 1);
                        fs_forget(t->f.fs, a.ino, 1);
                }
        }
}

static void race_unlink(struct team *t, unsigned me)
{
        for (uint64_t i = 0; i < rounds; i++) {
                char name[32];
                int r;

                snprintf(name, sizeof(name), "race%llu", (unsigned long long)i);
                pthread_barrier_wait(&t->barrier);
                r = i % 3 == 0 ? fs_rmdir(t->f.fs, t->dir_a, str(name))
                               : fs_unlink(t->f.fs, t->dir_a, str(name));
                EXPECT(t, r == 0 || r == -ENOENT);
                if (r == 0)
                        atomic_fetch_add(&t->wins, 1);
        }
}

static void test_one_winner(void **state)
{
        struct team *t = team_open();

        team_run(t, race_create);
        assert_int_equal(t->wins, rounds);
        fixture_check(&t->f, NULL);
        t->wins = 0;
        team_run(t, race_unlink);
        assert_int_equal(t->wins, rounds);
        assert_string_equal(names(&t->f, t->dir_a), "");
        team_close(t);
}

/* ---- a rename is never seen half done ------------------------------------------------------------ */

#define VERSION_BYTES 10000u

static int check_version(const struct iovec *iov, int n, size_t len, void *arg)
{
        const uint8_t *first = n > 0 ? iov[0].iov_base : NULL;

        for (int i = 0; i < n; i++)
                for (size_t k = 0; k < iov[i].iov_len; k++)
                        if (((uint8_t *)iov[i].iov_base)[k] != *first)
                                return 1;
        return len != VERSION_BYTES;
}

static void make_version(struct team *t, const char *name, int byte)
{
        char data[VERSION_BYTES];
        struct fs_attr a;

        memset(data, byte, sizeof(data));
        EXPECT(t, fs_mknod(t->f.fs, &user, t->dir_a, str(name), S_IFREG | 0644, 0, &a) == 0);
        EXPECT(t, fs_write(t->f.fs, a.ino, 0, slice_of(data, sizeof(data)), 0) == sizeof(data));
        fs_forget(t->f.fs, a.ino, 1);
}

/* Half of the threads replace "x" by new versions; the others always read one whole version. */
static void replace_or_read(struct team *t, unsigned me)
{
        char name[32];

        snprintf(name, sizeof(name), "tmp%u", me);
        for (uint64_t i = 0; i < rounds; i++) {
                struct fs_attr a;

                if (me % 2 == 0) {
                        make_version(t, name, (int)('a' + i % 26));
                        EXPECT(t, fs_rename(t->f.fs, t->dir_a, str(name), t->dir_a, str("x"), 0, NULL) == 0);
                } else {
                        int r = fs_lookup(t->f.fs, t->dir_a, str("x"), &a);

                        EXPECT(t, r == 0);
                        if (r < 0)
                                return;
                        EXPECT(t, fs_read(t->f.fs, a.ino, 0, VERSION_BYTES, 0, check_version, NULL) == 0);
                        fs_forget(t->f.fs, a.ino, 1);
                }
        }
}

static void test_replace(void **state)
{
        struct team *t = team_open();

        make_version(t, "x", 'X');
        team_run(t, replace_or_read);
        assert_string_equal(names(&t->f, t->dir_a), "x/");
        fixture_drain(&t->f);
        assert_int_equal(count_keys(t->f.store, "f"), (VERSION_BYTES + 4095) / 4096);
        team_close(t);
}

/* Two names are exchanged repeatedly: both are always there. */
static void exchange_or_look(struct team *t, unsigned me)
{
        for (uint64_t i = 0; i < rounds; i++) {
                struct fs_attr a;

                if (me % 2 == 0) {
                        EXPECT(t, fs_rename(t->f.fs, t->dir_a, str("x"), t->dir_b, str("x"), RENAME_EXCHANGE,
                                            NULL) == 0);
                } else {
                        int r = fs_lookup(t->f.fs, i % 2 ? t->dir_a : t->dir_b, str("x"), &a);

                        EXPECT(t, r == 0);
                        if (r == 0)
                                fs_forget(t->f.fs, a.ino, 1);
                }
        }
}

static void test_exchange(void **state)
{
        struct team *t = team_open();

        new_file(&t->f, t->dir_a, "x");
        new_dir(&t->f, t->dir_b, "x");
        team_run(t, exchange_or_look);
        assert_string_equal(names(&t->f, t->dir_a), "x/");
        assert_string_equal(names(&t->f, t->dir_b), "x/");
        team_close(t);
}

/* All threads move one file between two directories: only one of them succeeds at a time. */
static void move_token(struct team *t, unsigned me)
{
        for (uint64_t i = 0; i < rounds; i++) {
                bool forth = (i + me) % 2;
                int r = fs_rename(t->f.fs, forth ? t->dir_a : t->dir_b, str("token"),
                                  forth ? t->dir_b : t->dir_a, str("token"), 0, NULL);

                EXPECT(t, r == 0 || r == -ENOENT);
        }
}

static void test_token(void **state)
{
        struct team *t = team_open();
        char all[64];

        new_file(&t->f, t->dir_a, "token");
        team_run(t, move_token);
        strcpy(all, names(&t->f, t->dir_a));
        strcat(all, names(&t->f, t->dir_b));
        assert_string_equal(all, "token/");
        team_close(t);
}

/* ---- nothing lost ------------------------------------------------------------------------------- */

/* Each thread creates, moves and removes its own names in shared directories; every third stays, in b. */
static void make_and_move(struct team *t, unsigned me)
{
        for (uint64_t i = 0; i < rounds; i++) {
                struct fs_attr a;
                char name[32];

                snprintf(name, sizeof(name), "%u-%04llu", me, (unsigned long long)i);
                EXPECT(t, fs_mknod(t->f.fs, &user, t->dir_a, str(name), S_IFREG | 0644, 0, &a) == 0);
                EXPECT(t, fs_write(t->f.fs, a.ino, 0, str(name), 0) == (ssize_t)strlen(name));
                EXPECT(t, fs_rename(t->f.fs, t->dir_a, str(name), t->dir_b, str(name), 0, NULL) == 0);
                if (i % 3 > 0)
                        EXPECT(t, fs_unlink(t->f.fs, t->dir_b, str(name)) == 0);
                fs_forget(t->f.fs, a.ino, 1);
        }
}

static void test_nothing_lost(void **state)
{
        struct team *t = team_open();
        uint64_t kept = 0;

        team_run(t, make_and_move);
        assert_string_equal(names(&t->f, t->dir_a), "");
        for (unsigned me = 0; me < THREADS; me++)
                for (uint64_t i = 0; i < rounds; i += 3, kept++) {
                        uint64_t ino;
                        char name[32];

                        snprintf(name, sizeof(name), "%u-%04llu", me, (unsigned long long)i);
                        assert_ok(look(&t->f, t->dir_b, name, &ino));
                        assert_data(&t->f, ino, 0, name, strlen(name));
                }
        fixture_drain(&t->f);
        assert_int_equal(count_keys(t->f.store, "d"), kept + 2);
        team_close(t);
}

/* All threads append records: each is there once and whole. */
#define RECORD 100u

static void append(struct team *t, unsigned me)
{
        char record[RECORD];

        for (uint64_t i = 0; i < rounds; i++) {
                memset(record, (int)('a' + me), sizeof(record));
                snprintf(record, sizeof(record), "%u %llu", me, (unsigned long long)i);
                EXPECT(t, fs_write(t->f.fs, t->file, 0, slice_of(record, RECORD), FS_WRITE_APPEND) == RECORD);
        }
}

static void test_append(void **state)
{
        struct team *t = team_open();
        size_t n = THREADS * rounds;
        uint64_t next[THREADS] = { 0 };
        char *data = malloc(n * RECORD);

        assert_non_null(data);
        t->file = new_file(&t->f, t->dir_a, "log");
        team_run(t, append);
        assert_int_equal(attr(&t->f, t->file).size, n * RECORD);
        for (size_t at = 0; at < n * RECORD;) {
                size_t len = n * RECORD - at < 100000 ? n * RECORD - at : 100000;

                assert_int_equal(get(&t->f, t->file, at, data + at, len), (ssize_t)len);
                at += len;
        }
        for (size_t i = 0; i < n; i++) {
                char expected[RECORD];
                unsigned me = (unsigned)(data[i * RECORD] - '0');

                assert_true(me < THREADS);
                memset(expected, (int)('a' + me), sizeof(expected));
                snprintf(expected, sizeof(expected), "%u %llu", me, (unsigned long long)next[me]++);
                assert_memory_equal(data + i * RECORD, expected, RECORD);
        }
        free(data);
        team_close(t);
}

/* Links to one file are made and removed: the count is right in the end. */
static void link_unlink(struct team *t, unsigned me)
{
        for (uint64_t i = 0; i < rounds; i++) {
                struct fs_attr a;
                char name[32];

                snprintf(name, sizeof(name), "%u-%llu", me, (unsigned long long)i);
                EXPECT(t, fs_link(t->f.fs, t->file, t->dir_b, str(name), &a) == 0);
                fs_forget(t->f.fs, t->file, 1);
                if (i % 10 > 0)
                        EXPECT(t, fs_unlink(t->f.fs, t->dir_b, str(name)) == 0);
        }
}

static void test_link_count(void **state)
{
        struct team *t = team_open();

        t->file = new_file(&t->f, t->dir_a, "file");
        team_run(t, link_unlink);
        assert_int_equal(attr(&t->f, t->file).nlink, 1 + THREADS * ((rounds + 9) / 10));
        team_close(t);
}

/* ---- directories that vanish and trees that fold -------------------------------------------------- */

/* Half of the threads make and remove a directory, the others make and remove a file in it: rmdir must not
 * succeed while the file is there. */
static void vanish(struct team *t, unsigned me)
{
        char name[16];

        snprintf(name, sizeof(name), "f%u", me);
        for (uint64_t i = 0; i < rounds; i++) {
                struct fs_attr a, b;
                int r;

                if (me % 2 == 0) {
                        r = fs_mkdir(t->f.fs, &user, t->dir_a, str("d"), 0755, &a);
                        EXPECT(t, r == 0 || r == -EEXIST);
                        if (r == 0)
                                fs_forget(t->f.fs, a.ino, 1);
                        r = fs_rmdir(t->f.fs, t->dir_a, str("d"));
                        EXPECT(t, r == 0 || r == -ENOENT || r == -ENOTEMPTY);
                } else if (fs_lookup(t->f.fs, t->dir_a, str("d"), &a) == 0) {
                        r = fs_mknod(t->f.fs, &user, a.ino, str(name), S_IFREG | 0644, 0, &b);
                        EXPECT(t, r == 0 || r == -ENOENT);
                        if (r == 0) {
                                fs_forget(t->f.fs, b.ino, 1);
                                EXPECT(t, fs_getattr(t->f.fs, a.ino, &b) == 0 && b.nlink > 0);
                                EXPECT(t, fs_unlink(t->f.fs, a.ino, str(name)) == 0);
                        }
                        fs_forget(t->f.fs, a.ino, 1);
                }
        }
}

static void test_vanishing_directory(void **state)
{
        struct team *t = team_open();

        team_run(t, vanish);
        team_close(t);
}

/* Moving a into b and b into a at the same time: at most one succeeds, or both would be cut off from the
 * root. */
static void fold(struct team *t, unsigned me)
{
        for (uint64_t i = 0; i < rounds; i++) {
                bool a_first = me % 2;
                const char *from = a_first ? "a" : "b";
                uint64_t into = a_first ? t->dir_b : t->dir_a;
                int r;

                pthread_barrier_wait(&t->barrier);
                r = fs_rename(t->f.fs, ROOT, str(from), into, str(from), 0, NULL);
                EXPECT(t, r == 0 || r == -EINVAL || r == -ENOENT);
                if (r == 0)
                        atomic_fetch_add(&t->wins, 1);
                pthread_barrier_wait(&t->barrier);
                if (r == 0)
                        EXPECT(t, fs_rename(t->f.fs, into, str(from), ROOT, str(from), 0, NULL) == 0);
        }
}

static void test_folding_trees(void **state)
{
        struct team *t = team_open();

        team_run(t, fold);
        assert_int_equal(t->wins, rounds);
        assert_string_equal(names(&t->f, ROOT), "a/b/");
        team_close(t);
}

/* Threads write different blocks, read all of them and truncate: only written bytes are ever read. */
static void write_and_cut(struct team *t, unsigned me)
{
        char data[5000];

        memset(data, 'w', sizeof(data));
        for (uint64_t i = 0; i < rounds; i++) {
                struct fs_setattr set = { .set = FS_SET_SIZE, .size = (i * 7919) % 60000 };
                struct fs_attr a;

                if (me == 0)
                        EXPECT(t, fs_setattr(t->f.fs, t->file, &set, &a) == 0);
                else
                        EXPECT(t, fs_write(t->f.fs, t->file, (i * 6007 + me * 4096) % 60000,
                                           slice_of(data, sizeof(data)), 0) == sizeof(data));
        }
}

static void test_write_and_cut(void **state)
{
        struct team *t = team_open();

        t->file = new_file(&t->f, t->dir_a, "file");
        team_run(t, write_and_cut);
        team_close(t);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_one_winner),    cmocka_unit_test(test_replace),
                cmocka_unit_test(test_exchange),      cmocka_unit_test(test_token),
                cmocka_unit_test(test_nothing_lost),  cmocka_unit_test(test_append),
                cmocka_unit_test(test_link_count),    cmocka_unit_test(test_vanishing_directory),
                cmocka_unit_test(test_folding_trees), cmocka_unit_test(test_write_and_cut),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        fixture_seed(argc, argv);
        rounds = fixture_number("ASHLAR_ROUNDS", 500);
        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Damaged data files. */
#include "fixture.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_damaged_headers(void **state)
{
        struct fixture *f = *state;
        char name[128];
        uint8_t garbage[12288];
        struct rng g;

        make_store(f);
        file_path(f, "data.mdb", name);
        assert_int_equal(truncate(name, 4096), 0);
        store_open_fails(f, 0, ERR_CORRUPT, "too short");
        assert_int_equal(truncate(name, 0), 0);
        store_open_fails(f, KV_OPEN_CREATE, ERR_CORRUPT, "too short");
        rng_seed(&g, 1);
        rng_fill(&g, garbage, sizeof(garbage));
        write_file(name, garbage, sizeof(garbage));
        store_open_fails(f, 0, ERR_CORRUPT, "no LMDB file");
        memset(garbage, 0, sizeof(garbage));
        write_file(name, garbage, sizeof(garbage));
        store_open_fails(f, KV_OPEN_RDONLY, ERR_CORRUPT, "no LMDB file");
        assert_int_equal(unlink(name), 0);
        assert_int_equal(mkdir(name, 0700), 0);
        store_open_fails(f, 0, ERR_CORRUPT, "not a file");
}

/* A store with branches, overflow pages, free pages and a bucket. */
static void make_larger_store(struct fixture *f)
{
        struct kv_store *s = store_open(f, KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE);
        uint8_t value[20000], key[600];
        struct kv_txn *t;

        memset(value, 'v', sizeof(value));
        memset(key, 'k', sizeof(key));
        for (int round = 0; round < 3; round++) {
                assert_int_equal(kv_begin(s, KV_WRITE, &t), 0);
                for (int i = 0; i < 400; i++) {
                        char name[32];

                        snprintf(name, sizeof(name), "key %04d", i);
                        assert_int_equal(kv_set(t, slice_str(name),
                                                slice_of(value, i % 50 == 0 ? 20000 : 100)),
                                         0);
                }
                assert_int_equal(kv_set(t, slice_of(key, 600), slice_of(value, 10)), 0);
                assert_int_equal(kv_set(t, slice_of(key, 599), slice_of(value, 10)), 0);
                assert_int_equal(kv_clear_range(t, slice_str("key 0100"), slice_str("key 0150")), 0);
                assert_int_equal(kv_commit(t), 0);
                kv_end(t);
        }
        assert_int_equal(kv_close(s), 0);
}

static void test_truncated(void **state)
{
        struct fixture *f = *state;
        struct stat st;
        char name[128];

        make_larger_store(f);
        file_path(f, "data.mdb", name);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(truncate(name, st.st_size / 8192 * 4096), 0);
        store_open_fails(f, 0, ERR_CORRUPT, "damaged");
        store_open_fails(f, KV_OPEN_RDONLY, ERR_CORRUPT, "damaged");
}

/* In a child: opens a store that may be damaged, reads all of it and writes. Exits with 0 if it could be
 * opened, else with 1. */
static void use_damaged(struct fixture *f, void *arg)
{
        struct kv_open_opts opts = { .flags = KV_OPEN_EXCLUSIVE };
        struct kv_range_opts all = { .begin = slice_of("", 0), .end = slice_of("\xff", 1) };
        static const uint8_t small[300];
        struct slice key, value;
        struct kv_range range;
        struct kv_store *s;
        struct kv_txn *t;
        uint64_t sum = 0;

        alarm(20);
        if (kv_open(f->path, &opts, &s, &f->text) < 0)
                _exit(1);
        for (int reverse = 0; reverse < 2; reverse++) {
                if (kv_begin(s, KV_READ, &t) < 0)
                        _exit(1);
                all.reverse = reverse;
                kv_range_start(t, &range, &all);
                while (kv_range_next(&range, &key, &value) > 0)
                        for (size_t i = 0; i < value.len; i += 64)
                                sum += value.data[i];
                kv_range_end(&range);
                kv_end(t);
        }
        for (int i = 0; i < 4 && kv_begin(s, KV_WRITE, &t) >= 0; i++) {
                for (int j = i; j < 400; j += 9) {
                        char name[32];

                        snprintf(name, sizeof(name), "key %04d", j);
                        kv_set(t, slice_str(name), slice_of(small, (size_t)(j * 7) % sizeof(small)));
                }
                kv_clear_range(t, slice_str("key 0200"), slice_str("key 0220"));
                if (kv_commit(t) < 0)
                        i = 4;
                kv_end(t);
        }
        kv_close(s);
        /* Never 2: the sum keeps the compiler from removing the reads. */
        _exit(sum == UINT64_MAX ? 2 : 0);
}

/* Bytes changed at random positions never lead to a crash or an endless loop. */
static void test_damaged_pages(void **state)
{
        const char *scale = getenv("ASHLAR_DAMAGE_ROUNDS");
        int rounds = scale ? atoi(scale) : 150, opened = 0;
        struct fixture *f = *state;
        struct stat st;
        uint8_t *bytes;
        char name[128];
        struct rng g;
        int fd;

        make_larger_store(f);
        rng_seed(&g, test_seed("lmdb damage"));
        fd = open(file_path(f, "data.mdb", name), O_RDONLY);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        bytes = malloc((size_t)st.st_size);
        assert_non_null(bytes);
        assert_int_equal(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
        close(fd);
        for (int i = 0; i < rounds; i++) {
                size_t n = 1 + rng_below(&g, 4), at = 0;
                uint8_t *damaged = malloc((size_t)st.st_size);
                int status;

                assert_non_null(damaged);
                memcpy(damaged, bytes, (size_t)st.st_size);
                while (n-- > 0) {
                        /* Mostly at the beginnings of pages, which hold their structure. */
                        at = rng_below(&g, (uint64_t)st.st_size / 4096) * 4096;
                        at += rng_below(&g, 3) ? rng_below(&g, 160) : rng_below(&g, 4096);
                        if (rng_below(&g, 2))
                                damaged[at] = (uint8_t)rng_next(&g);
                        else
                                damaged[at] ^= (uint8_t)(1u << rng_below(&g, 8));
                }
                write_file(name, damaged, (size_t)st.st_size);
                status = in_child(use_damaged, f, NULL);
                if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) {
                        write_file("damaged.mdb", damaged, (size_t)st.st_size);
                        fail_msg("round %d, last change at %zu, kept as damaged.mdb: status %x", i, at,
                                 status);
                }
                free(damaged);
                opened += WEXITSTATUS(status) == 0;
        }
        print_message("%d of %d damaged stores could be opened\n", opened, rounds);
        free(bytes);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_damaged_headers),
                TEST(test_truncated),
                TEST(test_damaged_pages),
        };

        return cmocka_run_group_tests_name("lmdb damage", tests, NULL, NULL);
}

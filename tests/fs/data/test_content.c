/* SPDX-License-Identifier: MIT */
/* Data: reads, writes, truncation, holes, fallocate. Data beyond the end must never reappear. */
#include "fixture.h"
#include "kv/layer/filter.h"

#include <linux/falloc.h>

#define BS       4096u
#define MAX_SIZE INT64_MAX

static uint8_t *pattern(size_t len, uint64_t seed)
{
        uint8_t *data = malloc(len);
        struct rng rng;

        assert_non_null(data);
        rng_seed(&rng, seed);
        rng_fill(&rng, data, len);
        return data;
}

static void write_all(struct fixture *f, uint64_t ino, uint64_t offset, const void *data, size_t len)
{
        assert_int_equal(fs_write(f->fs, ino, offset, slice_of(data, len), 0), (ssize_t)len);
}

static uint64_t seek(struct fixture *f, uint64_t ino, uint64_t offset, int whence)
{
        uint64_t at = UINT64_MAX;

        assert_ok(fs_lseek(f->fs, ino, offset, whence, &at));
        return at;
}

/* st_blocks of a file without zeros at the ends of its blocks. */
static uint64_t blocks_of(uint64_t size)
{
        return size / BS * ((BS + 511) / 512) + (size % BS + 511) / 512;
}

static void test_write_read(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        struct timespec made = now(f);
        struct fs_attr a;
        char buf[16];

        tick(f);
        put(f, file, 0, "hello");
        a = attr(f, file);
        assert_int_equal(a.size, 5);
        assert_int_equal(a.blocks, 1);
        assert_times(a.mtime, now(f));
        assert_times(a.ctime, now(f));
        assert_times(a.atime, made);
        put(f, file, 3, "p me");
        assert_data(f, file, 0, "help me", 7);
        assert_int_equal(get(f, file, 2, buf, 16), 5);
        assert_int_equal(get(f, file, 7, buf, 16), 0);
        assert_int_equal(get(f, file, 1 << 20, buf, 16), 0);
        assert_int_equal(get(f, file, UINT64_MAX - 3, buf, 16), 0);
        assert_int_equal(get(f, file, 0, buf, 0), 0);

        tick(f);
        assert_int_equal(fs_write(f->fs, file, 100, str(""), 0), 0); /* POSIX: no other effect */
        a = attr(f, file);
        assert_int_equal(a.size, 7);
        assert_int_equal(a.mtime.tv_sec, now(f).tv_sec - 1);

        assert_fails(fs_write(f->fs, ROOT, 0, str("x"), 0), EISDIR);
        assert_fails(get(f, ROOT, 0, buf, 1), EISDIR);
        assert_fails(fs_write(f->fs, 987654321, 0, str("x"), 0), ENOENT);
        assert_fails(get(f, 987654321, 0, buf, 1), ENOENT);
}

/* A write sets mtime and ctime. The kernel may keep mtime to itself; ctime shows that the file changed. */
static void test_times_of_write(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        struct timespec written;

        tick(f);
        written = now(f);
        assert_int_equal(fs_write(f->fs, file, 0, str("x"), 0), 1);
        assert_times(attr(f, file).mtime, written);
        assert_times(attr(f, file).ctime, written);
        tick(f);
        assert_int_equal(fs_write(f->fs, file, 0, str("y"), FS_WRITE_KEEP_TIMES), 1);
        assert_times(attr(f, file).mtime, written);
        assert_times(attr(f, file).ctime, now(f));
}

/* A later change of the inode, by the clock of another mount or of the kernel, stays. */
static void test_ctime_never_goes_back(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        struct fs_setattr set = { .set = FS_SET_CTIME };
        struct fs_attr a;

        set.ctime = now(f);
        set.ctime.tv_sec += 5;
        assert_ok(fs_setattr(f->fs, file, &set, &a));
        put(f, file, 0, "x");
        assert_times(attr(f, file).mtime, now(f));
        assert_times(attr(f, file).ctime, set.ctime);
}

static void test_append(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");

        assert_int_equal(fs_write(f->fs, file, 0, str("one"), FS_WRITE_APPEND), 3);
        assert_int_equal(fs_write(f->fs, file, 0, str("two"), FS_WRITE_APPEND), 3);
        assert_data(f, file, 0, "onetwo", 6);
        assert_ok(truncate_to(f, file, 10000));
        assert_int_equal(fs_write(f->fs, file, 12, str("end"), FS_WRITE_APPEND), 3);
        assert_int_equal(attr(f, file).size, 10003);
        assert_data(f, file, 10000, "end", 3);
}

/* Writes at every alignment to the blocks. */
static void test_alignments(void **state)
{
        static const uint64_t edges[] = { 0, 1, BS - 1, BS, BS + 1, 2 * BS - 1, 2 * BS, 3 * BS + 7, 5 * BS };
        struct fixture *f = *state;
        uint8_t *data = pattern(6 * BS, 1), *model = malloc(6 * BS);

        assert_non_null(model);
        for (size_t i = 0; i < 9; i++)
                for (size_t k = i + 1; k < 9; k++) {
                        uint64_t file = new_file(f, ROOT, "file"), len = edges[k] - edges[i];

                        memset(model, 0xee, 6 * BS);
                        write_all(f, file, 0, model, 6 * BS - 100);
                        memcpy(model + edges[i], data, len);
                        write_all(f, file, edges[i], data, len);
                        assert_data(f, file, 0, model, 6 * BS - 100);
                        assert_ok(fs_unlink(f->fs, ROOT, str("file")));

                        file = new_file(f, ROOT, "file"); /* the same into a hole */
                        write_all(f, file, edges[i], data, len);
                        assert_int_equal(attr(f, file).size, edges[k]);
                        assert_zeros(f, file, 0, edges[i]);
                        assert_data(f, file, edges[i], data, len);
                        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
                }
        free(model);
        free(data);
}

static void test_large(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        size_t len = 5 * 1024 * 1024 + 12345;
        uint8_t *data = pattern(len, 2);

        write_all(f, file, 777, data, len); /* more than one transaction */
        assert_data(f, file, 777, data, len);
        assert_data(f, file, 777 + 1000000, data + 1000000, 1 << 20);
        assert_int_equal(attr(f, file).size, 777 + len);
        fixture_remount(f);
        assert_data(f, file, 777, data, len);
        free(data);
}

/* Truncated bytes must not reappear, however the file grows afterwards. */
static void test_stale_bytes(void **state)
{
        static const uint64_t cuts[] = { 0, 1, 100, BS - 1, BS, BS + 1, 2 * BS, 9 * BS + 5 };
        struct fixture *f = *state;
        uint8_t *data = pattern(10 * BS, 3);

        for (size_t i = 0; i < 8; i++)
                for (int way = 0; way < 4; way++) {
                        uint64_t file = new_file(f, ROOT, "file");

                        write_all(f, file, 0, data, 10 * BS);
                        assert_ok(truncate_to(f, file, cuts[i]));
                        assert_int_equal(attr(f, file).blocks, blocks_of(cuts[i]));
                        switch (way) {
                        case 0:
                                assert_ok(truncate_to(f, file, 11 * BS));
                                break;
                        case 1:
                                put(f, file, 11 * BS - 1, "x");
                                break;
                        case 2:
                                assert_ok(fs_fallocate(f->fs, file, 0, 0, 11 * BS));
                                break;
                        case 3:
                                assert_int_equal(fs_write(f->fs, file, 0, str("y"), FS_WRITE_APPEND), 1);
                                assert_ok(truncate_to(f, file, cuts[i]));
                                assert_ok(truncate_to(f, file, 11 * BS));
                                break;
                        }
                        assert_data(f, file, 0, data, cuts[i]);
                        assert_zeros(f, file, cuts[i], 11 * BS - 1 - cuts[i]);
                        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
                }
        free(data);
}

static void test_sparse(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file"), at;

        put(f, file, 10 * BS + 5, "island");
        assert_int_equal(attr(f, file).blocks, 1);
        assert_zeros(f, file, 0, 10 * BS + 5);
        assert_int_equal(seek(f, file, 0, SEEK_HOLE), 0);
        assert_int_equal(seek(f, file, 0, SEEK_DATA), 10 * BS);
        assert_int_equal(seek(f, file, 10 * BS + 7, SEEK_DATA), 10 * BS + 7);
        assert_int_equal(seek(f, file, 10 * BS + 7, SEEK_HOLE), 10 * BS + 11); /* the end */
        assert_ok(truncate_to(f, file, 20 * BS));
        assert_int_equal(seek(f, file, 10 * BS + 7, SEEK_HOLE), 11 * BS);
        assert_int_equal(fs_lseek(f->fs, file, 11 * BS, SEEK_DATA, &at), -ENXIO);
        assert_int_equal(fs_lseek(f->fs, file, 20 * BS, SEEK_DATA, &at), -ENXIO);
        assert_int_equal(fs_lseek(f->fs, file, 20 * BS, SEEK_HOLE, &at), -ENXIO);
        assert_int_equal(seek(f, file, 20 * BS - 1, SEEK_HOLE), 20 * BS - 1);
        assert_int_equal(fs_lseek(f->fs, file, 0, SEEK_SET, &at), -EINVAL);
}

/* A store whose next commit is refused, after another mount cut the file. */
struct cutting {
        struct filter filter;
        struct fixture *f;
        uint64_t file; /* 0: commits as usual */
};

static int cutting_commit(struct kv_txn *t)
{
        struct cutting *c = (struct cutting *)t->store;
        uint64_t file = c->file;

        if (file == 0)
                return filter_commit(t);
        c->file = 0;
        assert_ok(truncate_to(c->f, file, BS));
        return -ERR_RETRY;
}

static int cutting_close(struct kv_store *s)
{
        free(s);
        return 0;
}

/* A search that is repeated begins where the caller said. */
static void test_seek_again(void **state)
{
        struct cutting *c = calloc(1, sizeof(*c));
        struct fixture *f = *state;
        struct err_text text;
        uint64_t at;
        struct fs *fs;

        assert_non_null(c);
        filter_init(&c->filter, "cutting", f->store);
        c->filter.ops.commit = cutting_commit;
        c->filter.ops.close = cutting_close;
        c->f = f;
        assert_ok(fs_open(&c->filter.base, &(struct fs_open_opts){ .rdonly = true }, &fs, &text));
        c->file = new_file(f, ROOT, "file");
        for (unsigned i = 0; i < 3; i++)
                put(f, c->file, i * BS, "data");
        assert_ok(truncate_to(f, c->file, 3 * BS));
        assert_ok(fs_lseek(fs, c->file, 0, SEEK_HOLE, &at));
        assert_int_equal(c->file, 0);
        assert_int_equal(at, BS);
        fs_close(fs);
        assert_ok(kv_close(&c->filter.base));
}

/* A large sparse file is created, read, truncated and removed at the cost of its data, not of its size. */
static void test_huge(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");

        assert_ok(truncate_to(f, file, MAX_SIZE));
        assert_int_equal(attr(f, file).blocks, 0);
        assert_zeros(f, file, MAX_SIZE - 100, 100);
        put(f, file, MAX_SIZE - 5, "limit");
        assert_data(f, file, MAX_SIZE - 5, "limit", 5);
        assert_fails(fs_write(f->fs, file, MAX_SIZE, str("x"), 0), EFBIG);
        put(f, file, INT64_C(1) << 50, "middle");
        assert_int_equal(seek(f, file, 0, SEEK_DATA), INT64_C(1) << 50);
        assert_int_equal(seek(f, file, (INT64_C(1) << 50) + BS, SEEK_DATA), (uint64_t)MAX_SIZE / BS * BS);
        assert_ok(truncate_to(f, file, 3));
        assert_zeros(f, file, 0, 3);
        assert_int_equal(attr(f, file).blocks, 0);
        assert_ok(truncate_to(f, file, MAX_SIZE));
        assert_zeros(f, file, INT64_C(1) << 50, 6);
        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
        fixture_drain(f);
        assert_int_equal(count_keys(f->store, "f"), 0);
}

/* A write at the size limit is shortened, as POSIX demands. */
static void test_write_at_limit(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        ssize_t n = fs_write(f->fs, file, MAX_SIZE - 2, str("12345"), 0);

        assert_true(n == 2 || n == -EFBIG);
        assert_int_equal(attr(f, file).size, n == 2 ? MAX_SIZE : 0);
}

static void test_truncate_many_blocks(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        size_t len = 8 * 1024 * 1024;
        uint8_t *data = pattern(len, 4);

        write_all(f, file, 0, data, len);
        assert_ok(truncate_to(f, file, 5000));
        assert_int_equal(attr(f, file).size, 5000);
        put(f, file, len - 1, "x"); /* where dead blocks may still lie */
        assert_data(f, file, 0, data, 5000);
        assert_zeros(f, file, 5000, len - 5001);
        fixture_check(f, NULL);
        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
        fixture_drain(f);
        assert_int_equal(count_keys(f->store, "f"), 0);
        free(data);
}

/* As on ext4, every mode sets mtime and ctime, also if neither size nor data change. */
static void test_fallocate_times(void **state)
{
        static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
                                     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
                                     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");

        assert_ok(truncate_to(f, file, 1000));
        for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
                tick(f);
                assert_ok(fs_fallocate(f->fs, file, modes[i], 100, 10));
                assert_int_equal(attr(f, file).size, 1000);
                assert_times(attr(f, file).mtime, now(f));
                assert_times(attr(f, file).ctime, now(f));
        }
}

static void test_fallocate(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        uint8_t *data = pattern(6 * BS, 5);

        assert_ok(fs_fallocate(f->fs, file, 0, 100, 900));
        assert_int_equal(attr(f, file).size, 1000);
        assert_zeros(f, file, 0, 1000);
        assert_ok(fs_fallocate(f->fs, file, 0, 0, 500));
        assert_int_equal(attr(f, file).size, 1000);
        assert_ok(fs_fallocate(f->fs, file, FALLOC_FL_KEEP_SIZE, 0, 1 << 20));
        assert_int_equal(attr(f, file).size, 1000);

        write_all(f, file, 0, data, 6 * BS);
        tick(f);
        assert_ok(fs_fallocate(f->fs, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, BS + 100, 3 * BS));
        assert_times(attr(f, file).mtime, now(f));
        assert_times(attr(f, file).ctime, now(f));
        assert_int_equal(attr(f, file).size, 6 * BS);
        assert_int_equal(attr(f, file).blocks, blocks_of(3 * BS) + 1); /* 100 bytes are left of one */
        assert_data(f, file, 0, data, BS + 100);
        assert_zeros(f, file, BS + 100, 3 * BS);
        assert_data(f, file, 4 * BS + 100, data + 4 * BS + 100, 2 * BS - 100);
        assert_int_equal(seek(f, file, 0, SEEK_HOLE), 2 * BS);
        assert_int_equal(seek(f, file, 2 * BS, SEEK_DATA), 4 * BS);

        assert_ok(fs_fallocate(f->fs, file, FALLOC_FL_ZERO_RANGE, 5 * BS + 10, 2 * BS));
        assert_int_equal(attr(f, file).size, 7 * BS + 10);
        assert_zeros(f, file, 5 * BS + 10, 2 * BS);
        assert_ok(fs_fallocate(f->fs, file, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 100 * BS));
        assert_int_equal(attr(f, file).size, 7 * BS + 10);
        assert_zeros(f, file, 0, 7 * BS + 10);
        assert_ok(fs_fallocate(f->fs, file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, MAX_SIZE));
        assert_int_equal(attr(f, file).blocks, 0);
        free(data);

        assert_fails(fs_fallocate(f->fs, file, 0, 0, 0), EINVAL);
        assert_fails(fs_fallocate(f->fs, file, FALLOC_FL_PUNCH_HOLE, 0, 1), EOPNOTSUPP);
        assert_fails(fs_fallocate(f->fs, file, FALLOC_FL_COLLAPSE_RANGE, 0, BS), EOPNOTSUPP);
        assert_fails(fs_fallocate(f->fs, file, FALLOC_FL_INSERT_RANGE, 0, BS), EOPNOTSUPP);
        assert_fails(fs_fallocate(f->fs, file, 0, MAX_SIZE, 1), EFBIG);
        assert_fails(fs_fallocate(f->fs, 987654321, 0, 0, 1), ENOENT);
        assert_true(fs_fallocate(f->fs, ROOT, 0, 0, 1) < 0);
}

/* Blocks of zeros take no space, nor do zeros at the end of a block. */
static void test_zeros(void **state)
{
        struct fixture *f = *state;
        uint64_t file = new_file(f, ROOT, "file");
        uint8_t *zeros = calloc(1, 4 * BS);

        assert_non_null(zeros);
        write_all(f, file, 0, zeros, 4 * BS);
        assert_int_equal(attr(f, file).size, 4 * BS);
        assert_zeros(f, file, 0, 4 * BS);
        put(f, file, BS, "data");
        write_all(f, file, 0, zeros, 4 * BS);
        assert_zeros(f, file, 0, 4 * BS);
        fixture_check(f, NULL);
        free(zeros);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                FIXTURE_TEST(test_write_read),
                FIXTURE_TEST(test_times_of_write),
                FIXTURE_TEST(test_ctime_never_goes_back),
                FIXTURE_TEST(test_append),
                FIXTURE_TEST(test_alignments),
                FIXTURE_TEST(test_large),
                FIXTURE_TEST(test_stale_bytes),
                FIXTURE_TEST(test_sparse),
                FIXTURE_TEST(test_seek_again),
                FIXTURE_TEST(test_huge),
                FIXTURE_TEST(test_write_at_limit),
                FIXTURE_TEST(test_truncate_many_blocks),
                FIXTURE_TEST(test_fallocate),
                FIXTURE_TEST(test_fallocate_times),
                FIXTURE_TEST(test_zeros),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}

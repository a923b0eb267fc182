/* SPDX-License-Identifier: MIT */
#include "fixture.h"
#include "base/hash.h"
#include "kv/layer/layer.h"
#include "kv/testing/testing.h"
#include "maint/maint.h"

#include <ftw.h>
#include <unistd.h>

const char *fixture_spec = "mem";

const struct kv_fault_opts fixture_faults = {
        .seed = 1,
        .conflict_ppm = 30000,
        .unknown_done_ppm = 15000,
        .unknown_not_done_ppm = 15000,
        .retry_ppm = 500, /* applies to each block that is read, too */
        .slow_ppm = 5000, /* so that operations of other threads come between */
        .slow_us = 200,
};

const struct fs_writeback_opts fixture_writeback = {
        .inode_bytes = 100000,
        .total_bytes = 300000,
        .age_ms = 20,
        .threads = 4,
};

/* ---- clock -------------------------------------------------------------------------------------- */

static struct timespec test_now(const struct clock *c)
{
        const struct test_clock *t = (const struct test_clock *)c;

        return (struct timespec){ .tv_sec = atomic_load(&t->seconds), .tv_nsec = 5 };
}

static uint64_t test_monotonic_ns(const struct clock *c)
{
        return clock_system.monotonic_ns(&clock_system);
}

void tick(struct fixture *f)
{
        atomic_fetch_add(&f->clock.seconds, 1);
}

struct timespec now(const struct fixture *f)
{
        return test_now(&f->clock.clock);
}

/* ---- stores ------------------------------------------------------------------------------------- */

void fixture_make_remote(struct kv_store *store)
{
        /* The limits belong to the store and are not const in it. */
        ((struct kv_limits *)(uintptr_t)kv_limits(store))->remote = true;
}

/* The markers of kv_run lie where those of a mount do. */
static void set_markers(struct kv_store *s)
{
        uint8_t pid[FMT_PID_SIZE] = "a test's markers";
        struct fmt_key key;

        fmt_key_status(&key, pid);
        assert_ok(kv_set_markers(s, fmt_slice(&key)));
}

static void store_open(struct fixture *f)
{
        struct kv_open_opts opts = { .flags = KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE,
                                     .owner = "a test",
                                     .wait_ms = 5000 };
        struct err_text text = { "" };
        bool fdb = strncmp(f->spec, "fdb", 3) == 0;
        char url[80];

        if (f->dir[0])
                snprintf(url, sizeof(url), fdb ? "fdb:%s/cluster" : "lmdb:%s/store", f->dir);
        else
                snprintf(url, sizeof(url), "mem:");
        if (kv_testing_open(url, &opts, &f->bottom, &text) < 0)
                fail_msg("%s", text.text);
        if (kv_limits(f->bottom)->unknown_results)
                set_markers(f->bottom);
        f->store = f->bottom;
        f->fault = f->stats = NULL;
        if (strstr(f->spec, "+writebehind")) {
                struct kv_writebehind_opts o = { 0 };

                assert_ok(kv_writebehind_open(f->store, &o, &f->store));
        }
        if (strstr(f->spec, "+fault")) {
                struct kv_fault_opts o = fixture_faults;

                o.seed = fixture_number("ASHLAR_SEED", o.seed);
                assert_ok(kv_fault_open(f->store, &o, &f->fault));
                f->store = f->fault;
                set_markers(f->store);
        }
        if (strstr(f->spec, "+stats")) {
                assert_ok(kv_stats_open(f->store, &f->stats));
                f->store = f->stats;
                if (kv_limits(f->store)->unknown_results)
                        set_markers(f->store);
        }
        if (strstr(f->spec, "+remote"))
                fixture_make_remote(f->store);
        if (strstr(f->spec, "+small"))
                ((struct kv_limits *)(uintptr_t)kv_limits(f->store))->txn_plan_bytes = 40000;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

static void open_fs(struct fixture *f)
{
        struct err_text text = { "" };
        int r = fs_open(f->store, &f->opts, &f->fs, &text);

        if (r < 0)
                fail_msg("fs_open: %s: %s", err_str(r), text.text);
}

/* A cluster file that names a cluster inside the stand-in. */
static void make_cluster_file(struct fixture *f)
{
        char path[80];
        FILE *file;

        snprintf(path, sizeof(path), "%s/cluster", f->dir);
        file = fopen(path, "w");
        assert_non_null(file);
        fputs("standin:standin@127.0.0.1:1\n", file);
        fclose(file);
}

/* A collision of hints costs a read, which tests count. */
static const struct hash_seed hash_seed = { 0x243f6a8885a308d3, 0x13198a2e03707345, 0xa4093822299f31d1 };

void fixture_open(struct fixture *f, const char *spec)
{
        struct maint_mkfs_opts mkfs = { .block_size = strstr(spec, "+odd") ? 4080 : 4096 };
        struct err_text text = { "" };
        int r;

        *f = (struct fixture){ .spec = spec,
                               .clock = { .clock = { test_now, test_monotonic_ns }, .seconds = 1000000000 } };
        f->opts.clock = &f->clock.clock;
        f->opts.atime = FS_NOATIME;
        f->opts.hash_seed = &hash_seed;
        /* These tests count reads, or read what another mount has just flushed. */
        f->opts.no_read_ahead = strncmp(spec, "fdb", 3) == 0 || strstr(spec, "+stats");
        if (strstr(spec, "+writeback"))
                f->opts.writeback = &fixture_writeback;
        if (strncmp(spec, "lmdb", 4) == 0 || strncmp(spec, "fdb", 3) == 0) {
                const char *tmp = getenv("TMPDIR");

                snprintf(f->dir, sizeof(f->dir), "%s/ashlar-test-XXXXXX",
                         tmp && strlen(tmp) < 32 ? tmp : "/tmp");
                assert_non_null(mkdtemp(f->dir));
                if (spec[0] == 'f')
                        make_cluster_file(f);
        }
        store_open(f);
        r = maint_mkfs(f->store, &mkfs, &f->clock.clock, &text);
        if (r < 0)
                fail_msg("maint_mkfs: %s: %s", err_str(r), text.text);
        open_fs(f);
}

void fixture_remount(struct fixture *f)
{
        fs_close(f->fs);
        if (f->dir[0]) {
                assert_ok(kv_close(f->store));
                store_open(f);
        }
        open_fs(f);
}

static void print_violation(const char *violation, void *arg)
{
        print_error("violation: %s\n", violation);
}

void fixture_check(struct fixture *f, struct maint_check_result *ret)
{
        struct maint_check_result result;
        struct err_text text = { "" };
        int r;

        if (f->fault)
                kv_fault_set(f->fault, &(struct kv_fault_opts){ 0 });
        r = maint_check(f->store, print_violation, NULL, NULL, &result, &text);
        if (r < 0)
                fail_msg("maint_check: %s: %s", err_str(r), text.text);
        assert_int_equal(result.violations, 0);
        if (f->fault)
                kv_fault_set(f->fault, &fixture_faults);
        if (ret)
                *ret = result;
}

void fixture_drain(struct fixture *f)
{
        for (int i = 0; count_keys(f->store, "g") > 0; i++) {
                if (i == 2000)
                        fail_msg("garbage is not collected");
                usleep(5000);
        }
}

void fixture_close(struct fixture *f)
{
        fixture_check(f, NULL);
        fs_close(f->fs);
        fixture_check(f, NULL);
        if (!f->opts.rdonly)
                assert_int_equal(count_keys(f->store, "g"), 0);
        assert_ok(kv_close(f->store));
        if (f->dir[0])
                nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int fixture_setup(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        fixture_open(f, fixture_spec);
        *state = f;
        return 0;
}

int fixture_teardown(void **state)
{
        fixture_close(*state);
        free(*state);
        return 0;
}

/* ---- seeds -------------------------------------------------------------------------------------- */

uint64_t fixture_number(const char *name, uint64_t n)
{
        const char *value = getenv(name);

        return value && *value ? strtoull(value, NULL, 0) : n;
}

uint64_t fixture_seed(int argc, char **argv)
{
        uint64_t seed;
        char text[32];

        rng_system(&seed, sizeof(seed));
        seed = fixture_number("ASHLAR_SEED", seed & 0xffffffff);
        snprintf(text, sizeof(text), "%llu", (unsigned long long)seed);
        setenv("ASHLAR_SEED", text, 1); /* the injected faults depend on it too */
        printf("replay: ASHLAR_SEED=%s", text);
        for (int i = 0; i < argc; i++)
                printf(" %s", argv[i]);
        printf("\n");
        fflush(stdout);
        return seed;
}

/* ---- assertions --------------------------------------------------------------------------------- */

void assert_result(int64_t got, int64_t expected, const char *what, const char *file, int line)
{
        if (got == expected)
                return;
        print_error("%s gave %lld (%s), not %lld (%s)\n", what, (long long)got,
                    got < 0 ? err_str((int)got) : "", (long long)expected,
                    expected < 0 ? err_str((int)expected) : "success");
        _fail(file, line);
}

void assert_time(struct timespec got, struct timespec expected, const char *what, const char *file, int line)
{
        if (got.tv_sec == expected.tv_sec && got.tv_nsec == expected.tv_nsec)
                return;
        print_error("%s is %lld.%09ld, not %lld.%09ld\n", what, (long long)got.tv_sec, got.tv_nsec,
                    (long long)expected.tv_sec, expected.tv_nsec);
        _fail(file, line);
}

/* ---- short names -------------------------------------------------------------------------------- */

static const struct fs_cred cred = { .uid = 1000, .gid = 1000 };

struct slice str(const char *s)
{
        return slice_str(s);
}

uint64_t new_node(struct fixture *f, uint64_t dir, const char *name, uint32_t mode, uint64_t rdev)
{
        struct fs_attr a;

        assert_ok(fs_mknod(f->fs, &cred, dir, str(name), mode, rdev, &a));
        fs_forget(f->fs, a.ino, 1);
        return a.ino;
}

uint64_t new_file(struct fixture *f, uint64_t dir, const char *name)
{
        return new_node(f, dir, name, S_IFREG | 0644, 0);
}

uint64_t new_dir(struct fixture *f, uint64_t dir, const char *name)
{
        struct fs_attr a;

        assert_ok(fs_mkdir(f->fs, &cred, dir, str(name), 0755, &a));
        fs_forget(f->fs, a.ino, 1);
        return a.ino;
}

uint64_t new_symlink(struct fixture *f, uint64_t dir, const char *name, const char *target)
{
        struct fs_attr a;

        assert_ok(fs_symlink(f->fs, &cred, dir, str(name), str(target), &a));
        fs_forget(f->fs, a.ino, 1);
        return a.ino;
}

int look(struct fixture *f, uint64_t dir, const char *name, uint64_t *ret_ino)
{
        struct fs_attr a;
        int r = fs_lookup(f->fs, dir, str(name), &a);

        if (r < 0)
                return r;
        fs_forget(f->fs, a.ino, 1);
        if (ret_ino)
                *ret_ino = a.ino;
        return 0;
}

int hardlink(struct fixture *f, uint64_t ino, uint64_t dir, const char *name)
{
        struct fs_attr a;
        int r = fs_link(f->fs, ino, dir, str(name), &a);

        if (r < 0)
                return r;
        assert_int_equal(a.ino, ino);
        fs_forget(f->fs, ino, 1);
        return 0;
}

struct fs_attr attr(struct fixture *f, uint64_t ino)
{
        struct fs_attr a = { 0 };

        assert_ok(fs_getattr(f->fs, ino, &a));
        assert_int_equal(a.ino, ino);
        return a;
}

void put(struct fixture *f, uint64_t ino, uint64_t offset, const char *text)
{
        assert_result(fs_write(f->fs, ino, offset, str(text), 0), (int64_t)strlen(text), "fs_write", __FILE__,
                      __LINE__);
}

struct target {
        uint8_t *buf;
        size_t cap;
        int calls;
};

static int take(const struct iovec *iov, int n, size_t len, void *arg)
{
        struct target *t = arg;
        size_t at = 0;

        assert_int_equal(t->calls++, 0);
        assert_true(len <= t->cap);
        for (int i = 0; i < n; i++) {
                assert_true(at + iov[i].iov_len <= len);
                memcpy(t->buf + at, iov[i].iov_base, iov[i].iov_len);
                at += iov[i].iov_len;
        }
        assert_int_equal(at, len);
        return (int)len;
}

ssize_t get(struct fixture *f, uint64_t ino, uint64_t offset, void *buf, size_t len)
{
        struct target t = { .buf = buf, .cap = len };

        return fs_read(f->fs, ino, offset, len, 0, take, &t);
}

void assert_data(struct fixture *f, uint64_t ino, uint64_t offset, const void *data, size_t len)
{
        uint8_t *buf = malloc(len + 1);

        assert_non_null(buf);
        for (size_t at = 0; at < len;) { /* as the kernel asks: at most 1 MiB a request */
                size_t n = len - at < 1 << 20 ? len - at : 1 << 20;

                assert_int_equal(get(f, ino, offset + at, buf + at, n), (ssize_t)n);
                at += n;
        }
        assert_memory_equal(buf, data, len);
        free(buf);
}

void assert_zeros(struct fixture *f, uint64_t ino, uint64_t offset, size_t len)
{
        uint8_t *zeros = calloc(1, len + 1);

        assert_non_null(zeros);
        assert_data(f, ino, offset, zeros, len);
        free(zeros);
}

int truncate_to(struct fixture *f, uint64_t ino, uint64_t size)
{
        struct fs_setattr set = { .set = FS_SET_SIZE, .size = size };
        struct fs_attr a;
        int r = fs_setattr(f->fs, ino, &set, &a);

        if (r >= 0)
                assert_int_equal(a.size, size);
        return r;
}

int chmod_to(struct fixture *f, uint64_t ino, uint32_t mode)
{
        struct fs_setattr set = { .set = FS_SET_MODE, .mode = mode };
        struct fs_attr a;

        return fs_setattr(f->fs, ino, &set, &a);
}

struct names_buf {
        char *at, *end;
};

static int add_name(const struct fs_entry *entry, void *arg)
{
        struct names_buf *b = arg;

        assert_true(b->at + entry->name.len + 2 < b->end);
        memcpy(b->at, entry->name.data, entry->name.len);
        b->at += entry->name.len;
        *b->at++ = '/';
        return 1;
}

const char *names(struct fixture *f, uint64_t dir)
{
        static _Thread_local char buf[1 << 16];
        struct names_buf b = { buf, buf + sizeof(buf) };

        assert_int_equal(fs_readdir(f->fs, dir, str(""), 0, add_name, &b), 1);
        *b.at = '\0';
        return buf;
}

struct count {
        struct slice prefix;
        uint64_t n;
};

static int count_body(struct kv_txn *t, void *arg)
{
        struct count *c = arg;
        uint8_t end[16];
        struct kv_range range;
        struct slice key, value;
        int r;

        memcpy(end, c->prefix.data, c->prefix.len);
        end[c->prefix.len - 1]++;
        c->n = 0;
        kv_range_start(t, &range,
                       &(struct kv_range_opts){ .begin = c->prefix, .end = slice_of(end, c->prefix.len) });
        while ((r = kv_range_next(&range, &key, &value)) > 0)
                c->n++;
        kv_range_end(&range);
        return r;
}

uint64_t count_keys(struct kv_store *store, const char *prefix)
{
        struct count c = { .prefix = str(prefix) };

        assert_ok(kv_run(store, KV_READ, count_body, &c));
        return c.n;
}

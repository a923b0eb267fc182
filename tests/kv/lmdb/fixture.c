/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <lmdb.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int fixture_setup(void **state)
{
        const char *tmp = getenv("TMPDIR");
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_true(snprintf(f->dir, sizeof(f->dir), "%s/ashlar-lmdb-XXXXXX", tmp ? tmp : "/tmp") <
                    (int)sizeof(f->dir));
        assert_non_null(mkdtemp(f->dir));
        snprintf(f->path, sizeof(f->path), "%s/store", f->dir);
        *state = f;
        return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
        return remove(path);
}

int fixture_teardown(void **state)
{
        struct fixture *f = *state;

        nftw(f->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
        free(f);
        return 0;
}

struct kv_store *store_open(struct fixture *f, unsigned flags)
{
        struct kv_open_opts opts = { .flags = flags, .owner = "a test" };
        struct kv_store *s = NULL;
        int r = kv_open(f->path, &opts, &s, &f->text);

        if (r < 0)
                fail_msg("cannot open: %s (%s)", f->text.text, err_str(r));
        return s;
}

void store_open_fails(struct fixture *f, unsigned flags, int err, const char *part)
{
        struct kv_open_opts opts = { .flags = flags, .owner = "a test" };
        struct kv_store *s = NULL;
        int r;

        f->text.text[0] = '\0';
        r = kv_open(f->path, &opts, &s, &f->text);
        if (r >= 0)
                kv_close(s);
        if (r != -err)
                fail_msg("%s instead of %s: %s", err_str(r), err_str(err), f->text.text);
        if (!strstr(f->text.text, part) || strchr(f->text.text, '\n'))
                fail_msg("'%s' is not one line with '%s'", f->text.text, part);
}

int try_put(struct kv_store *s, unsigned flags, struct slice key, struct slice value)
{
        _cleanup_txn_ struct kv_txn *t = NULL;
        int r = kv_begin(s, KV_WRITE | flags, &t);

        if (r < 0)
                return r;
        r = kv_set(t, key, value);
        return r < 0 ? r : kv_commit(t);
}

void put(struct kv_store *s, const char *key, const char *value)
{
        assert_int_equal(try_put(s, 0, slice_str(key), slice_str(value)), 0);
}

void expect(struct kv_store *s, const char *key, const char *value)
{
        _cleanup_txn_ struct kv_txn *t = NULL;
        struct slice found;
        int r;

        assert_int_equal(kv_begin(s, KV_READ, &t), 0);
        r = kv_get(t, slice_str(key), 0, &found);
        if (!value) {
                assert_int_equal(r, -ENOENT);
                return;
        }
        assert_int_equal(r, 0);
        assert_true(slice_eq(found, slice_str(value)));
}

void make_store(struct fixture *f)
{
        struct kv_store *s = store_open(f, KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE);

        put(s, "key", "value");
        assert_int_equal(kv_close(s), 0);
}

void write_file(const char *path, const void *data, size_t len)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, len), len);
        close(fd);
}

void put_raw(struct fixture *f, struct slice key, const char *value)
{
        MDB_val k = { .mv_data = (void *)key.data, .mv_size = key.len };
        MDB_val v = { .mv_data = (void *)value, .mv_size = value ? strlen(value) : 0 };
        MDB_env *env;
        MDB_txn *txn;
        MDB_dbi dbi;

        assert_true(mkdir(f->path, 0700) == 0 || errno == EEXIST);
        assert_int_equal(mdb_env_create(&env), 0);
        assert_int_equal(mdb_env_open(env, f->path, 0, 0600), 0);
        assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
        assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
        if (key.len > 0)
                assert_int_equal(mdb_put(txn, dbi, &k, &v, 0), 0);
        assert_int_equal(mdb_txn_commit(txn), 0);
        mdb_env_close(env);
}

int in_child(void (*fn)(struct fixture *f, void *arg), struct fixture *f, void *arg)
{
        int status;
        pid_t pid;

        fflush(NULL);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                /* The test framework's handlers would continue its tests in the child. */
                signal(SIGSEGV, SIG_DFL);
                signal(SIGBUS, SIG_DFL);
                signal(SIGABRT, SIG_DFL);
                fn(f, arg);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        return status;
}

uint64_t test_seed(const char *test)
{
        const char *env = getenv("ASHLAR_SEED");
        uint64_t seed;

        if (env)
                seed = strtoull(env, NULL, 0);
        else
                rng_system(&seed, sizeof(seed));
        print_message("replay %s with ASHLAR_SEED=%llu\n", test, (unsigned long long)seed);
        return seed;
}

const char *file_path(struct fixture *f, const char *name, char buf[128])
{
        snprintf(buf, 128, "%s/%s", f->path, name);
        return buf;
}

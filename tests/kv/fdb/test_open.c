/* SPDX-License-Identifier: MIT */
/* Opening: one clear line for each thing that can be missing or wrong. The library can be set up only once in
 * a process, so each case runs in a separate process. */
#include "fixture.h"

#include "kv/fdb/url.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct attempt {
        const char *url;
        int err;          /* negative, or 0 */
        const char *text; /* a part of the line */
};

static void try(const struct attempt *a)
{
        const struct kv_open_opts opts = { .connect_ms = 200 };
        struct err_text text = { "" };
        struct kv_store *s;
        int r = kv_open(a->url, &opts, &s, &text);

        if (r != a->err || !strstr(text.text, a->text) || strchr(text.text, '\n')) {
                fprintf(stderr, "%s: got %d (%s): \"%s\", not %d: \"%s\"\n", a->url, r, err_str(r), text.text,
                        a->err, a->text);
                _exit(1);
        }
        if (r == 0)
                kv_close(s);
}

/* In a child with NAME=VALUE in its environment: makes each of the attempts in turn. */
static void in_child(const char *name, const char *value, const struct attempt *attempts, size_t n)
{
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                if (name)
                        setenv(name, value, 1);
                for (size_t i = 0; i < n; i++)
                        try(&attempts[i]);
                exit(0); /* runs the functions of atexit, one of which stops the network */
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void test_library(void **state)
{
        struct fixture *f = *state;
        const struct attempt works = { f->url, 0, "" };
        const struct attempt none = { f->url, -ENOPKG, "foundationdb-clients" };
        const struct attempt other = { f->url, -ENOPKG, "it has no fdb_" };
        const struct attempt old[] = {
                { f->url, -ENOPKG, "too old (API version 630" },
                { f->url, -ENOPKG, "too old" },
        };

        in_child(NULL, NULL, &works, 1);
        in_child("STANDIN_MAX_API_VERSION", "710", &works, 1);
        in_child("STANDIN_MAX_API_VERSION", "999", &works, 1);
        in_child("STANDIN_MAX_API_VERSION", "630", old, 2);
        in_child("ASHLAR_FDB_LIB", "/nonexistent/libfdb_c.so", &none, 1);
        in_child("ASHLAR_FDB_LIB", "libm.so.6", &other, 1);
}

static void test_cluster_file(void **state)
{
        struct fixture *f = *state;
        char bad[256], from_environment[256], missing[256];
        const struct attempt wrong[] = {
                { bad, -EINVAL, "is not a cluster file" },
                { missing, -ENOENT, "there is no cluster file" },
        };
        const struct attempt system = { "fdb:", -ENOENT, "/etc/foundationdb/fdb.cluster" };
        const struct attempt by_environment[] = { { "fdb:", 0, "" }, { "fdb:?prefix=other", 0, "" } };

        fixture_file(f, "bad", "nothing of the kind\n");
        snprintf(bad, sizeof(bad), "fdb:%s/bad", f->dir);
        snprintf(missing, sizeof(missing), "fdb:%s/missing?prefix=x", f->dir);
        snprintf(from_environment, sizeof(from_environment), "%s/cluster", f->dir);
        in_child(NULL, NULL, wrong, 2);
        in_child("FDB_CLUSTER_FILE", from_environment, by_environment, 2);
        if (access("/etc/foundationdb/fdb.cluster", F_OK) < 0) {
                unsetenv("FDB_CLUSTER_FILE");
                in_child(NULL, NULL, &system, 1);
        }
}

static void test_url(void **state)
{
        static const struct attempt wrong[] = {
                { "fdb:?prefix=", -EINVAL, "a prefix has" },
                { "fdb:?prefix=a b", -EINVAL, "a prefix has" },
                { "fdb:?prefix=a&b", -EINVAL, "a prefix has" },
                { "fdb:?prefix=\xc3\xa4", -EINVAL, "a prefix has" },
                { "fdb:?prefix=01234567890123456789012345678901234567890123456789012345678901234", -EINVAL,
                  "a prefix has" },
                { "fdb:x?name=y", -EINVAL, "only prefix=NAME" },
                { "fdb:x?", -EINVAL, "only prefix=NAME" },
                { "fdp:x", -EINVAL, "fdb:" },
        };
        struct fdb_url u;

        (void)state;
        in_child(NULL, NULL, wrong, sizeof(wrong) / sizeof(wrong[0]));
        /* As in docs/FORMAT.md. */
        assert_int_equal(fdb_url_parse("/a/b?prefix=home", &u, NULL), 0);
        assert_string_equal(u.cluster_file, "/a/b");
        assert_int_equal(u.prefix_len, 6);
        assert_memory_equal(u.prefix, "\x01home\x00", 6);
        fdb_url_clear(&u);
        assert_int_equal(fdb_url_parse("/a/b", &u, NULL), 0);
        assert_int_equal(u.prefix_len, 8);
        assert_memory_equal(u.prefix,
                            "\x01"
                            "ashlar\x00",
                            8);
        fdb_url_clear(&u);
}

static void away_first(const char *what)
{
        void *library = dlopen(getenv("ASHLAR_FDB_LIB"), RTLD_NOW | RTLD_LOCAL);
        standin_set_bool_fn set;

        *(void **)&set = dlsym(library, what);
        set(true);
}

/* A cluster that does not answer, and one that is locked. */
static void test_not_usable(void **state)
{
        struct fixture *f = *state;
        const struct attempt away = { f->url, -ERR_AWAY, "does not answer within 1 s" };
        const struct attempt locked = { f->url, -EAGAIN, "is locked" };
        int status;

        for (int i = 0; i < 2; i++) {
                pid_t pid = fork();

                if (pid == 0) {
                        away_first(i ? "standin_set_locked" : "standin_set_away");
                        try(i ? &locked : &away);
                        exit(0);
                }
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_int_equal(status, 0);
        }
}

/* A child of a process that uses the library cannot use it. */
static void test_after_fork(void **state)
{
        struct fixture *f = *state;
        const struct attempt refused = { f->url, -EPERM, "after fork" };
        int status;
        pid_t pid = fork();

        if (pid == 0) {
                try(&(struct attempt){ f->url, 0, "" });
                in_child(NULL, NULL, &refused, 1);
                try(&(struct attempt){ f->url, 0, "" });
                exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                IN_DIR(test_library),    IN_DIR(test_cluster_file), IN_DIR(test_url),
                IN_DIR(test_not_usable), IN_DIR(test_after_fork),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "base/cleanup.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fixture_dir(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));
        const char *tmp = getenv("TMPDIR");

        snprintf(f->dir, sizeof(f->dir), "%s/fdb-test-XXXXXX", tmp ? tmp : "/tmp");
        assert_non_null(mkdtemp(f->dir));
        fixture_file(f, "cluster", "standin:standin@127.0.0.1:1\n");
        snprintf(f->url, sizeof(f->url), "fdb:%s/cluster?prefix=test", f->dir);
        *state = f;
        return 0;
}

void fixture_file(const struct fixture *f, const char *name, const char *content)
{
        char path[256];
        FILE *file;

        snprintf(path, sizeof(path), "%s/%s", f->dir, name);
        file = fopen(path, "w");
        assert_non_null(file);
        fputs(content, file);
        fclose(file);
}

struct kv_store *fixture_open(const struct fixture *f, const char *url)
{
        struct err_text text = { "" };
        struct kv_store *s;

        (void)f;
        if (kv_open(url, NULL, &s, &text) < 0)
                fail_msg("%s: %s", url, text.text);
        assert_int_equal(kv_set_markers(s, slice_str("\xf1marker")), 0);
        return s;
}

int fixture_store(void **state)
{
        void *library = dlopen(getenv("ASHLAR_FDB_LIB"), RTLD_NOW | RTLD_LOCAL);
        struct fixture *f;

        fixture_dir(state);
        f = *state;
        if (!library)
                fail_msg("ASHLAR_FDB_LIB must name the stand-in: %s", dlerror());
        *(void **)&f->set_faults = dlsym(library, "standin_set_faults");
        *(void **)&f->set_away = dlsym(library, "standin_set_away");
        *(void **)&f->set_locked = dlsym(library, "standin_set_locked");
        *(void **)&f->get_counts = dlsym(library, "standin_get_counts");
        assert_non_null(f->get_counts);
        f->store = fixture_open(f, f->url);
        return 0;
}

struct standin_counts fixture_counts(const struct fixture *f)
{
        struct standin_counts counts;

        f->get_counts(&counts);
        return counts;
}

/* Waits, because the network thread frees cancelled futures. */
static void check_nothing_left(const struct fixture *f)
{
        for (int i = 0; i < 1000; i++) {
                struct standin_counts c = fixture_counts(f);

                if (c.databases == 0 && c.transactions == 0 && c.futures == 0 && c.watches == 0)
                        return;
                usleep(10000);
        }
        fail_msg("left in the library: %u databases, %u transactions, %u futures",
                 fixture_counts(f).databases, fixture_counts(f).transactions, fixture_counts(f).futures);
}

int fixture_teardown(void **state)
{
        static const struct standin_faults none;
        struct fixture *f = *state;
        char command[256];

        if (f->get_counts) {
                f->set_away(false);
                f->set_locked(false);
                f->set_faults(&none);
                assert_int_equal(kv_close(f->store), 0);
                check_nothing_left(f);
        }
        snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
        assert_int_equal(system(command), 0);
        free(f);
        return 0;
}

struct one {
        const char *key, *value;
};

static int put_body(struct kv_txn *t, void *arg)
{
        const struct one *o = arg;

        if (!o->value)
                return kv_clear(t, slice_str(o->key));
        return kv_set(t, slice_str(o->key), slice_str(o->value));
}

void put(struct kv_store *s, const char *key, const char *value)
{
        struct one o = { key, value };

        assert_int_equal(kv_run(s, KV_WRITE, put_body, &o), 0);
}

static int expect_body(struct kv_txn *t, void *arg)
{
        const struct one *o = arg;
        struct slice value;
        int r = kv_get(t, slice_str(o->key), 0, &value);

        if (r == -ENOENT)
                return o->value ? -ENOENT : 0;
        if (r < 0)
                return r;
        return o->value && slice_eq(value, slice_str(o->value)) ? 0 : -EBADMSG;
}

void expect(struct kv_store *s, const char *key, const char *value)
{
        struct one o = { key, value };

        assert_int_equal(kv_run(s, KV_READ, expect_body, &o), 0);
}

int get_k(struct kv_txn *t, void *arg)
{
        struct slice value;
        int r = kv_get(t, slice_str("k"), 0, &value);

        (void)arg;
        return r == -ENOENT ? 0 : r;
}

int set_k(struct kv_txn *t, void *arg)
{
        return kv_set(t, slice_str("k"), slice_str(arg));
}

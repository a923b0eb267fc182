/* SPDX-License-Identifier: MIT */
/* Changing a file system to read-only: what the collector has under way, and a store that cannot be
 * synced. */
#include "fixture.h"
#include "kv/layer/filter.h"

#include <pthread.h>
#include <unistd.h>

/* A store that holds back the collector's commit, and whose syncs fail. */
struct gate {
        struct filter filter;
        _Atomic bool held, remounted;
        _Atomic unsigned commits, commits_behind; /* of the collector: all; after the remount */
        unsigned syncs, failing_sync;             /* of the mount; the number of one that fails: 0: none */
};

struct gate_txn {
        struct filter_txn filter;
        bool garbage_cleared;
};

static int gate_begin(struct kv_store *s, unsigned flags, struct kv_txn **ret)
{
        return filter_begin_sized(s, flags, sizeof(struct gate_txn), ret);
}

static int gate_clear(struct kv_txn *t, struct slice key)
{
        ((struct gate_txn *)t)->garbage_cleared |= key.data[0] == 'g';
        return kv_clear(filter_below(t), key);
}

/* Holds the commit back for a while, or until the remount has returned without it. */
static int gate_commit(struct kv_txn *t)
{
        struct gate *g = (struct gate *)t->store;

        if (!((struct gate_txn *)t)->garbage_cleared)
                return filter_commit(t);
        atomic_store(&g->held, true);
        for (int i = 0; i < 200 && !atomic_load(&g->remounted); i++)
                usleep(1000);
        atomic_fetch_add(&g->commits, 1);
        atomic_fetch_add(&g->commits_behind, atomic_load(&g->remounted));
        return filter_commit(t);
}

static int gate_sync(struct kv_store *s)
{
        struct gate *g = (struct gate *)s;

        return ++g->syncs == g->failing_sync ? -EIO : kv_sync(g->filter.below);
}

static int gate_close(struct kv_store *s)
{
        free(s); /* the store below belongs to the fixture */
        return 0;
}

static struct gate *gate_open(struct fixture *f)
{
        struct gate *g = calloc(1, sizeof(*g));
        struct err_text text;

        assert_non_null(g);
        filter_init(&g->filter, "gate", f->store);
        g->filter.ops.close = gate_close;
        g->filter.ops.begin = gate_begin;
        g->filter.ops.clear = gate_clear;
        g->filter.ops.commit = gate_commit;
        g->filter.ops.sync = gate_sync;
        fs_close(f->fs);
        assert_ok(fs_open(&g->filter.base, &f->opts, &f->fs, &text));
        return g;
}

static void gate_remove(struct fixture *f, struct gate *g)
{
        struct err_text text;

        fs_close(f->fs);
        assert_ok(kv_close(&g->filter.base));
        assert_ok(fs_open(f->store, &f->opts, &f->fs, &text));
}

/* Once the file system is read-only, the collector commits nothing more. */
static void test_collector(void **state)
{
        struct fixture *f = *state;
        struct gate *g = gate_open(f);

        new_file(f, ROOT, "file");
        assert_ok(fs_unlink(f->fs, ROOT, str("file")));
        while (!atomic_load(&g->held))
                usleep(1000);
        assert_ok(fs_remount(f->fs, true, FS_RELATIME));
        atomic_store(&g->remounted, true);
        assert_ok(fs_remount(f->fs, false, FS_RELATIME));
        fixture_drain(f);
        assert_int_equal(g->commits, 1);
        assert_int_equal(g->commits_behind, 0);
        gate_remove(f, g);
}

/* After an error of either sync the file system is writable, and the next remount syncs again. */
static void test_sync_fails(void **state)
{
        struct fixture *f = *state;
        struct gate *g = gate_open(f);
        uint64_t file = new_file(f, ROOT, "file");

        for (unsigned n = 1; n <= 2; n++) {
                g->failing_sync = g->syncs + n;
                assert_fails(fs_remount(f->fs, true, FS_RELATIME), EIO);
                put(f, file, 0, "data");
        }
        g->failing_sync = 0;
        assert_ok(fs_remount(f->fs, true, FS_RELATIME));
        assert_fails(fs_write(f->fs, file, 0, str("x"), 0), EROFS);
        gate_remove(f, g);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                FIXTURE_TEST(test_collector),
                FIXTURE_TEST(test_sync_fails),
        };

        if (argc > 1)
                fixture_spec = argv[1];
        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* A full store under the write-behind overlay, against a model of what was acknowledged: random fills with
 * small records, blocks and patches, random mass deletes, closing and opening. All that was acknowledged must
 * be there afterwards, closing must succeed, deletes must never fail, the error of a refused write must be
 * ENOSPC, and after most was deleted a good part of the store must be usable again.
 *
 * ASHLAR_SEED replays a run; ASHLAR_ROUNDS is the number of seeds (default 1 for each kind of store).
 */
#include "fixture.h"
#include "kv/engine.h"
#include "kv/layer/layer.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB       ((uint64_t)1 << 20)
#define SMALL     40000u /* keys of each kind at most */
#define BLOCKS    2000u
#define KEYS      (SMALL + BLOCKS)
#define BLOCK_MAX 32752u

/* ---- the model ---------------------------------------------------------------------------------- */

struct record {
        uint8_t *data; /* NULL: absent */
        size_t len;
};

struct run {
        struct rng rng;
        const char *path;
        uint64_t max_bytes;      /* of the map; 0: default */
        uint64_t capacity_bytes; /* of the store, roughly */
        struct kv_store *store;
        struct record records[KEYS];
        uint64_t live_bytes; /* of the records */
};

static struct slice key_of(unsigned i, char buf[32])
{
        /* Adjacent numbers are not adjacent keys, so that deletes and inserts change leaves everywhere. */
        uint32_t scattered = i * 2654435761u;

        if (i < SMALL)
                return slice_of(buf, (size_t)snprintf(buf, 32, "s%08x.%u", scattered, i));
        return slice_of(buf, (size_t)snprintf(buf, 32, "f%06u", i));
}

static bool is_block(unsigned i)
{
        return i >= SMALL;
}

static void open_run(struct run *u)
{
        struct kv_open_opts opts = { .flags = KV_OPEN_CREATE | KV_OPEN_EXCLUSIVE, .max_bytes = u->max_bytes };
        struct kv_writebehind_opts behind = { .close_ms = 1, .age_ms = 50 };
        struct kv_store *below;
        struct err_text text;

        if (kv_open(u->path, &opts, &below, &text) < 0)
                fail_msg("cannot open: %s", text.text);
        assert_int_equal(kv_writebehind_open(below, &behind, &u->store), 0);
}

static int check_body(struct kv_txn *t, void *arg)
{
        struct run *u = arg;
        struct slice value;
        char buf[32];

        for (unsigned i = 0; i < KEYS; i++) {
                const struct record *rec = &u->records[i];
                int r = kv_get(t, key_of(i, buf), KV_SNAPSHOT, &value);

                if (!rec->data ? r != -ENOENT : r < 0 || !slice_eq(value, slice_of(rec->data, rec->len)))
                        fail_msg("%s is not what was acknowledged: %d", buf, r);
        }
        return 0;
}

static void check_all(struct run *u)
{
        assert_int_equal(kv_run(u->store, KV_READ, check_body, u), 0);
}

/* ---- transactions ------------------------------------------------------------------------------- */

struct change {
        struct run *u;
        unsigned n;
        struct {
                unsigned i;
                size_t at, len; /* of the patch */
                bool patch;
                const uint8_t *data;
        } keys[64];
};

static int set_body(struct kv_txn *t, void *arg)
{
        struct change *c = arg;
        char buf[32];
        int r = 0;

        for (unsigned k = 0; r >= 0 && k < c->n; k++) {
                struct slice key = key_of(c->keys[k].i, buf);
                struct slice data = slice_of(c->keys[k].data, c->keys[k].len);

                r = c->keys[k].patch ? kv_patch(t, key, c->keys[k].at, data) : kv_set(t, key, data);
        }
        return r;
}

static int clear_body(struct kv_txn *t, void *arg)
{
        struct change *c = arg;
        char buf[32];
        int r = 0;

        for (unsigned k = 0; r >= 0 && k < c->n; k++)
                r = kv_clear(t, key_of(c->keys[k].i, buf));
        return r;
}

static int nothing_body(struct kv_txn *t, void *arg)
{
        return kv_set(t, slice_str("n"), slice_of("", 0));
}

/* Deleted space is usable two transactions later. */
static void settle(struct run *u)
{
        for (int i = 0; i < 2; i++) {
                assert_int_equal(kv_run(u->store, KV_WRITE | KV_RESERVE, nothing_body, u), 0);
                assert_int_equal(kv_sync(u->store), 0);
        }
}

static void apply(struct run *u, const struct change *c)
{
        for (unsigned k = 0; k < c->n; k++) {
                struct record *rec = &u->records[c->keys[k].i];
                size_t at = c->keys[k].patch ? c->keys[k].at : 0, end = at + c->keys[k].len;
                size_t len = c->keys[k].patch && rec->len > end ? rec->len : end;

                u->live_bytes += len - rec->len;
                rec->data = realloc(rec->data, len + 1);
                assert_non_null(rec->data);
                if (len > rec->len)
                        memset(rec->data + rec->len, 0, len - rec->len);
                memcpy(rec->data + at, c->keys[k].data, c->keys[k].len);
                rec->len = len;
        }
}

/* Writes a few keys in one transaction: 0 or ENOSPC. */
static int write_some(struct run *u, bool blocks)
{
        static uint8_t noise[2 * BLOCK_MAX];
        struct change c = { .u = u, .n = 1 + (unsigned)rng_below(&u->rng, blocks ? 8 : 20) };
        int r;

        rng_fill(&u->rng, noise, 64);
        for (size_t i = 64; i < sizeof(noise); i++)
                noise[i] = (uint8_t)(noise[i - 64] + 1);
        for (unsigned k = 0; k < c.n; k++) {
                unsigned i = blocks ? SMALL + (unsigned)rng_below(&u->rng, BLOCKS)
                                    : (unsigned)rng_below(&u->rng, SMALL);
                size_t len = 1 + rng_below(&u->rng, 400);

                if (is_block(i))
                        len = rng_below(&u->rng, 3) == 0 ? 1 + rng_below(&u->rng, BLOCK_MAX) : BLOCK_MAX;
                c.keys[k].i = i;
                c.keys[k].data = noise + rng_below(&u->rng, BLOCK_MAX);
                c.keys[k].patch = is_block(i) && rng_below(&u->rng, 4) == 0;
                if (c.keys[k].patch) {
                        len = 1 + len % 4096;
                        c.keys[k].at = rng_below(&u->rng, BLOCK_MAX - len);
                }
                c.keys[k].len = len;
        }
        r = kv_run(u->store, KV_WRITE, set_body, &c);
        if (r >= 0)
                apply(u, &c);
        else
                assert_int_equal(r, -ENOSPC);
        return r;
}

/* Writes until the store is full. */
static void fill(struct run *u, bool blocks, bool both)
{
        for (int refused = 0; refused < 6;) {
                if (write_some(u, both ? rng_below(&u->rng, 2) : blocks) < 0) {
                        if (refused++ % 3 == 0)
                                settle(u);
                }
                if (!blocks && !both && u->live_bytes > SMALL * 180)
                        break; /* nearly every key is there */
        }
}

/* Deletes PERCENT of the records. */
static void delete_some(struct run *u, unsigned percent)
{
        unsigned per = 1 + (unsigned)rng_below(&u->rng, 16);
        struct change c = { .u = u };

        for (unsigned i = 0; i < KEYS; i++) {
                if (u->records[i].data && rng_below(&u->rng, 100) < percent)
                        c.keys[c.n++].i = i;
                if (c.n < per && i + 1 < KEYS)
                        continue;
                assert_int_equal(kv_run(u->store, KV_WRITE | KV_RESERVE, clear_body, &c), 0);
                for (unsigned k = 0; k < c.n; k++) {
                        struct record *rec = &u->records[c.keys[k].i];

                        u->live_bytes -= rec->len;
                        free(rec->data);
                        *rec = (struct record){ 0 };
                }
                c.n = 0;
        }
}

static void reopen(struct run *u)
{
        assert_int_equal(kv_close(u->store), 0);
        open_run(u);
        check_all(u);
}

/* ---- a run -------------------------------------------------------------------------------------- */

static void run_seed(struct run *u, uint64_t seed)
{
        uint64_t first, again;

        rng_seed(&u->rng, seed);
        open_run(u);
        fill(u, rng_below(&u->rng, 2), rng_below(&u->rng, 2));
        check_all(u);
        for (int round = 0; round < 2; round++) {
                delete_some(u, 30 + 20 * (unsigned)rng_below(&u->rng, 4));
                if (rng_below(&u->rng, 2) == 0)
                        assert_int_equal(kv_sync(u->store), 0);
                check_all(u);
                fill(u, rng_below(&u->rng, 3) > 0, rng_below(&u->rng, 2));
                if (rng_below(&u->rng, 2) == 0)
                        reopen(u);
        }
        /* After most is deleted, the store holds most of its former contents again. */
        delete_some(u, 100);
        settle(u);
        fill(u, true, true);
        first = u->live_bytes;
        delete_some(u, 97);
        settle(u);
        fill(u, true, true);
        again = u->live_bytes;
        reopen(u);
        assert_int_equal(kv_close(u->store), 0);
        print_message("seed %llu: held %.1f MiB, then %.1f, of %.1f\n", (unsigned long long)seed,
                      (double)first / MIB, (double)again / MIB, (double)u->capacity_bytes / MIB);
        assert_true(first > u->capacity_bytes / 3);
        assert_true(again > u->capacity_bytes / 3);
        for (unsigned i = 0; i < KEYS; i++)
                free(u->records[i].data);
}

static void run_in(const char *path, uint64_t max_bytes, uint64_t capacity_bytes)
{
        const char *rounds = getenv("ASHLAR_ROUNDS");
        uint64_t seed = test_seed("full");

        for (int n = rounds ? atoi(rounds) : 1; n > 0; n--, seed++) {
                struct run *u = calloc(1, sizeof(*u));
                char *name;

                assert_non_null(u);
                assert_true(asprintf(&name, "%s-%llu", path, (unsigned long long)seed) > 0);
                u->path = name;
                u->max_bytes = max_bytes;
                u->capacity_bytes = capacity_bytes;
                run_seed(u, seed);
                if (n > 1) {
                        char command[256];

                        snprintf(command, sizeof(command), "rm -r '%s'", name);
                        assert_int_equal(system(command), 0);
                }
                free(name);
                free(u);
        }
}

/* ---- kinds of stores ---------------------------------------------------------------------------- */

/* In a child: mounts a file system in memory on the test's directory, in a separate mount namespace. */
static bool in_memory(struct fixture *f, const char *size)
{
        return unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) >= 0 &&
               mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) >= 0 &&
               mount("tmpfs", f->dir, "tmpfs", 0, size) >= 0;
}

static void in_map(struct fixture *f, void *arg)
{
        in_memory(f, "size=64m"); /* for speed: commits do not wait for a disk */
        run_in(f->path, 24 * MIB, 24 * MIB);
}

static void with_limit(struct fixture *f, void *arg)
{
        struct rlimit limit = { .rlim_cur = 24 * MIB, .rlim_max = RLIM_INFINITY };

        in_memory(f, "size=64m");
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
                _exit(77);
        run_in(f->path, 0, 24 * MIB);
}

static void on_small_disk(struct fixture *f, void *arg)
{
        if (!in_memory(f, "size=28m"))
                _exit(77);
        run_in(f->path, 0, 28 * MIB);
}

static void test_child(void **state, void (*fn)(struct fixture *f, void *arg), const char *why)
{
        int status = in_child(fn, *state, NULL);

        if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
                print_message("SKIPPED: %s\n", why);
                skip();
        }
        assert_int_equal(status, 0);
}

/* A map of fixed size. */
static void test_map(void **state)
{
        test_child(state, in_map, "");
}

/* The process's limit on file sizes. */
static void test_limit(void **state)
{
        test_child(state, with_limit, "the limit of a file's size cannot be set");
}

/* A file system that is full. */
static void test_disk(void **state)
{
        test_child(state, on_small_disk, "no file system in memory may be mounted here");
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                TEST(test_map),
                TEST(test_limit),
                TEST(test_disk),
        };

        return cmocka_run_group_tests_name("lmdb full", tests, NULL, NULL);
}

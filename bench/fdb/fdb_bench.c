/* SPDX-License-Identifier: MIT */
/* Throughput of a plain program that writes and reads bytes in a FoundationDB cluster: the reference for the
 * file system over it.
 *
 *     fdb_bench [OPTION=N...]     (the cluster of FDB_CLUSTER_FILE; options with their defaults are below)
 *
 * Each thread sends a number of values (a group) as one transaction, waits for the commit, and takes the next
 * group. Then it reads the same groups, by gets that are started together, and by ranges. Prints one line for
 * each phase.
 */
#include "base/lock.h"
#include "base/rng.h"
#include "kv/fdb/library.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PREFIX \
        "\x01" \
        "fdb_bench"

static struct {
        const char *name;
        size_t n;
} options[] = {
        { "mib", 256 },            /* total */
        { "value", 65536 },        /* bytes of a value */
        { "transaction", 917504 }, /* bytes of a transaction */
        { "threads", 8 },          /* transactions at the same time */
};

enum { MIB, VALUE, TRANSACTION, THREADS };

static const struct fdb_api *api;
static FDBDatabase *db;
static uint8_t *data; /* longer than a value, so that values begin at different offsets */
static _Atomic size_t next_group;
static size_t values, group_values;

static void die(const char *what, fdb_error_t e)
{
        fprintf(stderr, "fdb_bench: %s: %s\n", what, api->get_error(e));
        exit(1);
}

static void must(const char *what, fdb_error_t e)
{
        if (e)
                die(what, e);
}

/* ---- waiting ------------------------------------------------------------------------------------- */

struct waiting {
        struct lock lock;
        pthread_cond_t ready;
        bool done;
};

static void on_ready(FDBFuture *f, void *arg)
{
        struct waiting *w = arg;

        (void)f;
        LOCK_GUARD(&w->lock);
        w->done = true;
        pthread_cond_signal(&w->ready);
}

static fdb_error_t wait_for(FDBFuture *f)
{
        struct waiting w = { .lock = LOCK_INIT, .ready = PTHREAD_COND_INITIALIZER };

        must("callback", api->future_set_callback(f, on_ready, &w));
        lock_acquire(&w.lock);
        while (!w.done)
                lock_wait(&w.lock, &w.ready);
        lock_release(&w.lock);
        return api->future_get_error(f);
}

/* ---- the work ------------------------------------------------------------------------------------ */

#define KEY_LEN (sizeof(PREFIX) + 8)

static void key_of(size_t i, uint8_t key[KEY_LEN])
{
        memcpy(key, PREFIX, sizeof(PREFIX));
        for (int b = 0; b < 8; b++)
                key[sizeof(PREFIX) + b] = (uint8_t)(i >> (56 - 8 * b));
}

/* Values FROM to TO, in the transaction T. */
static fdb_error_t write_group(FDBTransaction *t, size_t from, size_t to)
{
        uint8_t key[KEY_LEN];
        FDBFuture *f;
        fdb_error_t e;

        for (size_t i = from; i < to; i++) {
                key_of(i, key);
                api->transaction_set(t, key, KEY_LEN, data + i % 4096, (int)options[VALUE].n);
        }
        f = api->transaction_commit(t);
        e = wait_for(f);
        api->future_destroy(f);
        return e;
}

static fdb_error_t get_group(FDBTransaction *t, size_t from, size_t to)
{
        FDBFuture **f = calloc(to - from, sizeof(*f));
        uint8_t key[KEY_LEN];
        fdb_error_t e = 0;

        if (!f)
                abort();
        for (size_t i = from; i < to; i++) {
                key_of(i, key);
                f[i - from] = api->transaction_get(t, key, KEY_LEN, true);
        }
        for (size_t i = from; i < to; i++) {
                const uint8_t *value;
                fdb_bool_t present;
                int len;

                if (!e)
                        e = wait_for(f[i - from]);
                if (!e && (api->future_get_value(f[i - from], &present, &value, &len) || !present ||
                           memcmp(value, data + i % 4096, (size_t)len) != 0)) {
                        fprintf(stderr, "fdb_bench: value %zu has other bytes than were written\n", i);
                        exit(1);
                }
                api->future_destroy(f[i - from]);
        }
        free(f);
        return e;
}

static fdb_error_t range_group(FDBTransaction *t, size_t from, size_t to)
{
        uint8_t begin[KEY_LEN], end[KEY_LEN];
        fdb_error_t e = 0;

        key_of(to, end);
        while (from < to && !e) {
                const FDBKeyValue *kv;
                fdb_bool_t more;
                FDBFuture *f;
                int n = 0;

                key_of(from, begin);
                f = api->transaction_get_range(t, begin, KEY_LEN, 0, 1, end, KEY_LEN, 0, 1, 0, 0,
                                               FDB_STREAMING_MODE_WANT_ALL, 1, true, false);
                e = wait_for(f);
                if (!e)
                        e = api->future_get_keyvalue_array(f, &kv, &n, &more);
                api->future_destroy(f);
                if (!e && n == 0) {
                        fprintf(stderr, "fdb_bench: value %zu is missing\n", from);
                        exit(1);
                }
                from += (size_t)n;
        }
        return e;
}

typedef fdb_error_t (*group_fn)(FDBTransaction *t, size_t from, size_t to);

static void *work(void *arg)
{
        group_fn group = *(group_fn *)arg;

        for (;;) {
                size_t from = atomic_fetch_add(&next_group, 1) * group_values;
                size_t to = from + group_values < values ? from + group_values : values;
                FDBTransaction *t;
                fdb_error_t e;

                if (from >= values)
                        return NULL;
                must("transaction", api->database_create_transaction(db, &t));
                while ((e = group(t, from, to)) != 0) {
                        FDBFuture *f = api->transaction_on_error(t, e);

                        must("error", wait_for(f));
                        api->future_destroy(f);
                }
                api->transaction_destroy(t);
        }
}

static double seconds(void)
{
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void phase(const char *name, group_fn group)
{
        size_t n = options[THREADS].n;
        pthread_t *threads = calloc(n, sizeof(*threads));
        double begin = seconds(), took;

        atomic_store(&next_group, 0);
        for (size_t i = 0; i < n; i++)
                if (pthread_create(&threads[i], NULL, work, &group) != 0)
                        abort();
        for (size_t i = 0; i < n; i++)
                pthread_join(threads[i], NULL);
        took = seconds() - begin;
        printf("%-6s %7.1f MiB/s\n", name, (double)values * (double)options[VALUE].n / took / (1 << 20));
        fflush(stdout);
        free(threads);
}

/* Removes all values in one transaction. */
static fdb_error_t clear(FDBTransaction *t, size_t from, size_t to)
{
        uint8_t begin[KEY_LEN], end[KEY_LEN];
        FDBFuture *f;
        fdb_error_t e;

        key_of(from, begin);
        key_of(to, end);
        api->transaction_clear_range(t, begin, KEY_LEN, end, KEY_LEN);
        f = api->transaction_commit(t);
        e = wait_for(f);
        api->future_destroy(f);
        return e;
}

static void parse(int argc, char **argv)
{
        for (int i = 1; i < argc; i++) {
                size_t j, len = strcspn(argv[i], "=");

                for (j = 0; j < sizeof(options) / sizeof(options[0]); j++)
                        if (strlen(options[j].name) == len && memcmp(options[j].name, argv[i], len) == 0)
                                break;
                if (j == sizeof(options) / sizeof(options[0]) || argv[i][len] != '=' ||
                    (options[j].n = strtoul(argv[i] + len + 1, NULL, 10)) == 0) {
                        fprintf(stderr, "usage: fdb_bench [mib=N] [value=N] [transaction=N] [threads=N]\n");
                        exit(2);
                }
        }
}

int main(int argc, char **argv)
{
        struct err_text text;
        struct rng rng;

        parse(argc, argv);
        if (fdb_library_get(&api, &text) < 0) {
                fprintf(stderr, "fdb_bench: %s\n", text.text);
                return 1;
        }
        must("cluster file", api->create_database(getenv("FDB_CLUSTER_FILE"), &db));
        values = (options[MIB].n << 20) / options[VALUE].n;
        group_values = options[TRANSACTION].n / options[VALUE].n;
        if (group_values == 0)
                group_values = 1;
        data = malloc(options[VALUE].n + 4096);
        rng_seed(&rng, 1);
        rng_fill(&rng, data, options[VALUE].n + 4096);
        printf("%zu MiB in values of %zu bytes, %zu to a transaction, %zu at a time\n", options[MIB].n,
               options[VALUE].n, group_values, options[THREADS].n);
        phase("write", write_group);
        phase("get", get_group);
        phase("range", range_group);
        group_values = values;
        phase("clear", clear);
        free(data);
        api->database_destroy(db);
        return 0;
}

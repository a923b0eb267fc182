/* SPDX-License-Identifier: MIT */
/* The rest of the API, and the controls for tests. */
#include "internal.h"

#include "kv/testing/mem/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_API_VERSION 730 /* newer than the version that is selected */
#define WATCHES_DEFAULT 10000

static bool selected;

EXPORT const char *fdb_get_error(fdb_error_t code)
{
        static _Thread_local char text[64];

        snprintf(text, sizeof(text), "error %d of the stand-in", code);
        return text;
}

EXPORT fdb_bool_t fdb_error_predicate(int predicate, fdb_error_t code)
{
        bool maybe = code == 1021 || code == 1039;
        bool not_committed = code == 1020 || code == 1007 || code == 1009 || code == 1038 || code == 1042 ||
                             code == 1051 || code == 1037 || code == 1213;

        switch (predicate) {
        case FDB_PREDICATE_MAYBE_COMMITTED:
                return maybe;
        case FDB_PREDICATE_RETRYABLE_NOT_COMMITTED:
                return not_committed;
        default:
                return maybe || not_committed;
        }
}

EXPORT int fdb_get_max_api_version(void)
{
        const char *s = getenv("STANDIN_MAX_API_VERSION");

        return s ? atoi(s) : MAX_API_VERSION;
}

EXPORT const char *fdb_get_client_version(void)
{
        return "7.9.0,stand-in,0";
}

EXPORT fdb_error_t fdb_select_api_version_impl(int runtime_version, int header_version)
{
        if (selected)
                return FDB_API_VERSION_ALREADY_SET;
        if (runtime_version > header_version)
                return 2202;
        if (runtime_version > fdb_get_max_api_version())
                return FDB_API_VERSION_NOT_SUPPORTED;
        selected = true;
        return 0;
}

struct cluster *cluster_of(const char *file)
{
        const struct kv_mem_opts opts = { .watches = 1000000 };
        struct cluster *c;

        LOCK_GUARD(&standin.lock);
        list_each(c, &standin.clusters, link)
                if (strcmp(c->file, file) == 0)
                        return c;
        c = calloc(1, sizeof(*c));
        c->file = strdup(file);
        lock_init(&c->lock);
        list_init(&c->anchors);
        if (kv_mem_open_with(&opts, &c->store) < 0)
                abort();
        list_append(&standin.clusters, &c->link);
        return c;
}

/* Whether the file begins with name:id@... */
static bool is_cluster_file(const char *file)
{
        char line[256] = "";
        _cleanup_fclose_ FILE *f = fopen(file, "r");

        return f && fgets(line, sizeof(line), f) && strchr(line, ':') && strchr(line, '@');
}

EXPORT fdb_error_t fdb_create_database(const char *cluster_file, FDBDatabase **out)
{
        FDBDatabase *d;

        if (!is_cluster_file(cluster_file))
                return FDB_CONNECTION_STRING_INVALID;
        d = calloc(1, sizeof(*d));
        d->cluster = cluster_of(cluster_file);
        d->max_watches = WATCHES_DEFAULT;
        lock_acquire(&standin.lock);
        standin.counts.databases++;
        lock_release(&standin.lock);
        *out = d;
        return 0;
}

EXPORT void fdb_database_destroy(FDBDatabase *d)
{
        /* The network thread removes cancelled watches, without waiting for this thread. */
        while (atomic_load(&d->watches) > 0)
                usleep(1000);
        free(d);
        lock_acquire(&standin.lock);
        standin.counts.databases--;
        lock_release(&standin.lock);
}

EXPORT fdb_error_t fdb_database_set_option(FDBDatabase *d, int option, const uint8_t *value, int length)
{
        if (option != FDB_DB_OPTION_MAX_WATCHES || length != 8)
                return 2007;
        memcpy(&d->max_watches, value, 8);
        return 0;
}

/* ---- controls ------------------------------------------------------------------------------------ */

EXPORT void standin_set_faults(const struct standin_faults *f);
EXPORT void standin_set_away(bool on);
EXPORT void standin_set_locked(bool on);
EXPORT void standin_get_counts(struct standin_counts *ret);

EXPORT void standin_set_faults(const struct standin_faults *f)
{
        lock_acquire(&standin.lock);
        if (f->seed)
                rng_seed(&standin.rng, f->seed);
        standin.faults = *f;
        lock_release(&standin.lock);
}

EXPORT void standin_set_away(bool on)
{
        lock_acquire(&standin.lock);
        standin.away = on;
        pthread_cond_signal(&standin.wake);
        lock_release(&standin.lock);
}

EXPORT void standin_set_locked(bool on)
{
        lock_acquire(&standin.lock);
        standin.locked = on;
        lock_release(&standin.lock);
}

EXPORT void standin_get_counts(struct standin_counts *ret)
{
        lock_acquire(&standin.lock);
        *ret = standin.counts;
        lock_release(&standin.lock);
}

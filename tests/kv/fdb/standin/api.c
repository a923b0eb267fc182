/* SPDX-License-Identifier: MIT */
/* The rest of the API, and the controls for tests. */
#include "internal.h"

#include "kv/testing/mem/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define MAX_API_VERSION 730 /* newer than what is asked for */
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

        pthread_mutex_lock(&standin.lock);
        for (c = standin.clusters; c && strcmp(c->file, file) != 0; c = c->next)
                continue;
        if (!c) {
                c = calloc(1, sizeof(*c));
                c->file = strdup(file);
                pthread_mutex_init(&c->lock, NULL);
                if (kv_mem_open_with(&opts, &c->store) < 0)
                        abort();
                c->next = standin.clusters;
                standin.clusters = c;
        }
        pthread_mutex_unlock(&standin.lock);
        return c;
}

/* A file that holds anything but name:id@... is none. */
static bool is_cluster_file(const char *file)
{
        char line[256] = "";
        FILE *f = fopen(file, "r");
        bool ok = f && fgets(line, sizeof(line), f) && strchr(line, ':') && strchr(line, '@');

        if (f)
                fclose(f);
        return ok;
}

EXPORT fdb_error_t fdb_create_database(const char *cluster_file, FDBDatabase **out)
{
        FDBDatabase *d;

        if (!is_cluster_file(cluster_file))
                return FDB_CONNECTION_STRING_INVALID;
        d = calloc(1, sizeof(*d));
        d->cluster = cluster_of(cluster_file);
        d->max_watches = WATCHES_DEFAULT;
        pthread_mutex_lock(&standin.lock);
        standin.counts.databases++;
        pthread_mutex_unlock(&standin.lock);
        *out = d;
        return 0;
}

EXPORT void fdb_database_destroy(FDBDatabase *d)
{
        /* Cancelled watches are taken down by the network thread, which is not waited for. */
        while (atomic_load(&d->watches) > 0)
                usleep(1000);
        free(d);
        pthread_mutex_lock(&standin.lock);
        standin.counts.databases--;
        pthread_mutex_unlock(&standin.lock);
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
        pthread_mutex_lock(&standin.lock);
        if (f->seed)
                rng_seed(&standin.rng, f->seed);
        standin.faults = *f;
        pthread_mutex_unlock(&standin.lock);
}

EXPORT void standin_set_away(bool on)
{
        pthread_mutex_lock(&standin.lock);
        standin.away = on;
        pthread_cond_signal(&standin.wake);
        pthread_mutex_unlock(&standin.lock);
}

EXPORT void standin_set_locked(bool on)
{
        pthread_mutex_lock(&standin.lock);
        standin.locked = on;
        pthread_mutex_unlock(&standin.lock);
}

EXPORT void standin_get_counts(struct standin_counts *ret)
{
        pthread_mutex_lock(&standin.lock);
        *ret = standin.counts;
        pthread_mutex_unlock(&standin.lock);
}

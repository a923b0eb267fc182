/* SPDX-License-Identifier: MIT */
#include "mount/store_url.h"

#include "base/cleanup.h"

#include <string.h>

#define LMDB "lmdb:"
#define FDB  "fdb:"

#define FDB_SYSTEM_FILE "/etc/foundationdb/fdb.cluster" /* as in kv_open() */

static const char *lmdb_path(const char *store)
{
        const char *colon = strchr(store, ':'), *slash = strchr(store, '/');

        if (strncmp(store, LMDB, strlen(LMDB)) == 0)
                return store + strlen(LMDB);
        /* A colon behind a slash belongs to a plain path, as in kv_open(). */
        return colon && (!slash || colon < slash) ? NULL : store;
}

bool store_url_is_local(const char *store)
{
        return lmdb_path(store);
}

/* A cluster is named by the path of its file, also if that comes from the environment or is the default. */
static char *fdb_absolute(const char *rest)
{
        size_t len = strcspn(rest, "?");
        const char *from_environment = getenv("FDB_CLUSTER_FILE");
        _cleanup_free_ char *given = strndup(rest, len), *resolved = NULL;
        const char *file = given;
        char *url;

        if (!given)
                return NULL;
        if (len == 0)
                file = from_environment && *from_environment ? from_environment : FDB_SYSTEM_FILE;
        resolved = realpath(file, NULL);
        return asprintf(&url, FDB "%s%s", resolved ? resolved : file, rest + len) < 0 ? NULL : url;
}

char *store_url_absolute(const char *store)
{
        const char *path = lmdb_path(store);
        _cleanup_free_ char *resolved = NULL;
        char *url;

        if (strncmp(store, FDB, strlen(FDB)) == 0)
                return fdb_absolute(store + strlen(FDB));
        if (!path || !*path || !(resolved = realpath(path, NULL)))
                return strdup(store);
        return asprintf(&url, LMDB "%s", resolved) < 0 ? NULL : url;
}

bool store_url_is_inside(const char *url, const char *dir)
{
        const char *path = lmdb_path(url);
        size_t n = strlen(dir);

        if (!path || strncmp(path, dir, n) != 0)
                return false;
        return path[n] == '\0' || path[n] == '/' || (n > 0 && dir[n - 1] == '/');
}

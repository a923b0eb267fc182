/* SPDX-License-Identifier: MIT */
#include "kv/fdb/library.h"

#include "base/lock.h"
#include "base/thread.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libfdb_c.so"

/* State of the whole process, the only one there is: the API version can be selected, and the network run,
 * once in the life of a process. */
static struct {
        struct lock lock;
        enum { NOT_LOADED, RUNNING, FAILED } state;
        struct fdb_api api;
        struct err_text why; /* FAILED */
        int err;
        pid_t pid;
        pthread_t network;
} library = { .lock = LOCK_INIT };

#define SYMBOL(name)                                         \
        {                                                    \
                "fdb_" #name, offsetof(struct fdb_api, name) \
        }

static const struct {
        const char *name;
        size_t at;
} symbols[] = {
        SYMBOL(get_error),
        SYMBOL(error_predicate),
        SYMBOL(select_api_version_impl),
        SYMBOL(get_max_api_version),
        SYMBOL(get_client_version),
        SYMBOL(setup_network),
        SYMBOL(run_network),
        SYMBOL(stop_network),
        SYMBOL(future_cancel),
        SYMBOL(future_destroy),
        SYMBOL(future_is_ready),
        SYMBOL(future_set_callback),
        SYMBOL(future_get_error),
        SYMBOL(future_get_int64),
        SYMBOL(future_get_value),
        SYMBOL(future_get_keyvalue_array),
        SYMBOL(create_database),
        SYMBOL(database_destroy),
        SYMBOL(database_set_option),
        SYMBOL(database_create_transaction),
        SYMBOL(transaction_destroy),
        SYMBOL(transaction_set_read_version),
        SYMBOL(transaction_get_read_version),
        SYMBOL(transaction_get),
        SYMBOL(transaction_get_range),
        SYMBOL(transaction_get_estimated_range_size_bytes),
        SYMBOL(transaction_set),
        SYMBOL(transaction_atomic_op),
        SYMBOL(transaction_clear),
        SYMBOL(transaction_clear_range),
        SYMBOL(transaction_add_conflict_range),
        SYMBOL(transaction_watch),
        SYMBOL(transaction_commit),
        SYMBOL(transaction_get_committed_version),
        SYMBOL(transaction_on_error),
};

static int load(struct fdb_api *api, const char **ret_path, struct err_text *text)
{
        const char *path = getenv("ASHLAR_FDB_LIB");
        void *handle, *symbol;

        if (!path || !*path)
                path = LIBRARY;
        handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!handle)
                return err_set(text, ENOPKG,
                               "cannot load FoundationDB's client library (%s): install the "
                               "package foundationdb-clients, or name the library in ASHLAR_FDB_LIB",
                               dlerror());
        for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
                symbol = dlsym(handle, symbols[i].name);
                if (!symbol) {
                        dlclose(handle);
                        return err_set(text, ENOPKG,
                                       "%s is no client library of FoundationDB 7.1 or later "
                                       "(it has no %s): install foundationdb-clients 7.1 or later",
                                       path, symbols[i].name);
                }
                /* POSIX lets a data pointer carry a function's address. */
                memcpy((char *)api + symbols[i].at, &symbol, sizeof(symbol));
        }
        *ret_path = path;
        return 0;
}

static void *run_network(void *arg)
{
        const struct fdb_api *api = arg;

        (void)api->run_network();
        return NULL;
}

/* The library must be stopped before the process exits. */
static void stop_network(void)
{
        if (getpid() != library.pid)
                return; /* a child of fork has no network thread */
        (void)library.api.stop_network();
        pthread_join(library.network, NULL);
}

static int start_network(struct fdb_api *api, struct err_text *text)
{
        fdb_error_t e = api->setup_network();
        int r;

        if (e)
                return err_set(text, EIO, "cannot set up FoundationDB's client: %s", api->get_error(e));
        r = thread_start(&library.network, run_network, api);
        if (r < 0)
                return err_set(text, -r, "cannot start a thread for FoundationDB's client: %s", err_str(r));
        library.pid = getpid();
        atexit(stop_network);
        return 0;
}

static int select_version(const struct fdb_api *api, const char *path, struct err_text *text)
{
        fdb_error_t e = api->select_api_version_impl(FDB_API_VERSION, FDB_API_VERSION);

        if (e == FDB_API_VERSION_NOT_SUPPORTED)
                return err_set(text, ENOPKG,
                               "%s is too old (API version %d, needed: %d): install "
                               "foundationdb-clients 7.1 or later",
                               path, api->get_max_api_version(), FDB_API_VERSION);
        if (e == FDB_API_VERSION_ALREADY_SET)
                return err_set(text, EIO,
                               "another part of this process has set up FoundationDB's client already");
        if (e)
                return err_set(text, EIO, "cannot use FoundationDB's client %s: %s", path, api->get_error(e));
        return 0;
}

static int set_up_locked(struct err_text *text)
{
        const char *path = LIBRARY;
        int r;

        lock_assert_held(&library.lock);
        r = load(&library.api, &path, text);
        if (r < 0)
                return r; /* may be tried again: the library has no state yet */
        r = select_version(&library.api, path, &library.why);
        if (r >= 0)
                r = start_network(&library.api, &library.why);
        library.state = r < 0 ? FAILED : RUNNING;
        library.err = r;
        return 0;
}

int fdb_library_get(const struct fdb_api **ret, struct err_text *text)
{
        LOCK_GUARD(&library.lock);
        if (library.state == NOT_LOADED) {
                int r = set_up_locked(text);

                if (r < 0)
                        return r;
        }
        if (library.state == FAILED) {
                if (text)
                        *text = library.why;
                return library.err;
        }
        if (library.pid != getpid())
                return err_set(text, EPERM,
                               "FoundationDB's client cannot be used after fork: open the "
                               "store in the process that uses it");
        *ret = &library.api;
        return 0;
}

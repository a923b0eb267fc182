/* SPDX-License-Identifier: MIT */
/* fdb: a store in a FoundationDB cluster. See internal.h for the parts.
 *
 * The client's own time and retry limits stay off: a commit that it gave up could still take place. Snapshots
 * are the strict ones (no causal_read_risky).
 */
#include "kv/fdb/internal.h"
#include "kv/fdb/library.h"
#include "kv/open.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* FoundationDB's limits. Transactions above 1 MB are allowed and make everybody else wait. */
#define VALUE_BYTES    100000u
#define KEY_BYTES      10000u
#define TXN_BYTES      10000000u
#define TXN_PLAN_BYTES 900000u
#define TXN_MS         5000u
#define CLEAR_KEYS     1000000u
#define RANGE_BYTES    80000u

#define CONNECT_MS_DEFAULT 10000u

/* What a cluster has free is in its status document only: large, and slow to make. So the size of this file
 * system is estimated by the storage servers, and the free space is a number that nobody reaches: a cluster
 * that runs full lets writers wait. */
#define FREE_BYTES   (UINT64_C(1) << 50)
#define SPACE_AGE_NS (UINT64_C(5) * 1000000000)

_Static_assert(KV_KEY_MAX + FDB_PREFIX_MAX <= KEY_BYTES, "the longest key fits behind the longest prefix");

/* ---- space --------------------------------------------------------------------------------------- */

static int estimate(struct fdb_store *s, uint64_t *ret)
{
        uint8_t end[FDB_PREFIX_MAX];
        size_t len = s->url.prefix_len;
        FDBTransaction *tr;
        FDBFuture *f;
        int64_t bytes;
        int r = fdb_error(s->api, s->api->database_create_transaction(s->db, &tr));

        if (r < 0)
                return r;
        /* The prefix ends with a byte of zero. */
        memcpy(end, s->url.prefix, len);
        end[len - 1]++;
        f = s->api->transaction_get_estimated_range_size_bytes(tr, s->url.prefix, (int)len, end, (int)len);
        r = fdb_wait(s, f, WAIT_CANCELLABLE);
        if (r == 0)
                r = fdb_error(s->api, s->api->future_get_int64(f, &bytes));
        if (r == 0)
                *ret = bytes > 0 ? (uint64_t)bytes : 0;
        s->api->future_destroy(f);
        s->api->transaction_destroy(tr);
        return r;
}

static int fdb_space(struct kv_store *store, struct kv_space *ret)
{
        struct fdb_store *s = (struct fdb_store *)store;
        uint64_t used = 0, now = fdb_now_ns();
        bool known;
        int r;

        pthread_mutex_lock(&s->lock);
        known = s->space_at_ns > 0 && now - s->space_at_ns < SPACE_AGE_NS;
        used = s->space.used_bytes;
        *ret = s->space;
        pthread_mutex_unlock(&s->lock);
        if (known)
                return 0;
        r = estimate(s, &used);
        /* An estimate is not worth trying again: the last one will do. */
        if (r < 0 && r != -ERR_CONFLICT && r != -ERR_RETRY)
                return r;
        *ret = (struct kv_space){ .total_bytes = used + FREE_BYTES,
                                  .used_bytes = used,
                                  .free_bytes = FREE_BYTES };
        pthread_mutex_lock(&s->lock);
        s->space = *ret;
        s->space_at_ns = now;
        pthread_mutex_unlock(&s->lock);
        return 0;
}

/* A commit is durable when it returns. */
static int fdb_sync(struct kv_store *s)
{
        (void)s;
        return 0;
}

/* ---- open and close ------------------------------------------------------------------------------ */

static void store_free(struct fdb_store *s)
{
        fdb_version_forget(s);
        if (s->db)
                s->api->database_destroy(s->db);
        pthread_mutex_destroy(&s->lock);
        pthread_cond_destroy(&s->quiet);
        fdb_url_clear(&s->url);
        free(s);
}

/* Lock held. */
static bool is_quiet(const struct fdb_store *s)
{
        return s->commits_alone == 0 && s->watches == 0 && !s->refreshing;
}

void fdb_quiet_and_unlock(struct fdb_store *s)
{
        bool last = s->left_behind && is_quiet(s);

        pthread_cond_broadcast(&s->quiet);
        pthread_mutex_unlock(&s->lock);
        if (last)
                store_free(s);
}

#define QUIET_POLL_NS 10000000

/* A commit that goes on alone was told to nobody as done: leaving it to itself loses nothing. What else is on
 * its way was cancelled, so that it ends soon whether the cluster is there or not. */
static int fdb_close(struct kv_store *store)
{
        struct fdb_store *s = (struct fdb_store *)store;
        bool gives_up = false, left_behind;

        fdb_version_stop(s);
        /* Rare and at the very end: looking again and again is good enough, and heeds deadline. */
        pthread_mutex_lock(&s->lock);
        while (!is_quiet(s) && !(gives_up && s->watches == 0 && !s->refreshing)) {
                pthread_mutex_unlock(&s->lock);
                gives_up = gives_up || s->given_up || deadline_check() < 0;
                nanosleep(&(struct timespec){ .tv_nsec = QUIET_POLL_NS }, NULL);
                pthread_mutex_lock(&s->lock);
        }
        left_behind = s->left_behind = !is_quiet(s); /* then the last one of those frees it */
        pthread_mutex_unlock(&s->lock);
        if (!left_behind)
                store_free(s);
        return 0;
}

static const struct kv_ops fdb_ops = {
        .name = "fdb",
        .close = fdb_close,
        .waiting_ns = fdb_waiting_ns,
        .give_up = fdb_give_up,
        .sync = fdb_sync,
        .space = fdb_space,
        .backoff = fdb_backoff,
        .begin = fdb_begin,
        .commit = fdb_commit,
        .end = fdb_end,
        .since = fdb_since,
        .get_start = fdb_get_start,
        .get_wait = fdb_get_wait,
        .range_start = fdb_range_start,
        .range_next = fdb_range_next,
        .range_end = fdb_range_end,
        .set = fdb_set,
        .set_reserve = fdb_set_reserve,
        .clear = fdb_clear,
        .clear_range = fdb_clear_range,
        .atomic = fdb_atomic,
        .conflict_range = fdb_conflict_range,
        .watch = fdb_watch,
        .unwatch = fdb_unwatch,
};

static int store_new(const struct fdb_api *api, struct fdb_store **ret)
{
        struct fdb_store *s = calloc(1, sizeof(*s));
        pthread_condattr_t monotonic;

        if (!s)
                return -ENOMEM;
        s->base.ops = &fdb_ops;
        s->base.limits = (struct kv_limits){
                .key_bytes = KV_KEY_MAX,
                .value_bytes = VALUE_BYTES,
                .txn_bytes = TXN_BYTES,
                .txn_plan_bytes = TXN_PLAN_BYTES,
                .txn_ms = TXN_MS,
                .clear_keys = CLEAR_KEYS,
                .unknown_results = true,
                .remote = true,
                .range_bytes = RANGE_BYTES,
                .optimistic = true,
        };
        s->api = api;
        pthread_mutex_init(&s->lock, NULL);
        list_init(&s->waiting);
        pthread_condattr_init(&monotonic);
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
        pthread_cond_init(&s->quiet, &monotonic);
        pthread_condattr_destroy(&monotonic);
        *ret = s;
        return 0;
}

static int check_file(const char *path, struct err_text *text)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd >= 0) {
                close(fd);
                return 0;
        }
        if (errno == ENOENT)
                return err_set(text, ENOENT,
                               "there is no cluster file %s: copy it from a machine of the "
                               "cluster, or name another one (fdb:FILE or FDB_CLUSTER_FILE)",
                               path);
        return err_set(text, errno, "cannot read the cluster file %s: %s", path, err_str(errno));
}

/* What to tell somebody whose cluster could not be used: WHY is the client's error. */
static int refuse(const struct fdb_store *s, fdb_error_t why, struct err_text *text)
{
        const char *file = s->url.cluster_file;

        switch (why) {
        case FDB_CONNECTION_STRING_INVALID:
                return err_set(text, EINVAL,
                               "%s is not a cluster file: it must hold one line like "
                               "name:id@ADDRESS:PORT",
                               file);
        case FDB_DATABASE_LOCKED:
                return err_set(text, EAGAIN,
                               "the cluster of %s is locked: an operator must unlock it "
                               "(fdbcli, unlock)",
                               file);
        case FDB_FILE_NOT_READABLE:
        case FDB_NO_CLUSTER_FILE:
                return err_set(text, EACCES, "cannot read the cluster file %s", file);
        default:
                return err_set(text, EIO, "cannot use the cluster of %s: %s", file, s->api->get_error(why));
        }
}

static int refuse_silence(const struct fdb_store *s, unsigned waited_ms, struct err_text *text)
{
        const char *version = s->api->get_client_version();

        return err_set(text, ERR_AWAY,
                       "the cluster of %s does not answer within %u s: look whether it runs "
                       "(fdbcli -C FILE --exec status) and is of the client's release (%.*s)",
                       s->url.cluster_file, (waited_ms + 999) / 1000, (int)strcspn(version, ","), version);
}

/* Asks for a version until there is an answer that means something: a client that has just found out what its
 * cluster speaks may want to be asked again. 0 and FoundationDB's error, or ERR_AWAY. */
static int ask(struct fdb_store *s, FDBTransaction *tr, fdb_error_t *ret)
{
        for (;;) {
                FDBFuture *f = s->api->transaction_get_read_version(tr);
                int r = fdb_wait(s, f, WAIT_TIMED);

                *ret = r == 0 ? s->api->future_get_error(f) : 0;
                s->api->future_destroy(f);
                if (r < 0 || *ret == FDB_DATABASE_LOCKED ||
                    !s->api->error_predicate(FDB_PREDICATE_RETRYABLE, *ret))
                        return r;
                f = s->api->transaction_on_error(tr, *ret);
                r = fdb_wait(s, f, WAIT_TIMED);
                s->api->future_destroy(f);
                if (r < 0)
                        return r;
        }
}

/* Whether the cluster answers at all: everything later waits for it as long as it takes. */
static int probe(struct fdb_store *s, unsigned ms, struct err_text *text)
{
        struct deadline *outer, deadline;
        FDBTransaction *tr;
        fdb_error_t e = s->api->database_create_transaction(s->db, &tr);
        int r;

        if (e)
                return refuse(s, e, text);
        outer = deadline_swap(NULL);
        deadline_begin(&deadline, ms);
        r = ask(s, tr, &e);
        deadline_end(&deadline);
        deadline_swap(outer);
        s->api->transaction_destroy(tr);
        if (r < 0)
                return refuse_silence(s, ms, text);
        return e ? refuse(s, e, text) : 0;
}

static int connect_cluster(struct fdb_store *s, unsigned ms, struct err_text *text)
{
        /* A 64-bit little-endian number, as options want it. */
        const uint8_t watches[8] = {
                FDB_WATCHES_MAX & 0xff,
                FDB_WATCHES_MAX >> 8 & 0xff,
                FDB_WATCHES_MAX >> 16 & 0xff,
        };
        fdb_error_t e = s->api->create_database(s->url.cluster_file, &s->db);

        if (!e)
                e = s->api->database_set_option(s->db, FDB_DB_OPTION_MAX_WATCHES, watches, sizeof(watches));
        if (e)
                return refuse(s, e, text);
        return probe(s, ms, text);
}

int kv_fdb_open(const char *rest, const struct kv_open_opts *opts, struct kv_store **ret,
                struct err_text *text)
{
        const struct fdb_api *api;
        struct fdb_url url;
        struct fdb_store *s;
        int r = fdb_url_parse(rest, &url, text);

        if (r < 0)
                return r;
        r = check_file(url.cluster_file, text);
        if (r >= 0)
                r = fdb_library_get(&api, text);
        if (r >= 0) {
                r = store_new(api, &s);
                if (r < 0)
                        err_set(text, -r, "out of memory");
        }
        if (r < 0) {
                fdb_url_clear(&url);
                return r;
        }
        s->url = url;
        s->rdonly = opts && (opts->flags & KV_OPEN_RDONLY);
        r = connect_cluster(s, opts && opts->connect_ms ? opts->connect_ms : CONNECT_MS_DEFAULT, text);
        if (r < 0) {
                store_free(s);
                return r;
        }
        *ret = &s->base;
        return 0;
}

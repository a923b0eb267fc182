/* SPDX-License-Identifier: MIT */
/* Opening, closing and the space of a store in a FoundationDB cluster. internal.h shows the parts.
 *
 * The client's own time and retry limits stay off: a commit that it gave up could still happen. Snapshots
 * are strict (no causal_read_risky).
 */
#include "base/thread.h"
#include "kv/fdb/internal.h"
#include "kv/fdb/library.h"
#include "kv/open.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* FoundationDB's limits. Transactions above 1 MB are allowed, but delay all others. */
#define VALUE_BYTES    100000u
#define KEY_BYTES      10000u
#define TXN_BYTES      10000000u
#define TXN_PLAN_BYTES 900000u
#define TXN_MS         5000u
#define CLEAR_KEYS     1000000u
#define RANGE_BYTES    80000u

#define CONNECT_MS_DEFAULT 10000u

/* Free space is only in the cluster's status document, which is large and slow to make. So the storage
 * servers estimate the size of this file system, and a constant stands for the free space: a cluster that is
 * full makes writers wait. */
#define FREE_BYTES   (UINT64_C(1) << 50)
#define SPACE_AGE_NS (UINT64_C(5) * 1000000000)

#define CLOSE_POLL_NS (UINT64_C(10) * 1000000)

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

/* *RET is the last estimate; whether it is new enough. */
static bool space_is_cached(struct fdb_store *s, struct kv_space *ret)
{
        LOCK_GUARD(&s->lock);
        *ret = s->space;
        return s->space_at_ns > 0 && thread_now_ns() - s->space_at_ns < SPACE_AGE_NS;
}

static int fdb_space(struct kv_store *store, struct kv_space *ret)
{
        struct fdb_store *s = (struct fdb_store *)store;
        struct kv_space space;
        int r;

        if (space_is_cached(s, ret))
                return 0;
        r = estimate(s, &ret->used_bytes);
        /* A transient failure is not worth another attempt: the last estimate is used. */
        if (r < 0 && r != -ERR_CONFLICT && r != -ERR_RETRY)
                return r;
        space = (struct kv_space){ .total_bytes = ret->used_bytes + FREE_BYTES,
                                   .used_bytes = ret->used_bytes,
                                   .free_bytes = FREE_BYTES };
        *ret = space;
        LOCK_GUARD(&s->lock);
        s->space = space;
        s->space_at_ns = thread_now_ns();
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
        fdb_version_free(s);
        if (s->db)
                s->api->database_destroy(s->db);
        lock_destroy(&s->lock);
        pthread_cond_destroy(&s->changed);
        fdb_url_clear(&s->url);
        free(s);
}

static bool is_idle_locked(const struct fdb_store *s)
{
        lock_assert_held(&s->lock);
        return s->detached_commits == 0 && s->watches == 0 && !s->versions.fetching;
}

void fdb_release_idle_locked(struct fdb_store *s)
{
        bool last = s->abandoned && is_idle_locked(s);

        pthread_cond_broadcast(&s->changed);
        lock_release(&s->lock);
        if (last)
                store_free(s);
}

/* Waits until no callback can come any more, or, after fdb_give_up or the deadline, until only detached
 * commits are left. */
static bool wait_until_idle(struct fdb_store *s)
{
        bool gives_up = false;

        LOCK_GUARD(&s->lock);
        while (!is_idle_locked(s) && !(gives_up && s->watches == 0 && !s->versions.fetching)) {
                /* Polls, because a cancelled deadline does not signal the condition. */
                struct timespec until = thread_deadline(CLOSE_POLL_NS);

                lock_wait_until(&s->lock, &s->changed, &until);
                gives_up = gives_up || s->given_up || deadline_check() < 0;
        }
        s->abandoned = !is_idle_locked(s);
        return !s->abandoned;
}

/* A detached commit was never reported as done, so that leaving it alone loses nothing that was acknowledged.
 * All other requests are cancelled and end soon, with or without the cluster. */
static int fdb_close(struct kv_store *store)
{
        struct fdb_store *s = (struct fdb_store *)store;

        fdb_version_cancel(s);
        if (wait_until_idle(s))
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
        lock_init(&s->lock);
        list_init(&s->waiting);
        thread_cond_init(&s->changed);
        *ret = s;
        return 0;
}

static int check_file(const char *path, struct err_text *text)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd >= 0)
                return 0;
        if (errno == ENOENT)
                return err_set(text, ENOENT,
                               "there is no cluster file %s: copy it from a machine of the "
                               "cluster, or name another one (fdb:FILE or FDB_CLUSTER_FILE)",
                               path);
        return err_set(text, errno, "cannot read the cluster file %s: %s", path, err_str(errno));
}

/* Describes why the cluster cannot be used; WHY is the client's error. */
static int refused(const struct fdb_store *s, fdb_error_t why, struct err_text *text)
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

static int no_answer(const struct fdb_store *s, unsigned waited_ms, struct err_text *text)
{
        const char *version = s->api->get_client_version();

        return err_set(text, ERR_AWAY,
                       "the cluster of %s does not answer within %u s: check that it runs "
                       "(fdbcli -C FILE --exec status) and is of the client's release (%.*s)",
                       s->url.cluster_file, (waited_ms + 999) / 1000, (int)strcspn(version, ","), version);
}

/* Requests a read version until the answer is final: a client that has just learned its cluster's protocol
 * may ask for another attempt. 0 and FoundationDB's error in *RET, or ERR_AWAY. */
static int request_version(struct fdb_store *s, FDBTransaction *tr, fdb_error_t *ret)
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

/* Checks that the cluster answers: all later calls wait for it without a limit of their own. */
static int check_answer(struct fdb_store *s, unsigned ms, struct err_text *text)
{
        struct deadline *outer, deadline;
        FDBTransaction *tr;
        fdb_error_t e = s->api->database_create_transaction(s->db, &tr);
        int r;

        if (e)
                return refused(s, e, text);
        outer = deadline_swap(NULL);
        deadline_begin(&deadline, ms);
        r = request_version(s, tr, &e);
        deadline_end(&deadline);
        deadline_swap(outer);
        s->api->transaction_destroy(tr);
        if (r < 0)
                return no_answer(s, ms, text);
        return e ? refused(s, e, text) : 0;
}

static int connect_cluster(struct fdb_store *s, unsigned ms, struct err_text *text)
{
        /* Numbers in options are 64 bits, little-endian. */
        const uint8_t watches[8] = {
                FDB_WATCHES_MAX & 0xff,
                FDB_WATCHES_MAX >> 8 & 0xff,
                FDB_WATCHES_MAX >> 16 & 0xff,
        };
        fdb_error_t e = s->api->create_database(s->url.cluster_file, &s->db);

        if (!e)
                e = s->api->database_set_option(s->db, FDB_DB_OPTION_MAX_WATCHES, watches, sizeof(watches));
        if (e)
                return refused(s, e, text);
        return check_answer(s, ms, text);
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

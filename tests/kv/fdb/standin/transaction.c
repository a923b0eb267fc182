/* SPDX-License-Identifier: MIT */
/* Transactions, each of them one of the store in memory. With their prefix keys may be longer than the
 * contract allows, so calls with keys bypass the checks of front.c. */
#include "internal.h"

#include <stdlib.h>

#define TXN_BYTES          10000000u
#define CHUNK_BYTES        80000u
#define WATCH_CANCELLED    1029
#define USED_DURING_COMMIT 2017

struct FDB_transaction {
        _Atomic unsigned refs;
        FDBDatabase *db;
        struct lock lock;
        struct kv_txn *txn; /* NULL: no read version yet */
        size_t bytes;
        bool writes, committing, too_old;
        int64_t committed; /* the commit version; -1: none */
};

static const struct kv_ops *ops_of(const FDBTransaction *t)
{
        return t->db->cluster->store->ops;
}

static fdb_error_t code_of(int r)
{
        return r >= 0 || r == -ENOENT ? 0
               : r == -ERR_CONFLICT   ? FDB_TRANSACTION_TOO_OLD
               : r == -EMFILE         ? FDB_TOO_MANY_WATCHES
                                      : 1500;
}

/* The error of a read, or of fetching a version; 0: none. */
static fdb_error_t read_fault(void)
{
        struct standin_faults f = faults();

        return happens(f.future_version_ppm) ? 1009
               : happens(f.behind_ppm)       ? 1037
               : happens(f.throttled_ppm)    ? 1213
               : happens(f.too_old_ppm)      ? FDB_TRANSACTION_TOO_OLD
                                             : 0;
}

static void ensure_version_locked(FDBTransaction *t)
{
        lock_assert_held(&t->lock);
        if (t->txn)
                return;
        if (kv_begin(t->db->cluster->store, KV_WRITE, &t->txn) < 0)
                abort();
        lock_acquire(&standin.lock);
        standin.counts.versions_asked++;
        lock_release(&standin.lock);
}

static void reset_locked(FDBTransaction *t)
{
        lock_assert_held(&t->lock);
        kv_end(t->txn);
        t->txn = NULL;
        t->bytes = 0;
        t->writes = t->too_old = false;
        t->committed = -1;
}

EXPORT fdb_error_t fdb_database_create_transaction(FDBDatabase *d, FDBTransaction **out)
{
        FDBTransaction *t = calloc(1, sizeof(*t));

        t->refs = 1;
        t->db = d;
        t->committed = -1;
        lock_init(&t->lock);
        lock_acquire(&standin.lock);
        standin.counts.transactions++;
        lock_release(&standin.lock);
        *out = t;
        return 0;
}

void transaction_unref(FDBTransaction *t)
{
        if (atomic_fetch_sub(&t->refs, 1) > 1)
                return;
        kv_end(t->txn);
        lock_destroy(&t->lock);
        free(t);
        lock_acquire(&standin.lock);
        standin.counts.transactions--;
        lock_release(&standin.lock);
}

EXPORT void fdb_transaction_destroy(FDBTransaction *t)
{
        transaction_unref(t);
}

static struct slice key_of(const uint8_t *key, int length)
{
        return slice_of(key, (size_t)length);
}

/* ---- reading ------------------------------------------------------------------------------------- */

EXPORT void fdb_transaction_set_read_version(FDBTransaction *t, int64_t version)
{
        LOCK_GUARD(&t->lock);
        if (t->txn)
                abort();
        t->txn = begin_at(t->db->cluster, version);
        t->too_old = !t->txn; /* reads report that, and their results do not matter */
}

EXPORT FDBFuture *fdb_transaction_get_read_version(FDBTransaction *t)
{
        FDBFuture *f = future_new();
        fdb_error_t e = read_fault();
        bool locked;

        lock_acquire(&t->lock);
        ensure_version_locked(t);
        f->number = version_keep(t->db->cluster, t->txn);
        lock_release(&t->lock);
        lock_acquire(&standin.lock);
        locked = standin.locked;
        lock_release(&standin.lock);
        return future_answer(f, locked ? FDB_DATABASE_LOCKED : e);
}

EXPORT FDBFuture *fdb_transaction_get(FDBTransaction *t, const uint8_t *key, int length, fdb_bool_t snapshot)
{
        FDBFuture *f = future_new();
        struct kv_read r = { .key = key_of(key, length), .flags = snapshot ? KV_SNAPSHOT : 0 };
        fdb_error_t e = read_fault();

        lock_acquire(&standin.lock);
        standin.counts.keys_asked++;
        lock_release(&standin.lock);
        lock_acquire(&t->lock);
        if (t->committing) {
                lock_release(&t->lock);
                return future_answer(f, USED_DURING_COMMIT);
        }
        ensure_version_locked(t);
        ops_of(t)->get_start(t->txn, &r);
        if (r.err == 0) {
                f->present = true;
                f->data = malloc(r.value.len + 1);
                f->data_len = (int)r.value.len;
                if (r.value.len > 0)
                        memcpy(f->data, r.value.data, r.value.len);
        }
        e = t->too_old ? FDB_TRANSACTION_TOO_OLD : e;
        lock_release(&t->lock);
        return future_answer(f, e ? e : code_of(r.err));
}

static size_t chunk_bytes(int mode, int iteration)
{
        size_t bytes = 4096;

        if (mode != FDB_STREAMING_MODE_ITERATOR)
                return CHUNK_BYTES;
        for (int i = 1; i < iteration && bytes < CHUNK_BYTES; i++)
                bytes += bytes / 2;
        return bytes < CHUNK_BYTES ? bytes : CHUNK_BYTES;
}

/* Copies pairs to F, up to LIMIT of them or BYTES. */
static int collect(struct kv_range *r, const struct kv_ops *ops, FDBFuture *f, int limit, size_t bytes)
{
        size_t used = 0, cap = 0, cap_kv = 0;
        struct slice key, value;
        int more;

        while ((more = ops->range_next(r, &key, &value)) > 0) {
                r->returned++;
                if ((size_t)f->kv_n == cap_kv) {
                        cap_kv = cap_kv ? 2 * cap_kv : 8;
                        f->kv = realloc(f->kv, cap_kv * sizeof(*f->kv));
                }
                if (used + key.len + value.len > cap) {
                        cap = 2 * (used + key.len + value.len);
                        f->data = realloc(f->data, cap);
                }
                /* The pointers are set at the end, because realloc may move the data. */
                f->kv[f->kv_n++] = (FDBKeyValue){ NULL, (int)key.len, NULL, (int)value.len };
                memcpy(f->data + used, key.data, key.len);
                if (value.len > 0)
                        memcpy(f->data + used + key.len, value.data, value.len);
                used += key.len + value.len;
                if (f->kv_n == limit || used >= bytes) {
                        f->more = true;
                        break;
                }
        }
        used = 0;
        for (int i = 0; i < f->kv_n; i++) {
                f->kv[i].key = f->data + used;
                f->kv[i].value = f->kv[i].key + f->kv[i].key_length;
                used += (size_t)f->kv[i].key_length + (size_t)f->kv[i].value_length;
        }
        return more;
}

EXPORT FDBFuture *fdb_transaction_get_range(FDBTransaction *t, const uint8_t *begin, int begin_length,
                                            fdb_bool_t begin_or_equal, int begin_offset, const uint8_t *end,
                                            int end_length, fdb_bool_t end_or_equal, int end_offset,
                                            int limit, int target_bytes, int mode, int iteration,
                                            fdb_bool_t snapshot, fdb_bool_t reverse)
{
        FDBFuture *f = future_new();
        uint8_t *after = calloc(1, (size_t)begin_length + 1);
        struct kv_range r = {
                .opts = { .end = key_of(end, end_length), .reverse = reverse, .snapshot = snapshot },
        };
        fdb_error_t e = read_fault();
        int got = 0;

        (void)target_bytes;
        if (begin_offset != 1 || end_offset != 1 || end_or_equal)
                abort(); /* other key selectors are not used */
        memcpy(after, begin, (size_t)begin_length);
        r.opts.begin = slice_of(after, (size_t)begin_length + (begin_or_equal ? 1 : 0));
        lock_acquire(&standin.lock);
        standin.counts.ranges_asked++;
        lock_release(&standin.lock);
        if (slice_cmp(r.opts.begin, r.opts.end) < 0) {
                lock_acquire(&t->lock);
                ensure_version_locked(t);
                r.txn = t->txn;
                ops_of(t)->range_start(t->txn, &r);
                got = collect(&r, ops_of(t), f, limit, chunk_bytes(mode, iteration));
                ops_of(t)->range_end(&r);
                e = t->too_old ? FDB_TRANSACTION_TOO_OLD : e;
                lock_release(&t->lock);
        }
        free(after);
        return future_answer(f, e ? e : code_of(got));
}

EXPORT FDBFuture *fdb_transaction_get_estimated_range_size_bytes(FDBTransaction *t, const uint8_t *begin,
                                                                 int begin_length, const uint8_t *end,
                                                                 int end_length)
{
        FDBFuture *f = future_new();
        struct kv_space space = { 0 };

        (void)begin, (void)begin_length, (void)end, (void)end_length;
        kv_space(t->db->cluster->store, &space);
        f->number = (int64_t)space.used_bytes;
        return future_answer(f, read_fault());
}

/* ---- writing ------------------------------------------------------------------------------------- */

static void write_begin(FDBTransaction *t, size_t bytes)
{
        lock_acquire(&t->lock);
        ensure_version_locked(t);
        t->writes = true;
        t->bytes += bytes;
}

static void write_end(FDBTransaction *t, int r)
{
        if (r < 0)
                abort();
        lock_release(&t->lock);
}

EXPORT void fdb_transaction_set(FDBTransaction *t, const uint8_t *key, int length, const uint8_t *value,
                                int value_length)
{
        write_begin(t, (size_t)(length + value_length));
        write_end(t, ops_of(t)->set(t->txn, key_of(key, length), key_of(value, value_length)));
}

EXPORT void fdb_transaction_atomic_op(FDBTransaction *t, const uint8_t *key, int length, const uint8_t *param,
                                      int param_length, int operation)
{
        enum kv_atomic_op op = operation == FDB_MUTATION_ADD ? KV_ADD : KV_BYTE_MAX;

        if (operation != FDB_MUTATION_ADD && operation != FDB_MUTATION_BYTE_MAX)
                abort();
        write_begin(t, (size_t)(length + param_length));
        write_end(t, ops_of(t)->atomic(t->txn, op, key_of(key, length), key_of(param, param_length)));
}

EXPORT void fdb_transaction_clear(FDBTransaction *t, const uint8_t *key, int length)
{
        write_begin(t, (size_t)length);
        write_end(t, ops_of(t)->clear(t->txn, key_of(key, length)));
}

EXPORT void fdb_transaction_clear_range(FDBTransaction *t, const uint8_t *begin, int begin_length,
                                        const uint8_t *end, int end_length)
{
        write_begin(t, (size_t)(begin_length + end_length));
        write_end(t, ops_of(t)->clear_range(t->txn, key_of(begin, begin_length), key_of(end, end_length)));
}

EXPORT fdb_error_t fdb_transaction_add_conflict_range(FDBTransaction *t, const uint8_t *begin,
                                                      int begin_length, const uint8_t *end, int end_length,
                                                      int type)
{
        enum kv_conflict kind = type == FDB_CONFLICT_RANGE_READ ? KV_CONFLICT_READ : KV_CONFLICT_WRITE;

        LOCK_GUARD(&t->lock);
        ensure_version_locked(t);
        t->writes |= kind == KV_CONFLICT_WRITE;
        return code_of(ops_of(t)->conflict_range(t->txn, kind, key_of(begin, begin_length),
                                                 key_of(end, end_length)));
}

/* ---- commit -------------------------------------------------------------------------------------- */

/* Commits TXN in the store and ends it. */
static fdb_error_t commit_in_store(struct cluster *c, struct kv_txn *txn, bool writes, int64_t *ret_version)
{
        int r = kv_commit(txn);

        kv_end(txn);
        if (r == 0 && writes) {
                *ret_version = version_keep(c, NULL); /* only this thread commits */
                lock_acquire(&standin.lock);
                standin.counts.landed++;
                lock_release(&standin.lock);
        }
        return r == -ERR_CONFLICT ? FDB_NOT_COMMITTED : code_of(r);
}

static void commit_late(FDBFuture *f)
{
        int64_t version;

        commit_in_store(f->cluster, f->late, true, &version);
        f->late = NULL;
}

/* The error that is reported for this commit; 0: that of the store. *RET_DONE: it happens now; *RET_LATE:
 * it happens after the report. */
static fdb_error_t commit_fault(bool *ret_done, bool *ret_late)
{
        struct standin_faults f = faults();
        int next;

        lock_acquire(&standin.lock);
        next = standin.faults.next_commit;
        standin.faults.next_commit = 0;
        lock_release(&standin.lock);
        *ret_late = false;
        *ret_done = next == 1021 || next == 1039;
        if (next)
                return next;
        if (happens(f.conflict_ppm))
                return FDB_NOT_COMMITTED;
        if (happens(f.too_old_ppm))
                return FDB_TRANSACTION_TOO_OLD;
        if (happens(f.unknown_not_done_ppm))
                return 1021;
        if (happens(f.timed_out_ppm) || happens(f.cancelled_ppm)) {
                *ret_late = random_below(3) > 0;
                return random_below(2) ? FDB_TRANSACTION_TIMED_OUT : FDB_TRANSACTION_CANCELLED;
        }
        *ret_done = true;
        return happens(f.unknown_done_ppm) ? 1021 : 0;
}

static void do_commit(FDBFuture *f)
{
        FDBTransaction *t = f->tr;
        bool done = true, late = false;
        fdb_error_t e = 0, landed = 0;

        lock_acquire(&t->lock);
        ensure_version_locked(t);
        if (t->bytes > TXN_BYTES || t->too_old) {
                e = t->too_old ? FDB_TRANSACTION_TOO_OLD : FDB_TRANSACTION_TOO_LARGE;
                done = false;
        } else if (t->writes) {
                e = commit_fault(&done, &late);
        }
        if (done) {
                landed = commit_in_store(t->db->cluster, t->txn, t->writes, &t->committed);
                t->txn = NULL;
        } else if (late) {
                f->late = t->txn;
                f->cluster = t->db->cluster;
                t->txn = NULL;
                f->act = commit_late;
                future_post(f, random_below(3000), false);
        } else {
                kv_end(t->txn);
                t->txn = NULL;
        }
        t->committing = false;
        lock_release(&t->lock);
        future_finish(f, e ? e : landed);
}

EXPORT FDBFuture *fdb_transaction_commit(FDBTransaction *t)
{
        struct standin_faults now = faults();
        FDBFuture *f = future_new();

        lock_acquire(&t->lock);
        t->committing = true;
        lock_release(&t->lock);
        atomic_fetch_add(&t->refs, 1);
        f->tr = t;
        f->act = do_commit;
        future_post(f, now.commit_us + (happens(now.slow_ppm) ? now.slow_us : random_below(60)), false);
        return f;
}

EXPORT fdb_error_t fdb_transaction_get_committed_version(FDBTransaction *t, int64_t *out)
{
        LOCK_GUARD(&t->lock);
        *out = t->committed;
        return 0;
}

EXPORT FDBFuture *fdb_transaction_on_error(FDBTransaction *t, fdb_error_t error)
{
        FDBFuture *f = future_new();

        if (!fdb_error_predicate(50000, error))
                return future_answer(f, error);
        lock_acquire(&t->lock);
        reset_locked(t);
        lock_release(&t->lock);
        return future_answer(f, 0);
}

/* ---- watches ------------------------------------------------------------------------------------- */

/* Called in a thread of the store in memory, without its locks. */
static void on_watch(int err, void *arg)
{
        FDBFuture *f = arg;
        bool mine;

        lock_acquire(&standin.lock);
        mine = !f->watch_done;
        f->watch_done = true;
        f->err = err == -ECANCELED ? FDB_TRANSACTION_CANCELLED : 0;
        lock_release(&standin.lock);
        future_post(f, random_below(50), false);
        if (mine)
                future_unref(f); /* the watch's reference */
}

static void break_watch(FDBFuture *f)
{
        future_finish(f, WATCH_CANCELLED);
}

EXPORT FDBFuture *fdb_transaction_watch(FDBTransaction *t, const uint8_t *key, int length)
{
        struct standin_faults now = faults();
        int64_t max = now.watches_max > 0 ? now.watches_max : t->db->max_watches;
        FDBFuture *f = future_new();
        int r;

        f->watch_db = t->db;
        if (atomic_fetch_add(&t->db->watches, 1) >= max) {
                atomic_fetch_sub(&t->db->watches, 1);
                return future_answer(f, FDB_TOO_MANY_WATCHES);
        }
        lock_acquire(&standin.lock);
        f->is_watch = true;
        standin.counts.watches++;
        f->refs++; /* the watch's, until it fires */
        lock_release(&standin.lock);
        lock_acquire(&t->lock);
        ensure_version_locked(t);
        r = ops_of(t)->watch(t->txn, key_of(key, length), on_watch, f, &f->watch);
        if (r >= 0)
                f->watch->store = t->db->cluster->store; /* as front.c does */
        lock_release(&t->lock);
        if (r < 0) {
                future_unref(f);
                return future_answer(f, code_of(r));
        }
        if (happens(now.watch_broken_ppm)) {
                f->act = break_watch;
                future_post(f, random_below(5000), false);
                f->act = NULL;
        }
        return f;
}

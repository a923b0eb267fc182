/* SPDX-License-Identifier: MIT */
/* Begin, commit, end. */
#include "base/thread.h"
#include "kv/lmdb/doorbell.h"
#include "kv/lmdb/internal.h"

#include <errno.h>

/* How often a writer removes killed readers from LMDB's table: their snapshots keep pages from being
 * reused. */
#define READERS_CHECK_NS (UINT64_C(10) * 1000000000)

static void check_readers_locked(struct lmdb_store *s)
{
        uint64_t now_ns = thread_now_ns();
        int dead;

        lock_assert_held(&s->write_lock);
        if (now_ns - s->readers_checked_ns < READERS_CHECK_NS)
                return;
        s->readers_checked_ns = now_ns;
        mdb_reader_check(s->env, &dead);
}

static int writer_begin_locked(struct lmdb_store *s)
{
        struct lmdb_txn *t = &s->writer;
        int r, rc;

        lock_assert_held(&s->write_lock);
        for (;;) {
                r = lmdb_env_reopen_locked(s);
                if (r < 0)
                        return r;
                check_readers_locked(s);
                rc = mdb_txn_begin(s->env, NULL, 0, &t->txn);
                if (rc == 0)
                        break;
                if (rc != MDB_PANIC && rc != MDB_MAP_RESIZED)
                        return lmdb_error(rc);
                atomic_store(&s->reopen_needed, true);
        }
        rc = mdb_cursor_open(t->txn, LMDB_DBI, &t->cursor);
        if (rc != 0) {
                mdb_txn_abort(t->txn);
                t->txn = NULL;
                return lmdb_error(rc);
        }
        t->err = 0;
        t->returned_n = 0;
        t->number = mdb_txn_id(t->txn);
        lmdb_space_update_list(s, t->txn);
        return 0;
}

static int writer_begin(struct lmdb_store *s)
{
        int r;

        if (s->rdonly)
                return -EROFS;
        lock_acquire(&s->write_lock); /* until writer_end */
        r = writer_begin_locked(s);
        if (r < 0)
                lock_release(&s->write_lock);
        return r;
}

/* Returns whether the transaction was written. */
static bool writer_end(struct lmdb_store *s)
{
        struct lmdb_txn *t = &s->writer;
        bool written = t->txn == NULL && t->err == 0;

        lmdb_ranges_free(t);
        if (t->txn)
                mdb_txn_abort(t->txn); /* frees the cursor */
        t->txn = NULL;
        t->cursor = NULL;
        lock_release(&s->write_lock);
        return written;
}

int lmdb_begin(struct kv_store *base, unsigned flags, struct kv_txn **ret)
{
        struct lmdb_store *s = lmdb_of(base);
        struct lmdb_txn *t = &s->writer;
        int r = flags & KV_WRITE ? writer_begin(s) : lmdb_reader_begin(s, &t);

        if (r < 0)
                return r;
        *ret = &t->base;
        return 0;
}

/* After a failed commit: finds out whether the environment is unusable because its header could not be
 * written. */
static void probe_env(struct lmdb_store *s)
{
        MDB_txn *probe;
        int rc = mdb_txn_begin(s->env, NULL, 0, &probe);

        if (rc == 0)
                mdb_txn_abort(probe);
        else
                atomic_store(&s->reopen_needed, true);
}

int lmdb_commit(struct kv_txn *base)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        struct lmdb_store *s = lmdb_of(base->store);
        int r, rc;

        if (!t->write)
                return 0;
        if (t->err < 0)
                return t->err;
        if (base->written_bytes > 0 && !(base->flags & KV_RESERVE)) {
                r = lmdb_reserve_own(t);
                if (r < 0)
                        return r;
        }
        rc = mdb_txn_commit(t->txn);
        t->txn = NULL;
        t->cursor = NULL;
        if (rc != 0) {
                probe_env(s);
                t->err = lmdb_error(rc);
                /* LMDB reports EIO for a write that was cut short, which mostly means a full disk. */
                if (t->err == -EIO && lmdb_disk_is_full(s))
                        t->err = -ENOSPC;
                return t->err;
        }
        lmdb_space_update(s);
        if (base->written_bytes > 0)
                lmdb_doorbell_ring(s->doorbell);
        return 0;
}

void lmdb_end(struct kv_txn *base)
{
        struct lmdb_txn *t = lmdb_txn_of(base);
        struct lmdb_store *s = lmdb_of(base->store);
        struct lmdb_watch *watches = t->watches;
        bool committed = base->committed;
        uint64_t snapshot = t->write ? t->number : mdb_txn_id(t->txn);

        t->watches = NULL;
        if (!t->write)
                lmdb_reader_end(s, t);
        else if (!writer_end(s))
                committed = false;
        if (watches)
                lmdb_watch_settle(s, watches, committed, snapshot);
}

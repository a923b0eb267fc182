/* SPDX-License-Identifier: MIT */
#include "kv/lmdb/internal.h"

#include <errno.h>

/* Free pages inside the file are counted up to a multiple of what is needed, and at least this many. */
#define COUNT_PAGES_MIN 16384u

/* The run that LMDB is made to look for (merge_list_records): it reads 60 times as many records for it. */
#define MERGE_RUN_PAGES 16u

/* Pages that a small transaction takes at most. Transactions that free space must leave enough for two of
 * these, which make usable what they freed (make_freed_usable). */
static uint64_t small_commit_pages(const struct lmdb_store *s)
{
        return 2 * atomic_load(&s->depth) + 2 * atomic_load(&s->list_tree_pages) + 12;
}

static uint64_t take(uint64_t *from, uint64_t n)
{
        uint64_t taken = n < *from ? n : *from;

        *from -= taken;
        return taken;
}

/* lmdb_pages_fit, if RESERVE pages must remain. A quarter of the reserve is beyond the end of the file,
 * where it has runs. */
static bool fits_beside_reserve(const struct lmdb_pages *p, uint64_t end, struct lmdb_free f,
                                uint64_t reserve)
{
        reserve -= take(&end, reserve / 4);
        reserve -= take(&f.pages, reserve);
        if (take(&end, reserve) < reserve)
                return false;
        return lmdb_pages_fit(p, end, &f);
}

/* Counts the free pages inside the file that LMDB is certain to use, up to several times PAGES. The count is
 * valid until the next commit, so it is kept. */
static int count_usable(struct lmdb_store *s, uint64_t pages, struct lmdb_free *ret)
{
        struct lmdb_txn *t;
        uint64_t number;
        int r = lmdb_reader_begin(s, &t);

        if (r < 0)
                return r;
        number = mdb_txn_id(t->txn);
        lock_acquire(&s->space_lock);
        if (s->counted_number != number || s->counted_for < pages) {
                pages = 2 * pages + COUNT_PAGES_MIN;
                lmdb_space_update_list(s, t->txn);
                r = lmdb_free_count(s, t, 2 * pages, &s->counted);
                s->counted_number = r < 0 ? 0 : number;
                s->counted_for = pages;
        }
        *ret = s->counted;
        lock_release(&s->space_lock);
        lmdb_reader_end(s, t);
        return r;
}

/* Whether NEED fits now, if RESERVE pages must remain: 0, 1 or an error. With COUNT free pages inside the
 * file are counted as well, and *RET_FRAGMENTED is set as in struct lmdb_free. */
static int fits_now(struct lmdb_store *s, const struct kv_need *need, uint64_t reserve, bool count,
                    bool *ret_fragmented)
{
        uint64_t used_end, allocated_end, end;
        struct lmdb_free f = { .pages = 0 };
        struct lmdb_pages p;
        int r;

        lmdb_space_update(s); /* other processes write too */
        used_end = atomic_load(&s->used_end);
        allocated_end = atomic_load(&s->allocated_end);
        end = allocated_end > used_end ? (allocated_end - used_end) / s->page_bytes : 0;
        lmdb_pages_needed(s, need, &p);
        if (!count)
                return fits_beside_reserve(&p, end, f, reserve);
        r = count_usable(s, lmdb_pages_total(&p) + reserve, &f);
        if (r < 0)
                return r;
        *ret_fragmented = f.fragmented;
        return fits_beside_reserve(&p, end, f, reserve);
}

/* Merges short records of LMDB's list of free pages, which many small transactions leave and among which it
 * would miss runs: looking for a run makes LMDB read many records, and its commit writes them back as a few
 * long ones. */
static int merge_list_records(struct lmdb_store *s, MDB_txn *txn)
{
        static const uint8_t name[] = { 0, 0, 'g' };
        MDB_val key = { .mv_data = (void *)name, .mv_size = sizeof(name) };
        MDB_val value = { .mv_size = MERGE_RUN_PAGES * s->page_bytes - 16 };
        uint64_t used_end = atomic_load(&s->used_end), allocated_end = atomic_load(&s->allocated_end);
        int rc;

        /* Without such a run LMDB takes one from the end of the file. */
        if (allocated_end < used_end + 4 * MERGE_RUN_PAGES * s->page_bytes)
                return 0;
        rc = mdb_put(txn, LMDB_DBI, &key, &value, MDB_RESERVE);
        return rc == 0 ? mdb_del(txn, LMDB_DBI, &key, NULL) : rc;
}

static int commit_unchanged(struct lmdb_store *s, bool merge)
{
        _cleanup_txn_ struct kv_txn *t = NULL;
        int r = kv_begin(&s->base, KV_WRITE | KV_RESERVE, &t);

        if (r < 0)
                return r;
        r = lmdb_error(lmdb_marker_touch(lmdb_txn_of(t)->txn));
        if (r < 0)
                return r;
        if (merge) {
                r = lmdb_error(merge_list_records(s, lmdb_txn_of(t)->txn));
                if (r < 0)
                        return r;
        }
        return kv_commit(t);
}

/* Makes usable what the last transactions freed, as far as no reader needs it: LMDB uses pages only two
 * transactions after the one that freed them. */
static int make_freed_usable(struct lmdb_store *s, bool merge)
{
        int r;

        if (atomic_load(&s->number) == atomic_load(&s->settled_number))
                return 0;
        r = commit_unchanged(s, false);
        if (r < 0)
                return r;
        r = commit_unchanged(s, merge);
        if (r < 0)
                return r;
        atomic_store(&s->settled_number, atomic_load(&s->number));
        return 0;
}

/* IN_WRITER: the caller is the writing transaction, so that no other one can begin. */
static int make_reservation(struct lmdb_store *s, const struct kv_need *need, bool in_writer)
{
        uint64_t available, total = 0, reserve;
        struct lmdb_pages p;
        bool fragmented = false;
        int r;

        r = fits_now(s, need, LMDB_RESERVE_BYTES_MAX / s->page_bytes, false, NULL);
        if (r != 0)
                return r < 0 ? r : 0;
        r = lmdb_host_space(s, &available, &total);
        if (r < 0)
                return r;
        reserve = lmdb_reserve_bytes(s, total) / s->page_bytes;
        lmdb_pages_needed(s, need, &p);
        r = lmdb_allocate(s, atomic_load(&s->used_end) + (lmdb_pages_total(&p) + reserve) * s->page_bytes);
        if (r < 0 && r != -ENOSPC)
                return r;
        if (r >= 0 && atomic_load(&s->allocated_end) == 0)
                return 0; /* the host's file system cannot allocate */
        if (need->frees)
                reserve = 2 * small_commit_pages(s);
        r = fits_now(s, need, reserve, true, &fragmented);
        /* Worth more effort if nothing could be put off instead. */
        if (r == 0 && need->commits == 1 && !in_writer) {
                r = make_freed_usable(s, fragmented);
                if (r < 0 && r != -ENOSPC)
                        return r;
                r = fits_now(s, need, reserve, true, &fragmented);
        }
        if (r < 0)
                return r;
        return r > 0 ? 0 : -ENOSPC;
}

int lmdb_reserve(struct kv_store *base, const struct kv_need *need)
{
        return make_reservation(lmdb_of(base), need, false);
}

int lmdb_reserve_own(struct lmdb_txn *t)
{
        struct kv_need need = { .keys = t->base.written_keys,
                                .sets = t->base.written_keys,
                                .bytes = t->base.written_bytes,
                                .largest = t->base.largest_value,
                                .commits = 1 };

        return make_reservation(lmdb_of(t->base.store), &need, true);
}

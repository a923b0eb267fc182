/* SPDX-License-Identifier: MIT */
/* Room. A write may be acknowledged only if room for it is certain, and there are two kinds of it: what
 * lies beyond the end of the file and was promised by the host's file system (fallocate), and free pages
 * inside the file, as far as LMDB is certain to find them (free.c). Against these stands what the writes
 * take at most (need.c).
 */
#include "base/thread.h"
#include "kv/lmdb/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* What is asked of the host's file system at a time, so that it is asked rarely: a quarter of the file. */
#define CHUNK_BYTES_MIN (4 * MIB)
#define CHUNK_BYTES_MAX (64 * MIB)

/* Kept for transactions that free room, which need pages first: LMDB never changes a page in place. */
#define KEPT_BYTES_MAX (16 * MIB)
#define KEPT_BYTES_MIN MIB
#define KEPT_SHARE     32 /* of a small file system this part, if that is more than the minimum */

/* LMDB's database of free pages. */
#define FREE_DBI ((MDB_dbi)0)

/* Free pages inside the file are counted up to a multiple of what is needed, and at least this many. */
#define COUNT_PAGES_MIN 16384u

/* What LMDB is made to look for in order to read its list: 60 times as many records. */
#define WRITEBACK_PAGES 16u

/* How long a count of free pages is good for statfs. */
#define COUNT_AGE_NS UINT64_C(1000000000)

void lmdb_space_update(struct lmdb_store *s)
{
        uint64_t known = atomic_load(&s->used_end), used_end;
        MDB_envinfo info;
        MDB_stat stat;

        mdb_env_info(s->env, &info);
        mdb_env_stat(s->env, &stat);
        used_end = (info.me_last_pgno + 1) * s->page_bytes;
        /* It never shrinks; of two who are here at a time one may have looked before the other's commit. */
        while (known < used_end && !atomic_compare_exchange_weak(&s->used_end, &known, used_end))
                ;
        atomic_store(&s->number, info.me_last_txnid);
        atomic_store(&s->leaf_pages, stat.ms_leaf_pages);
        atomic_store(&s->branch_pages, stat.ms_branch_pages);
        atomic_store(&s->overflow_pages, stat.ms_overflow_pages);
        atomic_store(&s->depth, stat.ms_depth);
}

void lmdb_space_update_list(struct lmdb_store *s, MDB_txn *txn)
{
        MDB_stat stat;

        if (mdb_stat(txn, FREE_DBI, &stat) != 0)
                return;
        atomic_store(&s->list_tree_pages, stat.ms_branch_pages + stat.ms_leaf_pages);
        atomic_store(&s->list_record_pages, stat.ms_overflow_pages);
}

/* Pages on LMDB's list of free ones. Reads the first word of each of its records. MAX_AGE_NS: how old a count
 * will do; 0: as of now. */
static int count_free_locked(struct lmdb_store *s, struct lmdb_txn *t, uint64_t max_age_ns, uint64_t *ret)
{
        uint64_t now_ns = thread_now_ns(), pages = 0;
        MDB_cursor *cursor;
        MDB_val key, value;
        int rc;

        lock_assert_held(&s->space_lock);
        if (mdb_txn_id(t->txn) == s->free_txnid || (max_age_ns > 0 && now_ns < s->free_until_ns)) {
                *ret = s->free_pages;
                return 0;
        }
        rc = mdb_cursor_open(t->txn, FREE_DBI, &cursor);
        if (rc != 0)
                return lmdb_error(rc);
        while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
                uint64_t n;

                if (value.mv_size < sizeof(n))
                        continue;
                memcpy(&n, value.mv_data, sizeof(n));
                if (n < value.mv_size / sizeof(n))
                        pages += n;
        }
        mdb_cursor_close(cursor);
        if (rc != MDB_NOTFOUND)
                return lmdb_error(rc);
        s->free_txnid = mdb_txn_id(t->txn);
        s->free_pages = pages;
        /* A long list is counted less often: at most a twentieth of the time goes into it. */
        s->free_until_ns = thread_now_ns() + max_age_ns + 20 * (thread_now_ns() - now_ns);
        *ret = pages;
        return 0;
}

static int host_space(struct lmdb_store *s, uint64_t *ret_available, uint64_t *ret_total)
{
        struct statvfs v;

        if (fstatvfs(s->dir_fd, &v) < 0)
                return -errno;
        *ret_available = (uint64_t)v.f_bavail * v.f_frsize;
        *ret_total = (uint64_t)v.f_blocks * v.f_frsize;
        return 0;
}

/* How large the file may become: LMDB does not use its map's last page, and a process may have a limit. */
static uint64_t end_max(const struct lmdb_store *s)
{
        uint64_t max = atomic_load(&s->map_bytes) - s->page_bytes;
        struct rlimit limit;

        if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < max)
                max = limit.rlim_cur;
        return max / s->page_bytes * s->page_bytes;
}

static uint64_t kept_bytes(const struct lmdb_store *s, uint64_t host_total)
{
        uint64_t max = end_max(s), total = host_total < max ? host_total : max;
        uint64_t kept = total / KEPT_SHARE < KEPT_BYTES_MIN ? KEPT_BYTES_MIN : total / KEPT_SHARE;

        if (kept > total / 4)
                kept = total / 4;
        return kept < KEPT_BYTES_MAX ? kept : KEPT_BYTES_MAX;
}

int lmdb_space(struct kv_store *base, struct kv_space *ret)
{
        struct lmdb_store *s = lmdb_of(base);
        uint64_t pages = 0, available = 0, host_total = 0, used_end, used, have, kept, room, left;
        struct lmdb_txn *t;
        struct stat st;
        int r;

        r = lmdb_reader_begin(s, &t);
        if (r < 0)
                return r;
        lmdb_space_update(s); /* other processes write too */
        lock_acquire(&s->space_lock);
        r = count_free_locked(s, t, COUNT_AGE_NS, &pages);
        lock_release(&s->space_lock);
        lmdb_reader_end(s, t);
        if (r < 0)
                return r;
        r = host_space(s, &available, &host_total);
        if (r < 0)
                return r;
        if (fstat(s->data_fd, &st) < 0)
                return -errno;
        used_end = atomic_load(&s->used_end);
        used = used_end > pages * s->page_bytes ? used_end - pages * s->page_bytes : 0;
        /* What the file takes on the disk, free pages and reserved room included. */
        have = (uint64_t)st.st_blocks * 512;
        room = available + (have > used ? have - used : 0);
        left = end_max(s);
        left = left > used ? left - used : 0;
        if (room > left)
                room = left;
        kept = kept_bytes(s, host_total);
        ret->used_bytes = used;
        ret->free_bytes = room > kept ? room - kept : 0;
        ret->total_bytes = ret->used_bytes + ret->free_bytes;
        return 0;
}

/* ---- the end of the file ------------------------------------------------------------------------ */

/* Has the host's file system promise [FROM, TO) of the file: 0, ENOSPC, or EOPNOTSUPP. */
static int promise(struct lmdb_store *s, uint64_t from, uint64_t to)
{
        uint64_t available = 0, total;
        int r = host_space(s, &available, &total);

        if (r < 0)
                return r;
        /* Some file systems allocate all that there is before they find that it is too little, and give
         * it back again: on a full one that would come with each write. */
        if (to > end_max(s) || to - from > available)
                return -ENOSPC;
        do
                r = fallocate(s->data_fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from));
        while (r < 0 && errno == EINTR);
        if (r == 0)
                return 0;
        return errno == EDQUOT || errno == EFBIG ? -ENOSPC : -errno;
}

/* Where the host's file system promises nothing, half of what it says it has is believed: it may not have
 * allocated yet what was written. */
static int believe(struct lmdb_store *s, uint64_t from, uint64_t to)
{
        uint64_t available = 0, total;
        int r = host_space(s, &available, &total);

        if (r < 0)
                return r;
        return to <= end_max(s) && to - from <= available / 2 ? 0 : -ENOSPC;
}

/* Makes sure of room up to END, or of more. */
static int extend_locked(struct lmdb_store *s, uint64_t used_end, uint64_t end)
{
        uint64_t from = atomic_load(&s->allocated_end), chunk = used_end / 4;
        int r;

        lock_assert_held(&s->space_lock);
        if (end <= from)
                return 0;
        if (from < used_end)
                from = used_end;
        if (chunk < CHUNK_BYTES_MIN)
                chunk = CHUNK_BYTES_MIN;
        if (chunk > CHUNK_BYTES_MAX)
                chunk = CHUNK_BYTES_MAX;
        r = promise(s, from, end + chunk);
        if (r >= 0)
                end += chunk;
        else if (r == -ENOSPC)
                r = promise(s, from, end);
        if (r == -EOPNOTSUPP)
                return believe(s, used_end, end);
        if (r >= 0)
                atomic_store(&s->allocated_end, end);
        return r;
}

bool lmdb_room_is_gone(struct lmdb_store *s)
{
        uint64_t used_end = atomic_load(&s->used_end);

        LOCK_GUARD(&s->space_lock);
        return extend_locked(s, used_end, atomic_load(&s->allocated_end) + CHUNK_BYTES_MIN) == -ENOSPC;
}

/* ---- reserving ---------------------------------------------------------------------------------- */

/* Pages that a small transaction takes at most: two of these are kept even from those that free room, so that
 * what they free can be made usable (lmdb_age). */
static uint64_t small_commit(const struct lmdb_store *s)
{
        return 2 * atomic_load(&s->depth) + 2 * atomic_load(&s->list_tree_pages) + 12;
}

static uint64_t take(uint64_t *from, uint64_t n)
{
        uint64_t taken = n < *from ? n : *from;

        *from -= taken;
        return taken;
}

/* Whether pages P are certain to be found with END pages beyond the end of the file and F inside, when KEPT
 * ones must remain. A quarter of these is kept at the end, where pages lie in rows. */
static bool fit_beside(const struct lmdb_pages *p, uint64_t end, struct lmdb_free f, uint64_t kept)
{
        kept -= take(&end, kept / 4);
        kept -= take(&f.pages, kept);
        if (take(&end, kept) < kept)
                return false;
        return lmdb_pages_fit(p, end, &f);
}

/* The free pages inside the file, or several times PAGES of them. What LMDB may use of them stays so until
 * the next commit, and what was counted stays good until then. */
static int free_now(struct lmdb_store *s, uint64_t pages, struct lmdb_free *ret)
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

/* As above, with what is there now. COUNT: look for free pages inside the file, too; *RET_SPLIT then says
 * whether their list is in many small pieces. */
static int fits_now(struct lmdb_store *s, const struct kv_need *need, uint64_t kept, bool count,
                    bool *ret_split)
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
                return fit_beside(&p, end, f, kept);
        r = free_now(s, lmdb_pages_total(&p) + kept, &f);
        *ret_split = f.split;
        return r < 0 ? r : fit_beside(&p, end, f, kept);
}

/* Makes LMDB look for a row of pages, for which it reads many records of its list: it puts them together to a
 * few when it commits. Otherwise many small ones, left by as many small transactions, would keep it from
 * finding the rows that are there. */
static int writeback_list(struct lmdb_store *s, MDB_txn *txn)
{
        static const uint8_t name[] = { 0, 0, 'g' };
        MDB_val key = { .mv_data = (void *)name, .mv_size = sizeof(name) };
        MDB_val value = { .mv_size = WRITEBACK_PAGES * s->page_bytes - 16 };
        uint64_t used_end = atomic_load(&s->used_end), allocated_end = atomic_load(&s->allocated_end);
        int rc;

        /* If there is no such row, it takes one from the end. */
        if (allocated_end < used_end + 4 * WRITEBACK_PAGES * s->page_bytes)
                return 0;
        rc = mdb_put(txn, LMDB_DBI, &key, &value, MDB_RESERVE);
        return rc == 0 ? mdb_del(txn, LMDB_DBI, &key, NULL) : rc;
}

/* Two transactions that change nothing: what the last ones freed can be used then, unless a reader still sees
 * it. */
static int lmdb_age(struct lmdb_store *s, bool writeback)
{
        int r = 0;

        if (atomic_load(&s->number) == atomic_load(&s->aged_number))
                return 0;
        for (int i = 0; i < 2 && r >= 0; i++) {
                struct kv_txn *t;

                r = kv_begin(&s->base, KV_WRITE | KV_RESERVE, &t);
                if (r < 0)
                        return r;
                r = lmdb_error(lmdb_marker_touch(lmdb_txn_of(t)->txn));
                if (r >= 0 && writeback && i > 0)
                        r = lmdb_error(writeback_list(s, lmdb_txn_of(t)->txn));
                if (r >= 0)
                        r = kv_commit(t);
                kv_end(t);
        }
        if (r >= 0)
                atomic_store(&s->aged_number, atomic_load(&s->number));
        return r;
}

/* WRITES: the caller is a transaction that writes. */
static int reserve(struct lmdb_store *s, const struct kv_need *need, bool writes)
{
        uint64_t available, total = 0, kept;
        struct lmdb_pages p;
        bool split = false;
        int r;

        r = fits_now(s, need, KEPT_BYTES_MAX / s->page_bytes, false, NULL);
        if (r != 0)
                return r < 0 ? r : 0;
        r = host_space(s, &available, &total);
        if (r < 0)
                return r;
        kept = kept_bytes(s, total) / s->page_bytes;
        lmdb_pages_needed(s, need, &p);
        lock_acquire(&s->space_lock);
        r = extend_locked(s, atomic_load(&s->used_end),
                          atomic_load(&s->used_end) + (lmdb_pages_total(&p) + kept) * s->page_bytes);
        lock_release(&s->space_lock);
        if (r < 0 && r != -ENOSPC)
                return r;
        if (r >= 0 && atomic_load(&s->allocated_end) == 0)
                return 0; /* believed */
        if (need->frees)
                kept = 2 * small_commit(s);
        r = fits_now(s, need, kept, true, &split);
        /* One that stands alone is worth more effort. */
        if (r == 0 && need->commits == 1 && !writes) {
                r = lmdb_age(s, split);
                if (r >= 0 || r == -ENOSPC)
                        r = fits_now(s, need, kept, true, &split);
        }
        return r < 0 ? r : r > 0 ? 0 : -ENOSPC;
}

int lmdb_reserve(struct kv_store *base, const struct kv_need *need)
{
        return reserve(lmdb_of(base), need, false);
}

int lmdb_reserve_own(struct lmdb_txn *t)
{
        struct kv_need need = { .keys = t->base.written_keys,
                                .sets = t->base.written_keys,
                                .bytes = t->base.written_bytes,
                                .largest = t->base.largest_value,
                                .commits = 1 };

        return reserve(lmdb_of(t->base.store), &need, true);
}

/* ---- beginning and end -------------------------------------------------------------------------- */

void lmdb_space_trim(struct lmdb_store *s)
{
        uint64_t used_end = atomic_load(&s->used_end);
        struct stat st;

        if (fstat(s->data_fd, &st) < 0)
                return;
        if ((uint64_t)st.st_size < used_end)
                used_end = (uint64_t)st.st_size; /* LMDB leaves out free pages at the end */
        /* A failure leaves it reserved, no more. */
        if (ftruncate(s->data_fd, (off_t)used_end) < 0)
                return;
        atomic_store(&s->allocated_end, 0);
}

void lmdb_space_claim(struct lmdb_store *s)
{
        uint64_t used_end = atomic_load(&s->used_end);

        lmdb_space_trim(s);
        if (lseek(s->data_fd, 0, SEEK_HOLE) >= (off_t)used_end)
                return;
        /* Free pages that were never written, or it was copied in a way that left out zeros. */
        if (fallocate(s->data_fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)used_end) < 0 && errno != EOPNOTSUPP)
                s->sparse = true;
}

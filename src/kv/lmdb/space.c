/* SPDX-License-Identifier: MIT */
#include "base/thread.h"
#include "kv/lmdb/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* Allocated at a time beyond what is needed: a quarter of the file, within these bounds. */
#define CHUNK_BYTES_MIN (4 * MIB)
#define CHUNK_BYTES_MAX (64 * MIB)

/* The reserve: transactions that free space need pages first, because LMDB never changes a page in place. */
#define RESERVE_BYTES_MIN MIB
#define RESERVE_SHARE     32 /* of the host's file system this part, within these bounds */

/* How long a count of free pages serves for statfs. */
#define COUNT_AGE_NS UINT64_C(1000000000)

/* ---- figures ------------------------------------------------------------------------------------ */

void lmdb_space_update(struct lmdb_store *s)
{
        uint64_t known = atomic_load(&s->used_end), used_end;
        MDB_envinfo info;
        MDB_stat stat;

        mdb_env_info(s->env, &info);
        mdb_env_stat(s->env, &stat);
        used_end = (info.me_last_pgno + 1) * s->page_bytes;
        /* It never shrinks: another thread may have stored the figure of a later commit. */
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

        if (mdb_stat(txn, LMDB_FREE_DBI, &stat) != 0)
                return;
        atomic_store(&s->list_tree_pages, stat.ms_branch_pages + stat.ms_leaf_pages);
        atomic_store(&s->list_record_pages, stat.ms_overflow_pages);
}

/* Counts all pages on LMDB's list, from the first word of each record. A count of MAX_AGE_NS serves, too; 0:
 * only one of this transaction. */
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
        rc = mdb_cursor_open(t->txn, LMDB_FREE_DBI, &cursor);
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
        /* Counting a long list takes a twentieth of the time at most. */
        s->free_until_ns = thread_now_ns() + max_age_ns + 20 * (thread_now_ns() - now_ns);
        *ret = pages;
        return 0;
}

int lmdb_host_space(const struct lmdb_store *s, uint64_t *ret_available, uint64_t *ret_total)
{
        struct statvfs v;

        if (fstatvfs(s->dir_fd, &v) < 0)
                return -errno;
        *ret_available = (uint64_t)v.f_bavail * v.f_frsize;
        *ret_total = (uint64_t)v.f_blocks * v.f_frsize;
        return 0;
}

/* The largest size of the file: LMDB does not use the last page of its map, and the process may have a
 * limit. */
static uint64_t end_max(const struct lmdb_store *s)
{
        uint64_t max = atomic_load(&s->map_bytes) - s->page_bytes;
        struct rlimit limit;

        if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < max)
                max = limit.rlim_cur;
        return max / s->page_bytes * s->page_bytes;
}

uint64_t lmdb_reserve_bytes(const struct lmdb_store *s, uint64_t host_total)
{
        uint64_t max = end_max(s), total = host_total < max ? host_total : max;
        uint64_t reserve =
                total / RESERVE_SHARE < RESERVE_BYTES_MIN ? RESERVE_BYTES_MIN : total / RESERVE_SHARE;

        if (reserve > total / 4)
                reserve = total / 4;
        return reserve < LMDB_RESERVE_BYTES_MAX ? reserve : LMDB_RESERVE_BYTES_MAX;
}

int lmdb_space(struct kv_store *base, struct kv_space *ret)
{
        struct lmdb_store *s = lmdb_of(base);
        uint64_t pages = 0, available = 0, host_total = 0, used_end, used, have, reserve, space, left;
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
        r = lmdb_host_space(s, &available, &host_total);
        if (r < 0)
                return r;
        if (fstat(s->data_fd, &st) < 0)
                return -errno;
        used_end = atomic_load(&s->used_end);
        used = used_end > pages * s->page_bytes ? used_end - pages * s->page_bytes : 0;
        /* On the disk, with free pages and what is allocated beyond the end. */
        have = (uint64_t)st.st_blocks * 512;
        space = available + (have > used ? have - used : 0);
        left = end_max(s);
        left = left > used ? left - used : 0;
        if (space > left)
                space = left;
        reserve = lmdb_reserve_bytes(s, host_total);
        ret->used_bytes = used;
        ret->free_bytes = space > reserve ? space - reserve : 0;
        ret->total_bytes = ret->used_bytes + ret->free_bytes;
        return 0;
}

/* ---- beyond the end of the file ------------------------------------------------------------------ */

/* Has the host's file system allocate [FROM, TO) of the file: 0, ENOSPC, EOPNOTSUPP or another error. */
static int allocate_range(struct lmdb_store *s, uint64_t from, uint64_t to)
{
        uint64_t available = 0, total;
        int r = lmdb_host_space(s, &available, &total);

        if (r < 0)
                return r;
        /* Some file systems allocate all that is available, find that it is too little, and free it again: on
         * a full one each write would cause that. */
        if (to > end_max(s) || to - from > available)
                return -ENOSPC;
        do
                r = fallocate(s->data_fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from));
        while (r < 0 && errno == EINTR);
        if (r == 0)
                return 0;
        return errno == EDQUOT || errno == EFBIG ? -ENOSPC : -errno;
}

/* Where the host's file system cannot allocate, half of what it reports as available counts: it may not have
 * allocated yet what was written. */
static int check_available(struct lmdb_store *s, uint64_t from, uint64_t to)
{
        uint64_t available = 0, total;
        int r = lmdb_host_space(s, &available, &total);

        if (r < 0)
                return r;
        return to <= end_max(s) && to - from <= available / 2 ? 0 : -ENOSPC;
}

static uint64_t chunk_bytes(uint64_t used_end)
{
        uint64_t chunk = used_end / 4;

        if (chunk < CHUNK_BYTES_MIN)
                return CHUNK_BYTES_MIN;
        return chunk < CHUNK_BYTES_MAX ? chunk : CHUNK_BYTES_MAX;
}

int lmdb_allocate(struct lmdb_store *s, uint64_t end)
{
        uint64_t used_end = atomic_load(&s->used_end), chunk = chunk_bytes(used_end), from;
        int r;

        LOCK_GUARD(&s->space_lock);
        from = atomic_load(&s->allocated_end);
        if (end <= from)
                return 0;
        if (from < used_end)
                from = used_end;
        r = allocate_range(s, from, end + chunk);
        if (r >= 0)
                end += chunk;
        else if (r == -ENOSPC)
                r = allocate_range(s, from, end);
        if (r == -EOPNOTSUPP)
                return check_available(s, used_end, end);
        if (r < 0)
                return r;
        atomic_store(&s->allocated_end, end);
        return 0;
}

bool lmdb_disk_is_full(struct lmdb_store *s)
{
        return lmdb_allocate(s, atomic_load(&s->allocated_end) + CHUNK_BYTES_MIN) == -ENOSPC;
}

void lmdb_space_trim(struct lmdb_store *s)
{
        uint64_t used_end = atomic_load(&s->used_end);
        struct stat st;

        if (fstat(s->data_fd, &st) < 0)
                return;
        if ((uint64_t)st.st_size < used_end)
                used_end = (uint64_t)st.st_size; /* LMDB does not write free pages at the end */
        /* After a failure the space stays allocated, which does no harm. */
        if (ftruncate(s->data_fd, (off_t)used_end) < 0)
                return;
        atomic_store(&s->allocated_end, 0);
}

void lmdb_space_prepare(struct lmdb_store *s)
{
        uint64_t used_end = atomic_load(&s->used_end);

        lmdb_space_trim(s);
        if (lseek(s->data_fd, 0, SEEK_HOLE) >= (off_t)used_end)
                return;
        /* Free pages that were never written, or the file was copied without its zeros. */
        if (fallocate(s->data_fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)used_end) < 0 && errno != EOPNOTSUPP)
                s->sparse = true;
}

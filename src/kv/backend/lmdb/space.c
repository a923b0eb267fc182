/* Room. LMDB takes pages from its list of free ones, where they suit, or else from the end of the file. So
 * room is reserved as space that the host's file system has promised beyond the end (fallocate), and only
 * when it promises no more, by the count of free pages.
 */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* What is asked of the host's file system at a time, so that it is asked rarely: a quarter of the file. */
#define CHUNK_BYTES_MIN (4 * MIB)
#define CHUNK_BYTES_MAX (64 * MIB)

/* Kept for transactions that free room, which need pages first: LMDB never changes a page in place. */
#define KEPT_BYTES_MAX  (16 * MIB)
#define KEPT_SHARE      32 /* of a small file system, at most this part */

/* LMDB's database of free pages. */
#define FREE_DBI ((MDB_dbi)0)

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
        atomic_store(&s->tree_bytes, (stat.ms_branch_pages + stat.ms_leaf_pages) * s->page_bytes);
}

/* Pages on LMDB's list of free ones. Reads the first word of each of its records. MAX_AGE_NS: how old a count
 * will do; 0: as of now. space_lock held. */
static int count_free(struct lmdb_store *s, struct lmdb_txn *t, uint64_t max_age_ns, uint64_t *ret)
{
        uint64_t now_ns = lmdb_now_ns(), pages = 0;
        MDB_cursor *cursor;
        MDB_val key, value;
        int rc;

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
        s->free_until_ns = lmdb_now_ns() + max_age_ns + 20 * (lmdb_now_ns() - now_ns);
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

static uint64_t kept_bytes(const struct lmdb_store *s, uint64_t host_total)
{
        uint64_t map_bytes = atomic_load(&s->map_bytes);
        uint64_t total = host_total < map_bytes ? host_total : map_bytes;

        return total / KEPT_SHARE < KEPT_BYTES_MAX ? total / KEPT_SHARE : KEPT_BYTES_MAX;
}

int lmdb_space(struct kv_store *base, struct kv_space *ret)
{
        struct lmdb_store *s = lmdb_of(base);
        uint64_t pages, available = 0, host_total = 0, used_end, used, have, kept, room, left;
        struct lmdb_txn *t;
        struct stat st;
        int r;

        r = lmdb_reader_begin(s, &t);
        if (r < 0)
                return r;
        lmdb_space_update(s); /* other processes write too */
        pthread_mutex_lock(&s->space_lock);
        r = count_free(s, t, COUNT_AGE_NS, &pages);
        pthread_mutex_unlock(&s->space_lock);
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
        left = atomic_load(&s->map_bytes);
        left = left > used ? left - used : 0;
        if (room > left)
                room = left;
        kept = kept_bytes(s, host_total);
        ret->used_bytes = used;
        ret->free_bytes = room > kept ? room - kept : 0;
        ret->total_bytes = ret->used_bytes + ret->free_bytes;
        return 0;
}

/* What a write of BYTES may take: twice that for half-full pages, and for the pages of the tree that it
 * touches, which are all written anew; these are bounded by the tree, and by the fact that later transactions
 * use them again. */
static uint64_t bytes_needed(struct lmdb_store *s, uint64_t bytes)
{
        uint64_t touched = bytes / 64 * s->page_bytes, tree = atomic_load(&s->tree_bytes);

        if (touched > tree)
                touched = tree;
        if (touched > 64 * MIB)
                touched = 64 * MIB;
        return 2 * bytes + touched + 64 * s->page_bytes;
}

bool lmdb_host_is_full(struct lmdb_store *s)
{
        uint64_t available = 0, total;

        return host_space(s, &available, &total) >= 0 && available < 2 * MIB;
}

/* Has the host's file system promise [FROM, TO) of the file: 0, ENOSPC, or EOPNOTSUPP. */
static int promise(struct lmdb_store *s, uint64_t from, uint64_t to)
{
        uint64_t available = 0, total;
        int r = host_space(s, &available, &total);

        if (r < 0)
                return r;
        /* Some file systems allocate all that there is before they find that it is too little, and give
         * it back again: on a full one that would come with each write. */
        if (to > atomic_load(&s->map_bytes) || to - from > available)
                return -ENOSPC;
        do
                r = fallocate(s->data_fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(to - from));
        while (r < 0 && errno == EINTR);
        if (r == 0)
                return 0;
        return errno == EDQUOT || errno == EFBIG ? -ENOSPC : -errno;
}

/* When the host's file system promises no more: whether what is left will do. Of the free pages half are
 * counted: not every hole fits every value, and the newest cannot be used yet. space_lock held. */
static int room_left(struct lmdb_store *s, struct lmdb_txn *t, uint64_t used_end, uint64_t need)
{
        uint64_t end = atomic_load(&s->allocated_end), map_bytes = atomic_load(&s->map_bytes), pages;
        int r = count_free(s, t, 0, &pages);

        if (r < 0)
                return r;
        if (end > map_bytes)
                end = map_bytes;
        return (end > used_end ? end - used_end : 0) + pages / 2 * s->page_bytes >= need ? 0 : -ENOSPC;
}

/* Makes room for NEED bytes after USED_END. space_lock held. */
static int extend(struct lmdb_store *s, struct lmdb_txn *t, uint64_t used_end, uint64_t need)
{
        uint64_t from = atomic_load(&s->allocated_end), end = used_end + need, chunk = used_end / 4;
        uint64_t available = 0, total;
        int r;

        if (end <= from)
                return 0;
        if (from < used_end)
                from = used_end;
        if (chunk < CHUNK_BYTES_MIN)
                chunk = CHUNK_BYTES_MIN;
        if (chunk > CHUNK_BYTES_MAX)
                chunk = CHUNK_BYTES_MAX;
        r = promise(s, from, end + chunk);
        if (r >= 0) {
                atomic_store(&s->allocated_end, end + chunk);
                return 0;
        }
        if (r == -ENOSPC)
                r = promise(s, from, end);
        if (r >= 0) {
                atomic_store(&s->allocated_end, end);
                return 0;
        }
        if (r == -EOPNOTSUPP) {
                /* Nothing better than its word of now. */
                r = host_space(s, &available, &total);
                if (r < 0)
                        return r;
                if (end <= atomic_load(&s->map_bytes) && available > need)
                        return 0;
        } else if (r != -ENOSPC) {
                return r;
        }
        return room_left(s, t, used_end, need);
}

int lmdb_reserve(struct kv_store *base, uint64_t bytes)
{
        struct lmdb_store *s = lmdb_of(base);
        uint64_t used_end = atomic_load(&s->used_end), need = bytes_needed(s, bytes);
        uint64_t available, total = 0;
        struct lmdb_txn *t;
        int r;

        if (used_end + need + KEPT_BYTES_MAX <= atomic_load(&s->allocated_end))
                return 0;
        r = host_space(s, &available, &total);
        if (r < 0)
                return r;
        r = lmdb_reader_begin(s, &t);
        if (r < 0)
                return r;
        pthread_mutex_lock(&s->space_lock);
        r = extend(s, t, used_end, need + kept_bytes(s, total));
        pthread_mutex_unlock(&s->space_lock);
        lmdb_reader_end(s, t);
        return r;
}

void lmdb_space_trim(struct lmdb_store *s)
{
        struct stat st;

        if (atomic_load(&s->allocated_end) == 0 || fstat(s->data_fd, &st) < 0)
                return;
        /* To the size that it has: this gives back what lies beyond. A failure leaves it reserved, no
         * more. */
        if (ftruncate(s->data_fd, st.st_size) < 0)
                return;
}

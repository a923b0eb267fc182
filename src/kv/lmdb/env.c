/* SPDX-License-Identifier: MIT */
/* LMDB's environment: opening it, the pool of readers, opening it again. */
#include "base/thread.h"
#include "kv/lmdb/internal.h"
#include "kv/lmdb/version.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#define TIB               (UINT64_C(1) << 40)
#define MAP_BYTES_DEFAULT (1 * TIB)  /* address space; the file is as large as its contents */
#define MAP_BYTES_MAX     (64 * TIB) /* half of the address space of a process */
#define MAP_BYTES_MIN     (UINT64_C(1) << 20)

/* Entries of LMDB's reader table, one for each open transaction; 64 bytes of a sparse file each. */
#define READERS_MAX 4096u

#define REOPEN_WAIT_NS (UINT64_C(5) * 1000000000)

int lmdb_error(int rc)
{
        switch (rc) {
        case MDB_SUCCESS:
                return 0;
        case MDB_NOTFOUND:
                return -ENOENT;
        case MDB_MAP_FULL:
        case EDQUOT:
        case EFBIG: /* the process's limit on file sizes */
                return -ENOSPC;
        case MDB_TXN_FULL:
                return -E2BIG;
        case MDB_READERS_FULL:
        case MDB_MAP_RESIZED:
                return -ERR_RETRY;
        case MDB_CORRUPTED:
        case MDB_PAGE_NOTFOUND:
        case MDB_CURSOR_FULL:
        case MDB_PAGE_FULL:
        case MDB_INCOMPATIBLE:
        case MDB_INVALID:
        case MDB_VERSION_MISMATCH:
                return -ERR_CORRUPT;
        default:
                /* LMDB's other codes, such as MDB_PANIC, mean that it cannot continue. */
                return rc > 0 ? -rc : -EIO;
        }
}

/* A power of two above the size of the host's file system, within bounds: LMDB cannot enlarge the map in
 * use. */
static uint64_t map_bytes_wanted(const struct lmdb_store *s)
{
        uint64_t bytes = MAP_BYTES_DEFAULT;
        struct statvfs v;

        if (s->max_bytes > 0)
                return s->max_bytes < MAP_BYTES_MIN ? MAP_BYTES_MIN : s->max_bytes;
        if (fstatvfs(s->dir_fd, &v) == 0)
                while (bytes < MAP_BYTES_MAX && bytes / v.f_frsize < v.f_blocks)
                        bytes *= 2;
        return bytes;
}

/* The kernel's readahead stays on (no MDB_NORDAHEAD), because the store holds file data: from a cold disk,
 * values of 64 KiB were read at 204 MB/s with it and 39 without in order, at 81 and 55 at random. */
static int env_try(struct lmdb_store *s, uint64_t map_bytes, MDB_env **ret)
{
        unsigned flags = MDB_NOTLS | (s->rdonly ? MDB_RDONLY : 0u) | (s->lock.unlocked ? MDB_NOLOCK : 0u);
        MDB_env *env;
        int rc = mdb_env_create(&env);

        if (rc != 0)
                return rc;
        rc = mdb_env_set_mapsize(env, map_bytes);
        if (rc == 0)
                rc = mdb_env_set_maxreaders(env, READERS_MAX);
        if (rc == 0)
                rc = mdb_env_open(env, s->path, flags, 0600);
        if (rc != 0) {
                mdb_env_close(env);
                return rc;
        }
        *ret = env;
        return 0;
}

/* LMDB knows the order of a database only after it was opened in a transaction. */
static int open_database(MDB_env *env)
{
        unsigned flags;
        MDB_txn *txn;
        MDB_dbi dbi;
        int rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

        if (rc != 0)
                return rc;
        rc = mdb_dbi_open(txn, NULL, 0, &dbi);
        if (rc == 0)
                rc = mdb_dbi_flags(txn, dbi, &flags);
        if (rc == 0 && (dbi != LMDB_DBI || flags != 0))
                rc = MDB_INCOMPATIBLE;
        /* mdb_txn_abort would close the database again. */
        if (rc == 0)
                return mdb_txn_commit(txn);
        mdb_txn_abort(txn);
        return rc;
}

int lmdb_env_open(struct lmdb_store *s, struct err_text *text)
{
        uint64_t map_bytes = map_bytes_wanted(s);
        MDB_envinfo info;
        MDB_stat stat;
        MDB_env *env;
        int r, rc, dead, fd;

        /* Address space may be limited (RLIMIT_AS, a sanitizer): a smaller map serves, too. */
        while ((rc = env_try(s, map_bytes, &env)) == ENOMEM && map_bytes / 2 >= MAP_BYTES_MIN)
                map_bytes /= 2;
        if (rc == 0) {
                rc = open_database(env);
                if (rc != 0)
                        mdb_env_close(env);
        }
        if (rc != 0)
                return err_set(text, -lmdb_error(rc), "%s: cannot open the store: %s", s->path,
                               mdb_strerror(rc));
        mdb_env_info(env, &info);
        mdb_env_stat(env, &stat);
        r = lmdb_check_sizes((unsigned)mdb_env_get_maxkeysize(env), stat.ms_psize, s->path, text);
        if (r < 0) {
                mdb_env_close(env);
                return r;
        }
        /* The only descriptor that LMDB does not close on exec. */
        if (mdb_env_get_fd(env, &fd) == 0)
                fcntl(fd, F_SETFD, FD_CLOEXEC);
        if (!s->lock.unlocked)
                mdb_reader_check(env, &dead);
        s->env = env;
        if (s->page_bytes == 0)
                s->page_bytes = stat.ms_psize; /* never changes */
        atomic_store(&s->map_bytes, info.me_mapsize);
        lmdb_space_update(s);
        return 0;
}

/* ---- readers ------------------------------------------------------------------------------------ */

static void reader_free(struct lmdb_txn *t)
{
        lmdb_ranges_free(t);
        if (t->cursor)
                mdb_cursor_close(t->cursor);
        if (t->txn)
                mdb_txn_abort(t->txn);
        free(t);
}

static unsigned pool_slot(void)
{
        return (unsigned)sched_getcpu() % LMDB_POOL_SLOTS;
}

static int reader_take(struct lmdb_store *s, struct lmdb_txn **ret)
{
        struct lmdb_txn *t = atomic_exchange(&s->slots[pool_slot()].idle, NULL);

        if (t) {
                *ret = t;
                return 0;
        }
        LOCK_GUARD(&s->pool_lock);
        t = s->idle;
        if (t) {
                s->idle = t->next;
        } else {
                t = calloc(1, sizeof(*t));
                if (!t)
                        return -ENOMEM;
                s->readers++;
        }
        *ret = t;
        return 0;
}

static void reader_give(struct lmdb_store *s, struct lmdb_txn *t)
{
        struct lmdb_txn *none = NULL;

        if (atomic_compare_exchange_strong(&s->slots[pool_slot()].idle, &none, t))
                return;
        LOCK_GUARD(&s->pool_lock);
        t->next = s->idle;
        s->idle = t;
}

/* Frees all readers in the pool. True: none is in use any more. While reopen_needed is set, a reader is taken
 * out of the pool only for a short time. */
static bool readers_collect(struct lmdb_store *s)
{
        LOCK_GUARD(&s->pool_lock);
        for (unsigned i = 0; i < LMDB_POOL_SLOTS; i++) {
                struct lmdb_txn *t = atomic_exchange(&s->slots[i].idle, NULL);

                if (t) {
                        t->next = s->idle;
                        s->idle = t;
                }
        }
        while (s->idle) {
                struct lmdb_txn *t = s->idle;

                s->idle = t->next;
                reader_free(t);
                s->readers--;
        }
        return s->readers == 0;
}

static void env_shut(struct lmdb_store *s)
{
        if (s->env)
                mdb_env_close(s->env);
        s->env = NULL;
}

void lmdb_env_close(struct lmdb_store *s)
{
        bool all = readers_collect(s);

        assert(all);
        env_shut(s);
}

int lmdb_env_reopen_locked(struct lmdb_store *s)
{
        uint64_t deadline_ns = thread_now_ns() + REOPEN_WAIT_NS;
        int r;

        lock_assert_held(&s->write_lock);
        if (!atomic_load(&s->reopen_needed))
                return 0; /* another thread has done it */
        while (!readers_collect(s)) {
                if (thread_now_ns() > deadline_ns)
                        return -EIO;
                nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        }
        /* A thread that begins now finds reopen_needed before it uses the environment. */
        env_shut(s);
        r = lmdb_env_open(s, NULL);
        if (r >= 0)
                atomic_store(&s->reopen_needed, false);
        return r;
}

static int reopen_for_reader(struct lmdb_store *s)
{
        int r;

        /* With a time limit, because this thread may itself be the writer. */
        if (!lock_acquire_within(&s->write_lock, REOPEN_WAIT_NS))
                return -EIO;
        r = lmdb_env_reopen_locked(s);
        lock_release(&s->write_lock);
        return r;
}

static int reader_renew(struct lmdb_store *s, struct lmdb_txn *t)
{
        int rc, dead;

        for (int attempt = 0;; attempt++) {
                rc = t->txn ? mdb_txn_renew(t->txn) : mdb_txn_begin(s->env, NULL, MDB_RDONLY, &t->txn);
                if (rc != MDB_READERS_FULL || attempt > 0)
                        return rc;
                /* Frees the entries of killed processes. */
                mdb_reader_check(s->env, &dead);
        }
}

int lmdb_reader_begin(struct lmdb_store *s, struct lmdb_txn **ret)
{
        struct lmdb_txn *t;
        int r, rc;

        for (;;) {
                r = reader_take(s, &t);
                if (r < 0)
                        return r;
                /* A reader that is in use keeps the environment from being replaced, unless reopen_needed was
                 * set before it was taken: each side writes its own variable first and reads the other one
                 * then. */
                if (!atomic_load(&s->reopen_needed)) {
                        rc = reader_renew(s, t);
                        if (rc == 0)
                                break;
                        if (rc != MDB_PANIC && rc != MDB_MAP_RESIZED) {
                                reader_give(s, t);
                                return lmdb_error(rc);
                        }
                        atomic_store(&s->reopen_needed, true);
                }
                reader_give(s, t);
                r = reopen_for_reader(s);
                if (r < 0)
                        return r;
        }
        t->cursor_stale = true;
        *ret = t;
        return 0;
}

void lmdb_reader_end(struct lmdb_store *s, struct lmdb_txn *t)
{
        mdb_txn_reset(t->txn);
        reader_give(s, t);
}

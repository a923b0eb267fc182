/* SPDX-License-Identifier: MIT */
/* The store's directory:
 *
 *   data.mdb         LMDB's data; made under another name and renamed when it is complete and durable
 *   lock.mdb         LMDB's reader table and lock of writers
 *   ashlar.lock      which processes have the store open (lock.c)
 *   ashlar.doorbell  wakes other processes after a commit (doorbell.c)
 */
#include "base/cleanup.h"
#include "kv/lmdb/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DATA_NEW "data.mdb.new"

/* Pages to check before LMDB uses the file: all of a small store, a bounded time for a large one. */
#define CHECK_PAGES 1024

/* The record that marks a store of this program: sorts before all others, and no key maps to it (key.h). */
static const uint8_t marker_key[] = { 0, 0 };
static const char marker_value[] = "ashlar store 1\n";

static const char marker_family[] = "ashlar store ";

DEFINE_CLEANUP(DIR, closedir);

static int sync_dir(int dir_fd)
{
        return fsync(dir_fd) < 0 ? -errno : 0;
}

int lmdb_marker_touch(MDB_txn *txn)
{
        MDB_val key = { .mv_data = (void *)marker_key, .mv_size = sizeof(marker_key) };
        MDB_val value = { .mv_data = (void *)marker_value, .mv_size = sizeof(marker_value) - 1 };

        return mdb_put(txn, LMDB_DBI, &key, &value, 0);
}

static int marker_write(MDB_env *env)
{
        MDB_txn *txn;
        MDB_dbi dbi;
        int rc = mdb_txn_begin(env, NULL, 0, &txn);

        if (rc != 0)
                return rc;
        rc = mdb_dbi_open(txn, NULL, 0, &dbi);
        if (rc == 0)
                rc = lmdb_marker_touch(txn);
        if (rc == 0)
                return mdb_txn_commit(txn);
        mdb_txn_abort(txn);
        return rc;
}

/* Reads the marker in T: 0, ENOENT if the database is empty, ERR_NEWER, ERR_NO_FS or another error. */
static int marker_read(MDB_txn *txn)
{
        MDB_val key = { .mv_data = (void *)marker_key, .mv_size = sizeof(marker_key) }, value;
        struct slice found;
        MDB_stat stat;
        int rc = mdb_get(txn, LMDB_DBI, &key, &value);

        if (rc == MDB_NOTFOUND) {
                rc = mdb_stat(txn, LMDB_DBI, &stat);
                if (rc == 0)
                        return stat.ms_entries == 0 ? -ENOENT : -ERR_NO_FS;
        }
        if (rc != 0)
                return lmdb_error(rc);
        found = slice_of(value.mv_data, value.mv_size);
        if (slice_eq(found, slice_str(marker_value)))
                return 0;
        return slice_starts_with(found, slice_str(marker_family)) ? -ERR_NEWER : -ERR_NO_FS;
}

int lmdb_marker_check(struct lmdb_store *s, struct err_text *text)
{
        struct lmdb_txn *t;
        int r = lmdb_reader_begin(s, &t);

        if (r >= 0) {
                r = marker_read(t->txn);
                lmdb_reader_end(s, t);
        }
        if (r == -ENOENT)
                r = s->rdonly ? 0 : lmdb_error(marker_write(s->env));
        if (r == 0)
                return 0;
        if (r == -ERR_NEWER)
                return err_set(text, ERR_NEWER,
                               "%s: the store was made by a newer version of ashlar: use that one", s->path);
        if (r == -ERR_NO_FS)
                return err_set(text, ERR_NO_FS,
                               "%s: not an ashlar store, but an LMDB database of another program", s->path);
        return err_set(text, -r, "%s: cannot read the store: %s", s->path, err_str(r));
}

static int fill_new_data(const char *name)
{
        MDB_env *env;
        int rc = mdb_env_create(&env);

        if (rc != 0)
                return rc;
        rc = mdb_env_open(env, name, MDB_NOSUBDIR | MDB_NOLOCK, 0600);
        if (rc == 0)
                rc = marker_write(env);
        mdb_env_close(env);
        return rc;
}

/* Makes a new data file, with the marker and durable, under another name. */
static int make_new_data(struct lmdb_store *s)
{
        _cleanup_free_ char *name = NULL;
        _cleanup_close_ int fd = -1;
        int r;

        if (asprintf(&name, "%s/%s", s->path, DATA_NEW) < 0) {
                name = NULL;
                return -ENOMEM;
        }
        if (unlinkat(s->dir_fd, DATA_NEW, 0) < 0 && errno != ENOENT)
                return -errno;
        r = lmdb_error(fill_new_data(name));
        if (r < 0)
                return r;
        fd = openat(s->dir_fd, DATA_NEW, O_RDWR | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                return -errno;
        return 0;
}

static bool may_be_in_new_store(const char *name)
{
        static const char *const names[] = { ".", "..", "lost+found", LMDB_LOCKS, DATA_NEW };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (strcmp(name, names[i]) == 0)
                        return true;
        return strncmp(name, "ashlar.", 7) == 0;
}

/* Refuses to make a store in a directory that holds anything else. */
static int check_empty(struct lmdb_store *s, struct err_text *text)
{
        _cleanup_close_ int fd = openat(s->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closedir_ptr) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        struct dirent *e;

        if (!dir)
                return err_set(text, errno, "%s: cannot list the directory: %s", s->path, err_str(errno));
        steal_fd(&fd);
        while ((e = readdir(dir)))
                if (!may_be_in_new_store(e->d_name))
                        return err_set(text, ENOTEMPTY,
                                       "%s: the directory is not empty and holds no store; "
                                       "give a new or an empty one",
                                       s->path);
        return 0;
}

static bool data_exists(const struct lmdb_store *s)
{
        struct stat st;

        return fstatat(s->dir_fd, LMDB_DATA, &st, 0) == 0 || errno != ENOENT;
}

static int create_data_locked(struct lmdb_store *s, struct err_text *text)
{
        int r;

        if (data_exists(s))
                return 0;
        r = check_empty(s, text);
        if (r < 0)
                return r;
        r = make_new_data(s);
        if (r >= 0 && renameat(s->dir_fd, DATA_NEW, s->dir_fd, LMDB_DATA) < 0)
                r = -errno;
        if (r < 0)
                unlinkat(s->dir_fd, DATA_NEW, 0);
        else
                r = sync_dir(s->dir_fd);
        if (r < 0)
                return err_set(text, -r, "%s: cannot make the store: %s", s->path, err_str(r));
        return 0;
}

/* Makes data.mdb if there is none. After a power failure there is none, or it is complete. */
static int create_data(struct lmdb_store *s, struct err_text *text)
{
        int r = lmdb_lock_create(&s->lock, true);

        if (r < 0)
                return err_set(text, -r, "%s: cannot make the store: %s", s->path, err_str(r));
        r = create_data_locked(s, text);
        lmdb_lock_create(&s->lock, false);
        return r;
}

static int make_dir(const char *path, struct err_text *text)
{
        _cleanup_free_ char *copy = strdup(path);
        _cleanup_close_ int parent = -1;
        size_t n;
        char *slash;

        if (!copy)
                return -ENOMEM;
        if (mkdir(path, 0700) < 0) {
                if (errno == EEXIST)
                        return 0;
                return err_set(text, errno, "%s: cannot make the directory: %s", path, err_str(errno));
        }
        for (n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
                copy[n - 1] = '\0';
        slash = strrchr(copy, '/');
        if (slash)
                slash[slash == copy] = '\0';
        parent = open(slash ? copy : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0 && errno == EACCES)
                return 0; /* the directory may be written but not read */
        if (parent < 0 || sync_dir(parent) < 0)
                return err_set(text, errno, "%s: cannot make the directory durable: %s", path,
                               err_str(errno));
        return 0;
}

static int open_dir(struct lmdb_store *s, const char *path, struct err_text *text)
{
        s->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s->dir_fd < 0) {
                if (errno == ENOENT)
                        return err_set(text, ENOENT, "%s: no such store; `ashlar mkfs %s` makes one", path,
                                       path);
                if (errno == ENOTDIR)
                        return err_set(text, ENOTDIR, "%s: not a store: a store is a directory", path);
                return err_set(text, errno, "%s: cannot open the store: %s", path, err_str(errno));
        }
        s->path = realpath(path, NULL);
        if (!s->path)
                return err_set(text, errno, "%s: cannot open the store: %s", path, err_str(errno));
        return 0;
}

static int open_data(struct lmdb_store *s, struct err_text *text)
{
        s->data_fd = openat(s->dir_fd, LMDB_DATA, (s->rdonly ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_CLOEXEC);
        if (s->data_fd < 0 && errno == EISDIR)
                return err_set(text, ERR_CORRUPT, "%s: " LMDB_DATA " is not a file", s->path);
        if (s->data_fd < 0)
                return err_set(text, errno, "%s: cannot open %s: %s", s->path, LMDB_DATA, err_str(errno));
        /* A writer changes pages during the check; it has checked the file itself. */
        if (lmdb_lock_has_writers(&s->lock))
                return 0;
        return lmdb_check_file(s->data_fd, s->path, CHECK_PAGES, text);
}

int lmdb_dir_open(struct lmdb_store *s, const char *path, const struct kv_open_opts *opts,
                  struct err_text *text)
{
        int r;

        if (path[0] == '\0')
                return err_set(text, EINVAL, "the store has no path: give a directory, as in lmdb:DIRECTORY");
        if (opts->flags & KV_OPEN_CREATE) {
                r = make_dir(path, text);
                if (r < 0)
                        return r;
        }
        r = open_dir(s, path, text);
        if (r < 0)
                return r;
        if (!(opts->flags & KV_OPEN_CREATE) && !data_exists(s))
                return err_set(text, ENOENT,
                               "%s: there is no store in this directory; `ashlar mkfs %s` makes one", path,
                               path);
        /* Before the lock file is made in it; create_data checks again. */
        if (!data_exists(s)) {
                r = check_empty(s, text);
                if (r < 0)
                        return r;
        }
        r = lmdb_lock_take(s->dir_fd, path, opts, &s->lock, text);
        if (r < 0)
                return r;
        if ((opts->flags & KV_OPEN_CREATE) && !data_exists(s)) {
                r = create_data(s, text);
                if (r < 0)
                        return r;
        }
        return open_data(s, text);
}

void lmdb_dir_close(struct lmdb_store *s)
{
        if (s->data_fd >= 0)
                close(s->data_fd);
        lmdb_lock_release(&s->lock);
        if (s->dir_fd >= 0)
                close(s->dir_fd);
        free(s->path);
}

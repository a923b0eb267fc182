/* SPDX-License-Identifier: MIT */
/* Which processes may open the store: locks on bytes of a file, "ashlar.lock", whose text names the owner.
 *
 * They are open file description locks (fcntl(2), F_OFD_SETLK): they end with the process, closing another
 * descriptor of the file does not release them, and they conflict within a process, too.
 *
 *   byte 0               exclusive owner: write lock; shared users: read locks
 *   byte 1               write lock while data.mdb is made
 *   WRITERS + Unix pid   write lock of each process that may write
 *   PROCESSES + Unix pid write lock of each process that uses LMDB's lock file
 *
 * Writers do not see a process that cannot write LMDB's lock file (no permission, read-only file system), and
 * would reuse pages that it reads. So it takes a read lock on all WRITERS: no process writes while it reads.
 * The last kind keeps a process from opening the store twice: the first close would release LMDB's own locks.
 */
#include "base/thread.h"
#include "kv/lmdb/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define LOCK_FILE "ashlar.lock"

#define BYTE_OWNER  0
#define BYTE_CREATE 1
#define WRITERS     (INT64_C(1) << 32)
#define WRITERS_LEN (INT64_C(1) << 32)
#define PROCESSES   (INT64_C(1) << 33)

#define POLL_NS        20000000
#define OWNER_TEXT_MAX 256

static int lock_op(int fd, int op, short type, int64_t start, int64_t len, struct flock *ret)
{
        struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
        int r;

        do
                r = fcntl(fd, op, &l);
        while (r < 0 && errno == EINTR);
        if (r < 0)
                return -errno;
        if (ret)
                *ret = l;
        return 0;
}

/* EBUSY if another lock conflicts. */
static int lock_byte(int fd, short type, int64_t start, int64_t len)
{
        int r = lock_op(fd, F_OFD_SETLK, type, start, len, NULL);

        return r == -EAGAIN || r == -EACCES ? -EBUSY : r;
}

static void write_owner(int fd, const char *owner)
{
        char text[OWNER_TEXT_MAX];
        int n;

        if (owner && owner[0])
                n = snprintf(text, sizeof(text), "%s\n", owner);
        else
                n = snprintf(text, sizeof(text), "process %d\n", (int)getpid());
        if (n >= (int)sizeof(text))
                n = sizeof(text) - 1;
        /* Only for messages: a failure does not matter. */
        if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0)
                return;
}

/* Reads the first line, without control characters. */
static void read_owner(int fd, char text[OWNER_TEXT_MAX])
{
        ssize_t n = pread(fd, text, OWNER_TEXT_MAX - 1, 0);

        text[n < 0 ? 0 : n] = '\0';
        text[strcspn(text, "\n")] = '\0';
        for (char *p = text; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        *p = '?';
        if (text[0] == '\0')
                strcpy(text, "another process");
}

/* Whether this process may write LMDB's lock file, or make it. */
static bool can_lock(int dir_fd)
{
        if (faccessat(dir_fd, LMDB_LOCKS, R_OK | W_OK, AT_EACCESS) == 0)
                return true;
        return errno == ENOENT && faccessat(dir_fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
}

static int open_lock_file(int dir_fd, bool rdonly, struct lmdb_lock *lock)
{
        int flags = O_RDWR | O_CREAT;

        lock->unlocked = rdonly && !can_lock(dir_fd);
        if (lock->unlocked)
                flags = O_RDONLY;
        lock->fd = openat(dir_fd, LOCK_FILE, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (lock->fd < 0 && !lock->unlocked && rdonly && (errno == EACCES || errno == EROFS)) {
                lock->unlocked = true;
                lock->fd = openat(dir_fd, LOCK_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        }
        if (lock->fd >= 0)
                return 0;
        /* Without the file no process has opened the store for writing. */
        return lock->unlocked && errno == ENOENT ? 0 : -errno;
}

enum { BUSY_OTHERS, BUSY_SELF, BUSY_WRITERS };

static int try_lock(const struct lmdb_lock *lock, unsigned flags, int *ret_why)
{
        int r;

        if (lock->unlocked) {
                *ret_why = BUSY_WRITERS;
                return lock_byte(lock->fd, F_RDLCK, WRITERS, WRITERS_LEN);
        }
        *ret_why = BUSY_SELF;
        r = lock_byte(lock->fd, F_WRLCK, PROCESSES + getpid(), 1);
        if (r < 0 || (flags & (KV_OPEN_RDONLY | KV_OPEN_EXCLUSIVE)) == KV_OPEN_RDONLY)
                return r;
        *ret_why = BUSY_OTHERS;
        r = lock_byte(lock->fd, flags & KV_OPEN_EXCLUSIVE ? F_WRLCK : F_RDLCK, BYTE_OWNER, 1);
        if (r >= 0) {
                r = lock_byte(lock->fd, F_WRLCK, WRITERS + getpid(), 1);
                if (r < 0)
                        lock_byte(lock->fd, F_UNLCK, BYTE_OWNER, 1);
        }
        if (r < 0)
                lock_byte(lock->fd, F_UNLCK, PROCESSES + getpid(), 1);
        return r;
}

static int busy(const struct lmdb_lock *lock, const char *path, int why, struct err_text *text)
{
        char owner[OWNER_TEXT_MAX];

        if (why == BUSY_SELF)
                return err_set(text, EBUSY, "%s: this process has the store open already", path);
        read_owner(lock->fd, owner);
        if (why == BUSY_WRITERS)
                return err_set(text, EBUSY,
                               "%s: the store is in use by %s; to read it at the same time, this user needs "
                               "permission to write its lock files",
                               path, owner);
        return err_set(text, EBUSY, "%s: the store is in use by %s", path, owner);
}

int lmdb_lock_take(int dir_fd, const char *path, const struct kv_open_opts *opts, struct lmdb_lock *ret,
                   struct err_text *text)
{
        uint64_t deadline_ns = thread_now_ns() + (uint64_t)opts->wait_ms * 1000000;
        struct lmdb_lock lock;
        int r, why;

        r = open_lock_file(dir_fd, opts->flags & KV_OPEN_RDONLY, &lock);
        if (r < 0)
                return err_set(text, -r, "%s: cannot open the lock file %s: %s", path, LOCK_FILE, err_str(r));
        if (lock.fd < 0) {
                *ret = lock;
                return 0;
        }
        while ((r = try_lock(&lock, opts->flags, &why)) == -EBUSY && why != BUSY_SELF &&
               thread_now_ns() < deadline_ns)
                nanosleep(&(struct timespec){ .tv_nsec = POLL_NS }, NULL);
        if (r < 0) {
                r = r == -EBUSY ? busy(&lock, path, why, text)
                                : err_set(text, -r, "%s: cannot lock the store: %s", path, err_str(r));
                close(lock.fd);
                return r;
        }
        if (!lock.unlocked && (opts->flags & (KV_OPEN_RDONLY | KV_OPEN_EXCLUSIVE)) != KV_OPEN_RDONLY)
                write_owner(lock.fd, opts->owner);
        *ret = lock;
        return 0;
}

void lmdb_lock_release(struct lmdb_lock *lock)
{
        if (lock->fd >= 0)
                close(lock->fd);
        lock->fd = -1;
}

bool lmdb_lock_has_writers(const struct lmdb_lock *lock)
{
        short type = lock->unlocked ? F_RDLCK : F_WRLCK;
        struct flock l;

        if (lock->fd < 0)
                return false;
        /* Locks of this descriptor do not conflict with it. */
        return lock_op(lock->fd, F_OFD_GETLK, type, WRITERS, WRITERS_LEN, &l) < 0 || l.l_type != F_UNLCK;
}

int lmdb_lock_create(const struct lmdb_lock *lock, bool on)
{
        return lock_op(lock->fd, F_OFD_SETLKW, on ? F_WRLCK : F_UNLCK, BYTE_CREATE, 1, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Which processes may open the store: locks on bytes of a file, "ashlar.lock", whose text names the writers.
 *
 * They are open file description locks (fcntl(2), F_OFD_SETLK): they end with the process, closing another
 * descriptor of the file does not release them, and they conflict within a process, too.
 *
 *   byte 0               exclusive owner: write lock; shared users: read locks
 *   byte 1               write lock while data.mdb is made
 *   byte 2               write lock while the text is changed
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
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOCK_FILE "ashlar.lock"

#define BYTE_OWNER  0
#define BYTE_CREATE 1
#define BYTE_NAMES  2
#define WRITERS     (INT64_C(1) << 32)
#define WRITERS_LEN (INT64_C(1) << 32)
#define PROCESSES   (INT64_C(1) << 33)

#define POLL_NS 20000000

#define OWNER_MAX   256   /* a line of the file */
#define OWNERS_MAX  16384 /* the file */
#define NAMES_SHOWN 2u    /* in a message */
#define NAMES_MAX   (NAMES_SHOWN * (OWNER_MAX + 5) + 32)

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

/* Whether the process PID may write. */
static bool is_writer(int fd, int64_t pid)
{
        struct flock l;

        /* A read lock conflicts with that of a writer, but not with that of a reader on all WRITERS. */
        return pid > 0 && pid < WRITERS_LEN && lock_op(fd, F_OFD_GETLK, F_RDLCK, WRITERS + pid, 1, &l) >= 0 &&
               l.l_type != F_UNLCK;
}

/* ---- names of the writers ------------------------------------------------------------------------- */

/* Reads the lines of the writers that exist into TEXT: "PID NAME", without control characters. Returns the
 * length. Processes that ended leave their lines behind; a lock cannot be left behind. */
static size_t read_owners(int fd, char text[OWNERS_MAX])
{
        ssize_t n = pread(fd, text, OWNERS_MAX - 1, 0);
        size_t used = 0;

        text[n < 0 ? 0 : n] = '\0';
        for (char *line = text, *end; *line; line = end) {
                int64_t pid = strtoll(line, NULL, 10);

                end = strchrnul(line, '\n');
                for (char *p = line; p < end; p++)
                        if ((unsigned char)*p < 0x20 || *p == 0x7f)
                                *p = '?';
                end += *end == '\n';
                if (end[-1] == '\n' && is_writer(fd, pid)) {
                        memmove(text + used, line, (size_t)(end - line));
                        used += (size_t)(end - line);
                }
        }
        text[used] = '\0';
        return used;
}

/* Adds this process. The file is only for messages: failures do not matter. */
static void write_owner(int fd, const char *owner)
{
        char text[OWNERS_MAX], line[OWNER_MAX];
        size_t n, len;

        if (owner && owner[0])
                snprintf(line, sizeof(line), "%d %s", (int)getpid(), owner);
        else
                snprintf(line, sizeof(line), "%d process %d", (int)getpid(), (int)getpid());
        len = strlen(line);
        if (lock_op(fd, F_OFD_SETLKW, F_WRLCK, BYTE_NAMES, 1, NULL) < 0)
                return;
        n = read_owners(fd, text);
        if (n + len + 1 <= sizeof(text)) {
                memcpy(text + n, line, len);
                text[n + len] = '\n';
                if (pwrite(fd, text, n + len + 1, 0) >= 0)
                        (void)!ftruncate(fd, (off_t)(n + len + 1));
        }
        lock_byte(fd, F_UNLCK, BYTE_NAMES, 1);
}

/* Writes the names of the writers to RET: "A", "A and B" or "A, B and 3 more". */
static void name_owners(int fd, char ret[NAMES_MAX])
{
        char text[OWNERS_MAX], *line = text, *save;
        size_t n = 0, count = 0, used = 0;

        read_owners(fd, text);
        for (const char *p = text; *p; p++)
                count += *p == '\n';
        strcpy(ret, "another process");
        for (line = strtok_r(text, "\n", &save); line && n < NAMES_SHOWN;
             line = strtok_r(NULL, "\n", &save)) {
                const char *between = n == 0 ? "" : n + 1 == count ? " and " : ", ";

                used += (size_t)snprintf(ret + used, NAMES_MAX - used, "%s%.*s", between, OWNER_MAX - 1,
                                         line + strcspn(line, " ") + 1);
                n++;
        }
        if (count > n)
                snprintf(ret + used, NAMES_MAX - used, " and %zu more", count - n);
}

/* ---- locks ---------------------------------------------------------------------------------------- */

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
        char owner[NAMES_MAX];

        if (why == BUSY_SELF)
                return err_set(text, EBUSY, "%s: this process has the store open already", path);
        name_owners(lock->fd, owner);
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

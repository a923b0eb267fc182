/* SPDX-License-Identifier: MIT */
/* The functions below are defined under their plain names, as LMDB calls them, and under those for 64-bit
 * offsets. */
#undef _FILE_OFFSET_BITS

#include "powerloss_record.h"

#include "base/lock.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR 512u

static struct {
        struct lock lock;
        bool on;
        struct recording r;
        size_t cap;
} rec = { .lock = LOCK_INIT };

/* ---- recording ---------------------------------------------------------------------------------- */

static void add_locked(struct event e)
{
        lock_assert_held(&rec.lock);
        if (!rec.on)
                return;
        if (rec.r.n == rec.cap) {
                rec.cap = rec.cap ? 2 * rec.cap : 1024;
                rec.r.events = realloc(rec.r.events, rec.cap * sizeof(e));
                assert(rec.r.events);
        }
        rec.r.events[rec.r.n++] = e;
}

static void add(struct event e)
{
        LOCK_GUARD(&rec.lock);
        add_locked(e);
}

void record_start(void)
{
        LOCK_GUARD(&rec.lock);
        rec.on = true;
}

struct recording record_stop(void)
{
        struct recording r;

        LOCK_GUARD(&rec.lock);
        r = rec.r;
        rec.r = (struct recording){ 0 };
        rec.cap = 0;
        rec.on = false;
        return r;
}

void record_free(struct recording *r)
{
        for (size_t i = 0; i < r->n; i++)
                free(r->events[i].data);
        free(r->events);
}

void record_note(enum event_kind kind, uint64_t number)
{
        add((struct event){ .kind = kind, .number = number });
}

enum file { FILE_OTHER, FILE_DATA, FILE_DIR };

/* The kind of FD, by its path: the data file under both of its names, or a directory. */
static enum file file_of(int fd)
{
        char link[64], path[512];
        const char *base;
        ssize_t n;

        if (!rec.on)
                return FILE_OTHER;
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, sizeof(path) - 1);
        if (n <= 0)
                return FILE_OTHER;
        path[n] = '\0';
        base = strrchr(path, '/');
        if (base && (strcmp(base, "/data.mdb") == 0 || strcmp(base, "/data.mdb.new") == 0))
                return FILE_DATA;
        return fcntl(fd, F_GETFL) & O_DIRECTORY ? FILE_DIR : FILE_OTHER;
}

/* Writes and records with the lock held, so that the recording has the order of the calls. A synced write,
 * too, is pending until it returns. */
static ssize_t record_write(int fd, const struct iovec *iov, int n, off_t offset)
{
        bool synced;
        struct event e = { .kind = EVENT_WRITE };
        ssize_t written;
        size_t at = 0;

        if (file_of(fd) != FILE_DATA)
                return syscall(SYS_pwritev, fd, iov, n, offset, 0);
        synced = fcntl(fd, F_GETFL) & O_DSYNC;
        LOCK_GUARD(&rec.lock);
        written = syscall(SYS_pwritev, fd, iov, n, offset, 0);
        if (written > 0) {
                e.offset = (uint64_t)offset;
                e.len = (size_t)written;
                e.synced = synced;
                e.data = malloc(e.len);
                assert(e.data);
                for (int i = 0; i < n && at < e.len; i++) {
                        size_t part = iov[i].iov_len < e.len - at ? iov[i].iov_len : e.len - at;

                        memcpy(e.data + at, iov[i].iov_base, part);
                        at += part;
                }
                add_locked(e);
        }
        return written;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
        struct iovec iov = { .iov_base = (void *)data, .iov_len = len };

        return record_write(fd, &iov, 1, offset);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t offset)
{
        return record_write(fd, iov, n, offset);
}

ssize_t writev(int fd, const struct iovec *iov, int n)
{
        off_t at;
        ssize_t written;

        if (file_of(fd) != FILE_DATA)
                return syscall(SYS_writev, fd, iov, n);
        at = lseek(fd, 0, SEEK_CUR);
        assert(at >= 0);
        written = record_write(fd, iov, n, at);
        if (written > 0)
                lseek(fd, at + written, SEEK_SET);
        return written;
}

ssize_t write(int fd, const void *data, size_t len)
{
        struct iovec iov = { .iov_base = (void *)data, .iov_len = len };

        if (file_of(fd) != FILE_DATA)
                return syscall(SYS_write, fd, data, len);
        return writev(fd, &iov, 1);
}

static int record_sync(int fd, long call)
{
        enum file file = file_of(fd);
        int r = (int)syscall(call, fd);

        if (r == 0 && file == FILE_DATA)
                add((struct event){ .kind = EVENT_SYNC });
        if (r == 0 && file == FILE_DIR)
                add((struct event){ .kind = EVENT_DIR_SYNC });
        return r;
}

int fsync(int fd)
{
        return record_sync(fd, SYS_fsync);
}

int fdatasync(int fd)
{
        return record_sync(fd, SYS_fdatasync);
}

int ftruncate(int fd, off_t size)
{
        enum file file = file_of(fd);
        int r;

        LOCK_GUARD(&rec.lock);
        r = (int)syscall(SYS_ftruncate, fd, size);
        if (r == 0 && file == FILE_DATA)
                add_locked((struct event){ .kind = EVENT_TRUNCATE, .offset = (uint64_t)size });
        return r;
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
        /* Allocation beyond the end changes neither contents nor size; other modes are not expected. */
        assert(file_of(fd) != FILE_DATA || mode == FALLOC_FL_KEEP_SIZE);
        return (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

int renameat(int dir, const char *from, int new_dir, const char *to)
{
        int r = (int)syscall(SYS_renameat, dir, from, new_dir, to);

        if (r == 0 && strcmp(to, "data.mdb") == 0)
                add((struct event){ .kind = EVENT_RENAME });
        return r;
}

/* Calls that are not modelled must not be used. */
int msync(void *p, size_t len, int flags)
{
        assert(!rec.on);
        return (int)syscall(SYS_msync, p, len, flags);
}

int sync_file_range(int fd, off_t offset, off_t len, unsigned flags)
{
        assert(!rec.on);
        return (int)syscall(SYS_sync_file_range, fd, offset, len, flags);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset) __attribute__((alias("pwrite")));
ssize_t pwritev64(int fd, const struct iovec *iov, int n, off_t offset) __attribute__((alias("pwritev")));
int ftruncate64(int fd, off_t size) __attribute__((alias("ftruncate")));
int fallocate64(int fd, int mode, off_t offset, off_t len) __attribute__((alias("fallocate")));

/* ---- crash states ------------------------------------------------------------------------------- */

/* Bytes beyond `size` stay zero. */
static void grow(uint8_t **bytes, size_t *cap, size_t wanted)
{
        size_t n = *cap ? *cap : 65536;

        if (wanted <= *cap)
                return;
        while (n < wanted)
                n *= 2;
        *bytes = realloc(*bytes, n);
        assert(*bytes);
        memset(*bytes + *cap, 0, n - *cap);
        *cap = n;
}

static void apply(const struct event *e, uint8_t **bytes, size_t *size, size_t *cap)
{
        if (e->kind == EVENT_TRUNCATE) {
                grow(bytes, cap, e->offset);
                if (e->offset < *size)
                        memset(*bytes + e->offset, 0, *size - e->offset);
                *size = e->offset;
        } else if (e->kind == EVENT_WRITE) {
                grow(bytes, cap, e->offset + e->len);
                memcpy(*bytes + e->offset, e->data, e->len);
                if (*size < e->offset + e->len)
                        *size = e->offset + e->len;
        }
}

static bool changes_file(const struct event *e)
{
        return e->kind == EVENT_WRITE || e->kind == EVENT_TRUNCATE;
}

void replay_to(struct replay *p, const struct recording *r, size_t at)
{
        p->recording = r;
        assert(at >= p->at && at <= r->n);
        for (; p->at < at; p->at++) {
                const struct event *e = &r->events[p->at];

                switch (e->kind) {
                case EVENT_SYNC:
                        for (; p->n_synced < p->at; p->n_synced++)
                                apply(&r->events[p->n_synced], &p->disk, &p->disk_size, &p->disk_cap);
                        break;
                case EVENT_WRITE:
                        /* LMDB has no pending writes before a synced one, or the order would be lost. */
                        if (e->synced) {
                                for (size_t i = p->n_synced; i < p->at; i++)
                                        assert(!changes_file(&r->events[i]));
                                apply(e, &p->disk, &p->disk_size, &p->disk_cap);
                                p->n_synced = p->at + 1;
                        }
                        break;
                case EVENT_RENAME:
                        p->renamed = true;
                        break;
                case EVENT_DIR_SYNC:
                        p->rename_durable = p->renamed;
                        break;
                case EVENT_STARTED:
                        p->started = e->number;
                        break;
                case EVENT_DURABLE:
                        p->durable = e->number;
                        p->opened = true;
                        break;
                case EVENT_TRUNCATE:
                        break;
                }
        }
}

/* Applies a part of a write: each of its sectors or pages with a probability of one half. */
static void apply_torn(const struct event *e, struct rng *g, uint8_t **bytes, size_t *size, size_t *cap)
{
        size_t unit = rng_below(g, 2) ? SECTOR : 4096, n;

        for (size_t at = 0; at < e->len; at += n) {
                struct event part = *e;

                n = unit - (e->offset + at) % unit;
                if (n > e->len - at)
                        n = e->len - at;
                part.offset = e->offset + at;
                part.data = e->data + at;
                part.len = n;
                if (rng_below(g, 2))
                        apply(&part, bytes, size, cap);
        }
}

void replay_crash(const struct replay *p, struct rng *g, struct crash_state *state)
{
        size_t cap = 0, size = p->disk_size, smallest = size, largest = size, n = 0;
        const struct event **pending;
        uint8_t *bytes = NULL;

        grow(&bytes, &cap, p->disk_size + 1);
        if (p->disk_size > 0)
                memcpy(bytes, p->disk, p->disk_size);
        /* The call that has not returned may be on the disk already. */
        pending = calloc(p->at - p->n_synced + 2, sizeof(*pending));
        assert(pending);
        for (size_t i = p->n_synced; i < p->at || (i == p->at && i < p->recording->n); i++)
                if (changes_file(&p->recording->events[i]))
                        pending[n++] = &p->recording->events[i];
        for (size_t i = n; i > 1; i--) {
                size_t j = rng_below(g, i);
                const struct event *e = pending[i - 1];

                pending[i - 1] = pending[j];
                pending[j] = e;
        }
        for (size_t i = 0; i < n; i++) {
                const struct event *e = pending[i];
                size_t end = e->offset + e->len;

                switch (rng_below(g, 4)) {
                case 0:
                        break;
                case 1:
                        if (e->kind == EVENT_WRITE) {
                                apply_torn(e, g, &bytes, &size, &cap);
                                break;
                        }
                        /* fall through */
                default:
                        apply(e, &bytes, &size, &cap);
                }
                if (e->kind == EVENT_TRUNCATE && end < smallest)
                        smallest = end;
                largest = end > largest ? end : largest;
        }
        free(pending);
        /* The size is written separately: any between the smallest and the largest, mostly that of the
         * writes. */
        if (largest > smallest && rng_below(g, 4) == 0) {
                grow(&bytes, &cap, largest);
                size = smallest + rng_below(g, (largest - smallest) / SECTOR + 1) * SECTOR;
        }
        state->bytes = bytes;
        state->size = size;
        state->renamed = p->rename_durable || (p->renamed && rng_below(g, 2));
        state->started = p->started;
        state->durable = p->durable;
        state->opened = p->opened;
}

void replay_free(struct replay *p)
{
        free(p->disk);
}

/* SPDX-License-Identifier: MIT */
#include "kv/lmdb/doorbell.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define DOORBELL_FILE "ashlar.doorbell"
#define MAP_BYTES     4096

struct lmdb_doorbell {
        _Atomic uint32_t *count; /* the first word of MAP_BYTES that are mapped */
};

static void *map_file(int dir_fd)
{
        _cleanup_close_ int fd =
                openat(dir_fd, DOORBELL_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct stat st;
        void *p;

        if (fd < 0 || fstat(fd, &st) < 0)
                return NULL;
        /* A file without allocated blocks would raise SIGBUS in the mapping on a full disk. */
        if (st.st_size < MAP_BYTES && posix_fallocate(fd, 0, MAP_BYTES) != 0)
                return NULL;
        p = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        return p == MAP_FAILED ? NULL : p;
}

int lmdb_doorbell_open(int dir_fd, bool shared, struct lmdb_doorbell **ret)
{
        _cleanup_free_ struct lmdb_doorbell *d = calloc(1, sizeof(*d));
        void *p = NULL;

        if (!d)
                return -ENOMEM;
        if (shared)
                p = map_file(dir_fd);
        if (!p)
                p = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return -errno;
        d->count = p;
        *ret = steal_ptr(d);
        return 0;
}

void lmdb_doorbell_close(struct lmdb_doorbell *d)
{
        if (!d)
                return;
        munmap((void *)d->count, MAP_BYTES);
        free(d);
}

void lmdb_doorbell_ring(struct lmdb_doorbell *d)
{
        atomic_fetch_add(d->count, 1);
        syscall(SYS_futex, d->count, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

uint32_t lmdb_doorbell_count(const struct lmdb_doorbell *d)
{
        return atomic_load(d->count);
}

void lmdb_doorbell_wait(struct lmdb_doorbell *d, uint32_t count, unsigned timeout_ms)
{
        struct timespec t = { .tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000 };

        syscall(SYS_futex, d->count, FUTEX_WAIT, count, &t, NULL, 0);
}

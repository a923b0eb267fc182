/* SPDX-License-Identifier: MIT */
/* The doorbell: a counter in a file that all processes map, and a futex on it. LMDB itself wakes nobody. */
#include "base/cleanup.h"
#include "kv/lmdb/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define BELL_FILE "ashlar.doorbell"
#define BELL_SIZE 4096

struct lmdb_doorbell {
        _Atomic uint32_t *count; /* a page */
};

static void *map_file(int dir_fd)
{
        _cleanup_close_ int fd = openat(dir_fd, BELL_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        struct stat st;
        void *p;

        if (fd < 0 || fstat(fd, &st) < 0)
                return NULL;
        if (st.st_size < BELL_SIZE && posix_fallocate(fd, 0, BELL_SIZE) != 0)
                return NULL;
        p = mmap(NULL, BELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        return p == MAP_FAILED ? NULL : p;
}

int lmdb_doorbell_open(int dir_fd, bool shared, struct lmdb_doorbell **ret)
{
        _cleanup_free_ struct lmdb_doorbell *b = calloc(1, sizeof(*b));
        void *p = NULL;

        if (!b)
                return -ENOMEM;
        if (shared)
                p = map_file(dir_fd);
        if (!p)
                p = mmap(NULL, BELL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
                return -errno;
        b->count = p;
        *ret = steal_ptr(b);
        return 0;
}

void lmdb_doorbell_close(struct lmdb_doorbell *b)
{
        if (!b)
                return;
        munmap((void *)b->count, BELL_SIZE);
        free(b);
}

void lmdb_doorbell_ring(struct lmdb_doorbell *b)
{
        atomic_fetch_add(b->count, 1);
        syscall(SYS_futex, b->count, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

uint32_t lmdb_doorbell_count(const struct lmdb_doorbell *b)
{
        return atomic_load(b->count);
}

void lmdb_doorbell_wait(struct lmdb_doorbell *b, uint32_t count, unsigned timeout_ms)
{
        struct timespec t = { .tv_sec = timeout_ms / 1000, .tv_nsec = (long)(timeout_ms % 1000) * 1000000 };

        syscall(SYS_futex, b->count, FUTEX_WAIT, count, &t, NULL, 0);
}

/* SPDX-License-Identifier: MIT */
#include "mount/tune.h"

#include "base/log.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define READAHEAD_KIB 2048

/* The write-behind overlay allocates and frees megabytes all the time. By default malloc returns such memory
 * to the kernel at once and takes it again, with a page fault for each page: 20 to 30 percent of the time of
 * bulk writes. The overlay is bounded, and so is the memory that is kept; with few arenas it is not kept
 * several times. */
#define MALLOC_KEEP_BYTES (64 << 20)
#define MALLOC_MMAP_BYTES (32 << 20)
#define MALLOC_ARENAS     2

void tune_process(void)
{
        /* To free memory, the kernel may wait until this process has written pages back; the allocations of
         * this process must not wait for that in turn. Needs CAP_SYS_RESOURCE. */
        prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
        mallopt(M_TRIM_THRESHOLD, MALLOC_KEEP_BYTES);
        mallopt(M_MMAP_THRESHOLD, MALLOC_MMAP_BYTES);
        mallopt(M_ARENA_MAX, MALLOC_ARENAS);
}

void tune_readahead(dev_t dev)
{
        char path[64], text[16];
        int fd, n;

        snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(dev), minor(dev));
        fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return;
        n = snprintf(text, sizeof(text), "%d", READAHEAD_KIB);
        if (write(fd, text, (size_t)n) < 0)
                log_debug("cannot set %s", path);
        close(fd);
}

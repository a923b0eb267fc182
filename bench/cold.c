/* SPDX-License-Identifier: MIT */
/* Cold caches. drop_caches takes entries and inodes, but an inode that has pages stays; dropping all
 * pages of the machine would also take what the file systems below the mounts have in memory, which is
 * not the question. So the pages go file by file, and then the rest. */
#include "bench.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

DEFINE_CLEANUP(DIR, closedir);

/* Our own trees are not deep. */
static int drop_pages(int dir_fd)
{
        _cleanup_(closedir_ptr) DIR *d = NULL;
        int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
        struct dirent *e;

        d = fd >= 0 ? fdopendir(fd) : NULL;
        if (!d)
                return -errno;
        while (r == 0 && (e = readdir(d))) {
                _cleanup_close_ int child = -1;

                if ((e->d_type != DT_REG && e->d_type != DT_DIR) || strcmp(e->d_name, ".") == 0 ||
                    strcmp(e->d_name, "..") == 0)
                        continue;
                child = openat(fd, e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
                if (child < 0)
                        return -errno;
                if (e->d_type == DT_DIR)
                        r = drop_pages(child);
                else
                        r = -posix_fadvise(child, 0, 0, POSIX_FADV_DONTNEED);
        }
        return r < 0 ? r : -posix_fadvise(dir_fd, 0, 0, POSIX_FADV_DONTNEED);
}

int target_drop_entries(const struct target *t)
{
        _cleanup_close_ int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);

        if (fd < 0 || write(fd, "2\n", 2) != 2)
                return -errno;
        return target_settle(t); /* until the daemon has dropped the inodes that the kernel dropped */
}

int target_make_cold(const struct target *t, int dir_fd)
{
        int r = target_settle(t);

        if (r == 0)
                r = drop_pages(dir_fd);
        return r < 0 ? r : target_drop_entries(t);
}

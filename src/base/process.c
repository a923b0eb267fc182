/* SPDX-License-Identifier: MIT */
#include "base/process.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* Returns the length or a negative errno. */
static ssize_t read_text(const char *path, char *text, size_t cap)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = read(fd, text, cap - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        return n;
}

struct stat_line {
        char state;
        uint64_t threads, start_time;
};

/* Field 2 of /proc/PID/stat is a name in parentheses that may contain any byte, so fields are counted from
 * its end: 3 is the state, 20 the number of threads, 22 the start time. */
static int read_stat(const char *path, struct stat_line *ret)
{
        char text[2048], *at;
        ssize_t n = read_text(path, text, sizeof(text));

        if (n < 0)
                return (int)n;
        at = strrchr(text, ')');
        if (!at || sscanf(at,
                          ") %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64
                          " %*s %" SCNu64,
                          &ret->state, &ret->threads, &ret->start_time) != 3)
                return -EIO;
        return 0;
}

void process_self(struct process_id *ret)
{
        struct stat_line line;
        struct stat ns;

        *ret = (struct process_id){ .pid = (uint64_t)getpid() };
        if (gethostname(ret->host, sizeof(ret->host) - 1) < 0)
                ret->host[0] = '\0';
        if (read_text("/proc/sys/kernel/random/boot_id", ret->boot_id, sizeof(ret->boot_id)) < 0)
                ret->boot_id[0] = '\0';
        ret->boot_id[strcspn(ret->boot_id, "\n")] = '\0';
        if (stat("/proc/self/ns/pid", &ns) == 0)
                ret->pid_namespace = ns.st_ino;
        if (read_stat("/proc/self/stat", &line) == 0)
                ret->start_time = line.start_time;
}

bool process_is_gone(uint64_t pid, uint64_t start_time)
{
        struct stat_line line;
        char path[64];
        int r;

        if (pid == 0 || start_time == 0)
                return false;
        snprintf(path, sizeof(path), "/proc/%" PRIu64 "/stat", pid);
        r = read_stat(path, &line);
        /* A process that ends during the read gives ESRCH. An absent entry proves nothing where /proc is
         * missing or hides the processes of others. */
        if (r == -ENOENT || r == -ESRCH)
                return access("/proc/1/stat", R_OK) == 0;
        if (r < 0)
                return false;
        if (line.start_time != start_time)
                return true;
        /* Other threads of a zombie may still run. */
        return (line.state == 'Z' || line.state == 'X') && line.threads <= 1;
}

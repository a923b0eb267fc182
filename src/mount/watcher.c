/* SPDX-License-Identifier: MIT */
#include "mount/watcher.h"

#include "fuse/mountpoint/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

/* How long the kernel may take to close the descriptors of a dead process. */
#define DEATH_POLLS   100
#define DEATH_POLL_MS 50

/* How long threads of a dead process may take to end. */
#define THREADS_END_MS 1000

static void detach(int keep)
{
        int null = open("/dev/null", O_RDWR);

        for (int fd = 0; fd <= 2; fd++)
                dup2(null, fd);
        dup2(keep, 3);
        close_range(4, ~0U, 0);
        setsid();
        if (chdir("/") < 0)
                _exit(1);
        /* A signal to all processes of the mount must not end the watcher before the mount process. */
        signal(SIGTERM, SIG_IGN);
        signal(SIGINT, SIG_IGN);
        signal(SIGHUP, SIG_IGN);
        prctl(PR_SET_NAME, "mount-watcher");
}

/* The connection to the kernel ends when the last descriptor of the dead process is closed, which may be
 * later than the end of the pipe. A mount point that answers is another mount. */
static void unmount_if_dead(const char *dir)
{
        struct timespec pause = { .tv_nsec = DEATH_POLL_MS * 1000000L };

        for (int i = 0; i < DEATH_POLLS; i++) {
                if (fuse_unmount_dead(dir) == 1)
                        return;
                nanosleep(&pause, NULL);
        }
}

/* A signal when the thread dies that started the watcher. Returns a descriptor to poll. */
static int signal_of_death(void)
{
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_BLOCK, &set, NULL);
        prctl(PR_SET_PDEATHSIG, SIGUSR1);
        return signalfd(-1, &set, 0);
}

/* Whether the signal is one of signal_of_death: it comes from the process that dies. */
static bool has_died(int death, pid_t parent)
{
        struct signalfd_siginfo info;

        return read(death, &info, sizeof(info)) == sizeof(info) && info.ssi_pid == (uint32_t)parent;
}

/* Waits for the end of the pipe. It does not come if a thread of the dead process waits in the kernel for a
 * reply of that process (fuse_notify_pages): such a thread cannot be killed, and keeps all descriptors
 * open. */
static void wait_for_pipe(const char *dir, int pipe, int death, pid_t parent)
{
        struct pollfd fds[] = { { .fd = pipe, .events = POLLIN }, { .fd = death, .events = POLLIN } };
        int r;

        do
                r = poll(fds, 2, -1);
        while (r < 0 || (!fds[0].revents && !has_died(death, parent)));
        if (!fds[0].revents && poll(fds, 1, THREADS_END_MS) == 0)
                fuse_abort(dir);
}

static void watch(const char *dir, int fd)
{
        pid_t parent = getppid();
        char byte;
        ssize_t n;

        detach(fd);
        wait_for_pipe(dir, 3, signal_of_death(), parent);
        do
                n = read(3, &byte, 1);
        while (n < 0 && errno == EINTR);
        if (n == 0)
                unmount_if_dead(dir);
        _exit(0);
}

int watcher_start(const char *dir, int *ret)
{
        int fds[2];
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        pid = fork();
        if (pid < 0) {
                int err = errno;

                close(fds[0]);
                close(fds[1]);
                return -err;
        }
        if (pid == 0) {
                close(fds[1]);
                watch(dir, fds[0]);
        }
        close(fds[0]);
        *ret = fds[1];
        return 0;
}

void watcher_dismiss(int fd)
{
        ssize_t n;

        if (fd < 0)
                return;
        n = write(fd, "", 1);
        (void)n; /* it may be gone */
        close(fd);
}

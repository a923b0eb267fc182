/* SPDX-License-Identifier: MIT */
/* Starts the process that serves a mount. */
#include "cmd/mount_start.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "cmd/cmd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* The new process reports through a pipe: a zero byte and the transport when the directory can be used, or
 * one line of error. */
static int report_ready(const char *transport, void *arg)
{
        int *fd = arg;
        struct iovec iov[] = {
                { .iov_base = "", .iov_len = 1 },
                { .iov_base = (void *)transport, .iov_len = strlen(transport) },
        };
        ssize_t n = writev(*fd, iov, 2);

        close(*fd);
        *fd = -1;
        return n > 0 ? 0 : -1;
}

/* Closes all descriptors of the caller but REPORT: a pipe that the caller had open would otherwise not end
 * before the mount does. */
static void detach_from_caller(int report)
{
        int null;

        if (report > 3)
                close_range(3, (unsigned)report - 1, 0);
        close_range((unsigned)report + 1, ~0U, 0);
        null = open("/dev/null", O_RDWR | O_CLOEXEC);
        setsid();
        if (chdir("/") < 0 || null < 0)
                _exit(CMD_FAILED);
        for (int fd = 0; fd <= 2; fd++)
                dup2(null, fd);
        if (null > 2)
                close(null);
}

static int serve_in_background(struct mount_job *job, int report)
{
        struct err_text text;
        int r;

        detach_from_caller(report);
        log_setup(LOG_TARGET_SYSLOG, job->options.fuse.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
        job->ready = report_ready;
        job->arg = &report;
        r = mount_serve(job, &text);
        if (r == 0)
                return CMD_OK;
        if (report < 0) {
                log_error("%s", text.text);
                return CMD_FAILED;
        }
        if (write(report, text.text, strlen(text.text)) < 0)
                log_error("%s", text.text); /* the parent is gone */
        return CMD_FAILED;
}

/* Waits for the report, which is complete when its writer closes the pipe. Returns the exit code. */
static int wait_for_report(int fd, pid_t pid, const struct mount_job *job, bool verbose)
{
        struct err_text text;
        size_t used = 0;
        ssize_t n;

        while (used < sizeof(text.text) - 1) {
                n = read(fd, text.text + used, sizeof(text.text) - 1 - used);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                used += (size_t)n;
        }
        text.text[used] = '\0';
        if (used > 0 && text.text[0] == '\0') {
                if (verbose)
                        printf("%s is mounted at %s, transport: %s\n", job->url, job->dir, text.text + 1);
                return cmd_finish_output(CMD_OK);
        }
        waitpid(pid, NULL, 0);
        if (used == 0)
                err_set(&text, EIO, "the mount process ended unexpectedly; the system log may say why");
        return cmd_failed(&text);
}

int mount_run_background(struct mount_job *job, bool verbose)
{
        struct err_text text;
        int fds[2];
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0) {
                err_set(&text, errno, "cannot make a pipe: %s", err_str(errno));
                return cmd_failed(&text);
        }
        pid = fork();
        if (pid < 0) {
                err_set(&text, errno, "cannot start a process: %s", err_str(errno));
                return cmd_failed(&text);
        }
        if (pid == 0) {
                close(fds[0]);
                _exit(serve_in_background(job, fds[1]));
        }
        close(fds[1]);
        return wait_for_report(fds[0], pid, job, verbose);
}

int mount_run_foreground(const struct mount_job *job)
{
        struct err_text text;

        log_setup(LOG_TARGET_STDERR, job->options.fuse.debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
        return mount_serve(job, &text) < 0 ? cmd_failed(&text) : CMD_OK;
}

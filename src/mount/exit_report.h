/* SPDX-License-Identifier: MIT */
/* The result of a mount process: whether everything that was acknowledged is committed. umount(2) returns
 * while the process may still be committing, and the exit code of a process in the background is lost. So a
 * program that is going to unmount connects to it first, over a socket in the abstract namespace, and
 * receives the report when the process ends. */
#ifndef MOUNT_EXIT_REPORT_H
#define MOUNT_EXIT_REPORT_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* ---- the mount process -------------------------------------------------------------------------- */

/* Lets programs connect from now on. URL and DIR name the mount, as in the table of mounts. *RET is for
 * exit_report_send. */
int exit_report_listen(const char *url, const char *dir, int *ret);

/* Reports to all that have connected: TEXT, or NULL if everything is committed. Closes FD; -1: does
 * nothing. */
void exit_report_send(int fd, const char *text);

/* ---- the program that unmounts -------------------------------------------------------------------- */

/* Connects to the process that serves the mount, which OWNER started, before unmounting. Negative: it does
 * not listen; *RET is to be closed otherwise. */
int exit_report_connect(const char *url, const char *dir, uid_t owner, int *ret);

/* Waits up to TIMEOUT_MS (-1: no limit) for the report: 0 everything is committed, EAGAIN not yet, EIO with
 * TEXT: something is lost, ECONNRESET the process ended without a report. */
int exit_report_receive(int fd, int timeout_ms, struct err_text *text);

#endif

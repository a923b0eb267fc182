/* SPDX-License-Identifier: MIT */
/* The last words of a mount process: whether all that was acknowledged is written. umount(2) returns while it
 * may still be committing, its exit code goes to nobody, and the disk of the store may be full or broken: so
 * it tells whoever called it before, over a socket without a place in the file system. */
#ifndef MOUNT_EXIT_REPORT_H
#define MOUNT_EXIT_REPORT_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* ---- the mount process -------------------------------------------------------------------------- */

/* Can be called from now on. URL and DIR name the mount, as in the table of mounts. *RET to be handed to
 * exit_report_send(). */
int exit_report_listen(const char *url, const char *dir, int *ret);

/* Tells all who called: TEXT, or NULL if everything is written. Closes FD; -1: does nothing. */
void exit_report_send(int fd, const char *text);

/* ---- who unmounts ------------------------------------------------------------------------------- */

/* Calls the process that serves the mount, which OWNER started. Before unmounting, or it may be gone.
 * Negative: it does not answer; *RET to be closed otherwise. */
int exit_report_connect(const char *url, const char *dir, uid_t owner, int *ret);

/* Waits up to TIMEOUT_MS (-1: without end) for its last words: 0 all is written, EAGAIN not yet, EIO with
 * TEXT: something was lost, ECONNRESET it ended without a word. */
int exit_report_receive(int fd, int timeout_ms, struct err_text *text);

#endif

/* SPDX-License-Identifier: MIT */
/* A small process that unmounts when the process that serves a mount dies. Otherwise every access to the
 * directory would fail with ENOTCONN until it is unmounted by hand. */
#ifndef MOUNT_WATCHER_H
#define MOUNT_WATCHER_H

/* Starts it for the mount that is going to be at DIR. To be called before there are threads, and before
 * descriptors are open that the watcher must not inherit. While *RET is open, this process counts as alive.
 * Negative errno. */
int watcher_start(const char *dir, int *ret);

/* Ends the watcher and closes FD. Takes -1. */
void watcher_dismiss(int fd);

#endif

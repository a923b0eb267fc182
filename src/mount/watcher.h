/* SPDX-License-Identifier: MIT */
/* A small process that unmounts when the one that serves a mount dies: without it every access to the
 * directory would fail with ENOTCONN until somebody unmounts by hand. */
#ifndef MOUNT_WATCHER_H
#define MOUNT_WATCHER_H

/* Starts it, for the mount at DIR that is to come. Call before there are threads and before anything is
 * opened that the watcher should not hold. *RET is a descriptor by which it knows that this process
 * lives. Negative errno. */
int watcher_start(const char *dir, int *ret);

/* There is nothing to clean up any more: the watcher goes away. Takes -1. */
void watcher_dismiss(int fd);

#endif

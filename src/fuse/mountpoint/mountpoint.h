/* SPDX-License-Identifier: MIT */
/* Mounting and unmounting: by mount(2) and umount2(2), or by fusermount3 without the privilege. */
#ifndef FUSE_MOUNTPOINT_MOUNTPOINT_H
#define FUSE_MOUNTPOINT_MOUNTPOINT_H

#include "base/err.h"

#include <stdbool.h>

#define FUSE_MOUNT_TYPE "fuse.ashlar" /* the type in /proc/self/mountinfo */

struct fuse_mount_opts {
        const char *source;  /* the device shown by mount(8) and df(1): the store's URL */
        unsigned long flags; /* MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_SYNCHRONOUS, MS_DIRSYNC,
                              * MS_RELATIME, MS_NOATIME, MS_STRICTATIME */
        bool allow_other;    /* admit all users, not only the mounting one */
};

/* Mounts at DIR, an absolute path; the kernel checks permissions (default_permissions). Returns the open
 * /dev/fuse, close-on-exec, for fuse_server_new; accesses to DIR block until it is served. Errors, with
 * TEXT: ENODEV (no /dev/fuse), EPERM, EACCES, ENOENT (no fusermount3), ... */
int fuse_mount(const char *dir, const struct fuse_mount_opts *opts, int *ret, struct err_text *text);

/* Unmounts DIR. LAZY: also while it is in use; the mount then ends with its last user. Does not access the
 * file system, so it works for a dead one. Errors, with TEXT: EBUSY, EINVAL (not a mount point), EPERM,
 * ENOENT. */
int fuse_unmount(const char *dir, bool lazy, struct err_text *text);

/* Unmounts the mount at DIR if its server is gone; never a live mount, also not one that replaces it
 * during the call. 1: unmounted; 0: the mount is live; or a negative errno. */
int fuse_unmount_dead(const char *dir);

/* Fails all requests to the mount at DIR, for a server that died while one of its threads waits in the kernel
 * for its own reply, which keeps the connection open. Negative errno: ENOENT (not mounted), EPERM (for
 * others than root without /sys/fs/fuse/connections), ... */
int fuse_abort(const char *dir);

/* Gives the mount at DIR the flags FLAGS, all of them; the kernel writes back its dirty pages first. For
 * root. EBUSY with TEXT: it was to become read-only, and files are open for writing. */
int fuse_remount(const char *dir, unsigned long flags, struct err_text *text);

#endif

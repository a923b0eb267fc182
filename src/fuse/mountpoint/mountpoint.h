/* SPDX-License-Identifier: MIT */
/* Mounting and unmounting a directory: mount(2) and umount2(2) for those who may, fusermount3 for others. */
#ifndef FUSE_MOUNTPOINT_MOUNTPOINT_H
#define FUSE_MOUNTPOINT_MOUNTPOINT_H

#include "base/err.h"

#include <stdbool.h>

#define FUSE_MOUNT_TYPE "fuse.ashlar" /* in /proc/self/mountinfo */

struct fuse_mount_opts {
        const char *source;  /* what mount(8) and df(1) show as the device: the store's URL */
        unsigned long flags; /* MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_SYNCHRONOUS, MS_DIRSYNC,
                              * MS_RELATIME, MS_NOATIME, MS_STRICTATIME */
        bool allow_other;    /* let in others than the user who mounts */
};

/* Mounts at DIR, an absolute path; permissions are checked by the kernel (default_permissions). *RET is the
 * open /dev/fuse, close-on-exec, to be served (af.h): until then whoever looks at DIR waits.
 * Errors with TEXT: ENODEV (no /dev/fuse), EPERM, EACCES, ENOENT (no fusermount3), ... */
int fuse_mount(const char *dir, const struct fuse_mount_opts *opts, int *ret, struct err_text *text);

/* Unmounts DIR; LAZY: also while in use, it then ends with its last user. Does not touch the file system
 * itself, so that it works for a dead one. EBUSY (TEXT says no more than that), EINVAL (not a mount
 * point), EPERM, ENOENT. */
int fuse_unmount(const char *dir, bool lazy, struct err_text *text);

/* Unmounts what is mounted at DIR if its server is gone, and nothing else: neither a living mount nor one
 * that takes its place meanwhile. 1: it did; 0: what is there lives; or a negative errno. */
int fuse_unmount_dead(const char *dir);

/* Gives the mount at DIR the flags FLAGS, all of them; the kernel writes back its dirty pages first. For root. EBUSY
 * with TEXT: it was to become read-only, and files are open for writing. */
int fuse_remount(const char *dir, unsigned long flags, struct err_text *text);

#endif

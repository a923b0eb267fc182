/* SPDX-License-Identifier: MIT */
/* fusermount3, the set-user-id program by which ordinary users mount and unmount FUSE file systems. */
#ifndef FUSE_MOUNTPOINT_FUSERMOUNT_H
#define FUSE_MOUNTPOINT_FUSERMOUNT_H

#include "fuse/mountpoint/mountpoint.h"

/* As fuse_mount and fuse_unmount. */
int fusermount_mount(const char *dir, const struct fuse_mount_opts *opts, int *ret, struct err_text *text);
int fusermount_unmount(const char *dir, bool lazy, struct err_text *text);

#endif

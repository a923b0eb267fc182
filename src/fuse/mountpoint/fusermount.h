/* SPDX-License-Identifier: MIT */
/* Mounting and unmounting by fusermount3, the set-user-id program for users without privileges. */
#ifndef FUSE_MOUNTPOINT_FUSERMOUNT_H
#define FUSE_MOUNTPOINT_FUSERMOUNT_H

#include "fuse/mountpoint/mountpoint.h"

/* As fuse_mount and fuse_unmount (mountpoint.h). */
int fusermount_mount(const char *dir, const struct fuse_mount_opts *opts, int *ret, struct err_text *text);
int fusermount_unmount(const char *dir, bool lazy, struct err_text *text);

#endif

/* SPDX-License-Identifier: MIT */
/* The steps of ashlar mount, and of umount. */
#ifndef CMD_MOUNT_START_H
#define CMD_MOUNT_START_H

#include "fuse/mountpoint/mountinfo.h"
#include "mount/serve.h"

/* Checks that the store URL can be mounted at the directory GIVEN with the options O, as far as that shows
 * before the store is opened; clears dead mounts from there. *RET_DIR is the directory without symlinks, to
 * be freed. Errors with TEXT. */
int mount_check(const struct mount_options *o, const char *url, const char *given, char **ret_dir,
                struct err_text *text);

/* Serves JOB, logging to stderr. Returns the exit code when the mount has ended. */
int mount_run_foreground(const struct mount_job *job);

/* Serves JOB in a new process that logs to the system log. Returns the exit code when the directory can be
 * used, and prints a line if it cannot, or with VERBOSE. */
int mount_run_background(struct mount_job *job, bool verbose);

/* Changes the mount at the directory GIVEN to the options O; those that were not given stay as they are,
 * unless O are HELPER's (see mount_options_init). Returns the exit code; errors are printed. */
int mount_remount(const struct mount_options *o, bool helper, const char *given);

/* Finds the ashlar file system that is mounted at GIVEN. Errors with TEXT. */
int mount_find(const char *given, struct fuse_mountinfo *ret, struct err_text *text);

#endif

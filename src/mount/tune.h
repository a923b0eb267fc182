/* SPDX-License-Identifier: MIT */
/* Settings of the process and the kernel that make a mount faster or safer. A failure is ignored. */
#ifndef MOUNT_TUNE_H
#define MOUNT_TUNE_H

#include <sys/types.h>

/* Sets up the process that serves, before it has threads. */
void tune_process(void);

/* Sets a longer read-ahead than the default of 128 KiB for the mounted file system DEV. Needs root. */
void tune_readahead(dev_t dev);

#endif

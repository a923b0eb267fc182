/* SPDX-License-Identifier: MIT */
/* What the kernel lets us set around a mount; all of it is optional. */
#ifndef MOUNT_TUNE_H
#define MOUNT_TUNE_H

#include <sys/types.h>

/* For the process that serves, before it has threads. */
void tune_process(void);

/* Reads ahead further than the kernel's 128 KiB in files of the mounted file system DEV. Needs root. */
void tune_readahead(dev_t dev);

#endif

/* SPDX-License-Identifier: MIT */
/* Requests to a running mount process, over a socket that is named after the device number of the mounted
 * file system: so bind mounts of it work as well as the mount itself. Requests are text. */
#ifndef MOUNT_CONTROL_H
#define MOUNT_CONTROL_H

#include "base/err.h"

#include <sys/types.h>

/* ---- the mount process ---------------------------------------------------------------------------- */

struct mount_control;

/* Carries out a request, in the thread of the control. 0, or an error with TEXT. */
typedef int (*mount_control_fn)(const char *request, void *arg, struct err_text *text);

/* Starts a thread that takes requests of root and of the user that mounted DEV, one at a time. Negative
 * errno. */
int mount_control_start(dev_t dev, mount_control_fn fn, void *arg, struct mount_control **ret);

/* Waits for the request in progress and ends the thread. Takes NULL. */
void mount_control_stop(struct mount_control *c);

/* ---- other programs ------------------------------------------------------------------------------- */

/* Sends REQUEST to the process that serves DEV, which OWNER started, and waits until it is carried out.
 * Errors with TEXT. */
int mount_control_call(dev_t dev, uid_t owner, const char *request, struct err_text *text);

#endif

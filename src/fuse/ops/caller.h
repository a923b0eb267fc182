/* SPDX-License-Identifier: MIT */
/* Capabilities of the process that made a request, which the kernel does not report. */
#ifndef FUSE_OPS_CALLER_H
#define FUSE_OPS_CALLER_H

#include "fuse/proto/request.h"

/* Whether the caller has CAPABILITY (CAP_*, effective) now. Reads /proc; where the process is not visible
 * there, root counts as having all of them. */
bool fuse_caller_has(const struct fuse_req *r, unsigned capability);

#endif

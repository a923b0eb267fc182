/* SPDX-License-Identifier: MIT */
/* A connection to the kernel as the codec, the replies and the notifications know it. Operations that need
 * more embed it as the first member of a structure of their own (ops/ops.h). */
#ifndef FUSE_PROTO_CONN_H
#define FUSE_PROTO_CONN_H

#include "fuse/options.h"
#include "fuse/proto/policy.h"

#include <sys/types.h>

struct fuse_interrupts; /* interrupts.h */
struct fuse_ops;        /* ops.h */

struct fuse_conn {
        const struct fuse_ops *ops;
        struct fuse_policy policy;
        struct fuse_opts opts;
        struct fuse_interrupts *interrupts; /* NULL: requests cannot be interrupted */
        /* Set by the server. */
        uid_t owner; /* the mounting user */
        int fuse_fd; /* for notifications (notify.h); the server's */
};

#endif

/* SPDX-License-Identifier: MIT */
/* What the operations know: the file system, the options, the policy and the table of directory positions.
 * Nothing of the transport. */
#ifndef FUSE_PROTO_CONN_H
#define FUSE_PROTO_CONN_H

#include "fuse/fuse.h"
#include "fuse/proto/policy.h"

#include <sys/types.h>

struct dirpos;   /* ops/dirpos.h */
struct fuse_ops; /* ops.h */

struct fuse_conn {
        const struct fuse_ops *ops;
        struct fuse_policy policy;
        struct fuse_opts opts;
        uid_t owner;                /* who mounts */
        int fuse_fd;                /* for notifications (notify.h); the server's */
        struct fuse_waits *waiting; /* NULL: no request waits for others */
        /* The rest is the operations' (ops.c) and may be empty with others. */
        struct fs *fs;
        struct dirpos *positions;
};

#endif

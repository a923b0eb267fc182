/* What the operations know: the file system, the options, the policy and the table of directory positions.
 * Nothing of the transport. */
#ifndef FUSE_CORE_H
#define FUSE_CORE_H

#include "fuse/af.h"
#include "fuse/dirpos.h"
#include "fuse/policy.h"

#include <sys/types.h>

struct af_ops;

struct af_core {
        const struct af_ops *ops;
        struct af_policy policy;
        struct af_opts opts;
        uid_t owner; /* who mounts */
        int fuse_fd; /* for notifications (notify.h); the server's */
        struct af_waiting *waiting; /* NULL: no request waits for others */
        /* The rest is the operations' (ops.c) and may be empty with others. */
        struct fs *fs;
        struct dirpos *positions;
};

#endif

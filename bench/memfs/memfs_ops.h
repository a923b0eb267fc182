/* SPDX-License-Identifier: MIT */
/* The FUSE operations of memfs, over a root inode. */
#ifndef MEMFS_OPS_H
#define MEMFS_OPS_H

#include "fuse/proto/ops.h"
#include "memfs.h"

/* The connection given to the server. */
struct memfs {
        struct fuse_conn conn;
        struct mem_inode *root;
};

extern const struct fuse_ops memfs_ops;

#endif

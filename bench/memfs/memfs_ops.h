/* The FUSE operations of memfs, over a root inode. */
#ifndef MEMFS_OPS_H
#define MEMFS_OPS_H

#include "memfs.h"
#include "fuse/ops.h"

/* What a server is given as its core. */
struct memfs {
        struct af_core core;
        struct mem_inode *root;
};

extern const struct af_ops memfs_ops;

#endif

/* The FUSE operations of memfs, over a root inode. */
#ifndef MEMFS_OPS_H
#define MEMFS_OPS_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "memfs.h"

/* What a session is given as its user data. */
struct memfs {
        struct mem_inode *root;
        bool writeback;         /* let the kernel gather writes */
        uint64_t offered;       /* flags of the kernel's INIT request */
        atomic_bool initialized; /* the INIT reply was sent */
};

extern const struct fuse_lowlevel_ops memfs_ops;

#endif

/* SPDX-License-Identifier: MIT */
/* What the kernel is asked to do and to cache: data, one policy a mode of mounting. */
#ifndef FUSE_PROTO_POLICY_H
#define FUSE_PROTO_POLICY_H

#include "fuse/fuse.h"

/* Without end, but far from where seconds overflow. */
#define FUSE_FOREVER_MS (UINT64_C(1000) << 31)

/* A request's data, read or write. What the kernel takes at most (256 pages). */
#define FUSE_IO_BYTES (UINT32_C(1) << 20)

/* Requests in the background (readahead, writeback, direct I/O) that the kernel sends before it waits. */
#define FUSE_MAX_BACKGROUND 64u

/* Readahead, in bytes, for one sequential reader; beyond the kernel's default only as root. */
#define FUSE_READAHEAD_BYTES (UINT32_C(2) << 20)

struct fuse_policy {
        /* Features (flags of FUSE_INIT, 64 bits) to switch on where the kernel offers them. */
        uint64_t features;
        /* Opcodes that are answered with ENOSYS, so that the kernel does them itself, or never asks again:
         * bit N for opcode N. */
        uint64_t never;
        /* How long names, their absence and attributes may be cached. */
        uint64_t entry_valid_ms, negative_valid_ms, attr_valid_ms;
        /* FOPEN_* of files and of directories; of files, also in replies to CREATE. */
        uint32_t file_flags, dir_flags;
};

/* For a mount beside which nobody changes the file system. */
struct fuse_policy fuse_policy_exclusive(const struct fuse_opts *opts);

/* For one of several mounts. OFFERED: the features of the kernel that decide what it may keep. */
struct fuse_policy fuse_policy_shared(const struct fuse_opts *opts, uint64_t offered);

static inline bool fuse_policy_is_never(const struct fuse_policy *p, uint32_t opcode)
{
        return opcode < 64 && (p->never >> opcode & 1);
}

#endif

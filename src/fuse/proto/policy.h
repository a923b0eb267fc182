/* SPDX-License-Identifier: MIT */
/* Policies: what the kernel caches, which features it uses and which requests it need not send. Pure data:
 * one policy for exclusive mounts, one for shared mounts. */
#ifndef FUSE_PROTO_POLICY_H
#define FUSE_PROTO_POLICY_H

#include "fuse/options.h"

/* A lifetime without limit, small enough that the kernel's seconds do not overflow. */
#define FUSE_FOREVER_MS (UINT64_C(1000) << 31)

/* Requests in the background (readahead, writeback, direct I/O) that the kernel sends before it waits. */
#define FUSE_MAX_BACKGROUND 64u

/* Readahead of one sequential reader, in bytes. The kernel's default is the limit unless root raises it. */
#define FUSE_READAHEAD_BYTES (UINT32_C(2) << 20)

struct fuse_policy {
        /* Features to enable if the kernel offers them: flags of FUSE_INIT, 64 bits. */
        uint64_t features;
        /* Requests to answer with ENOSYS: bit N for opcode N. The kernel then handles the operation itself or
         * does not ask again. */
        uint64_t refused;
        /* How long the kernel may cache names, the absence of names, and attributes. */
        uint64_t entry_valid_ms, negative_valid_ms, attr_valid_ms;
        /* FOPEN_* for files (also in replies to CREATE) and for directories. */
        uint32_t file_flags, dir_flags;
};

/* Returns the policy of a mount that alone changes the file system. */
struct fuse_policy fuse_policy_exclusive(const struct fuse_opts *opts);

/* Returns the policy of one of several mounts. OFFERED: the kernel's features, on which the caching of pages
 * depends. */
struct fuse_policy fuse_policy_shared(const struct fuse_opts *opts, uint64_t offered);

/* Refuses LSEEK. The kernel then answers that files have no holes. */
void fuse_policy_refuse_seeking(struct fuse_policy *p);

/* Whether OPCODE is answered with ENOSYS. */
static inline bool fuse_policy_refuses(const struct fuse_policy *p, uint32_t opcode)
{
        return opcode < 64 && (p->refused >> opcode & 1);
}

#endif

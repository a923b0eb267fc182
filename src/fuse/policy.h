/* What the kernel is asked to do and to cache. */
#ifndef FUSE_POLICY_H
#define FUSE_POLICY_H

#include "af.h"

/* How long names and attributes may be cached: without end, but far from where seconds overflow. */
#define AF_VALID_S (UINT64_C(1) << 31)

/* A request's data, read or write. What the kernel takes at most (256 pages). */
#define AF_IO_BYTES (UINT32_C(1) << 20)

/* Requests in the background (readahead, writeback, direct I/O) that the kernel sends before it waits. */
#define AF_MAX_BACKGROUND 64u

/* Readahead, in bytes, for one sequential reader; beyond the kernel's default only as root. */
#define AF_READAHEAD_BYTES (UINT32_C(2) << 20)

/* The features to switch on (flags of FUSE_INIT in linux/fuse.h, 64 bits) of those that the kernel OFFERs. */
uint64_t af_init_flags(const struct af_opts *opts, uint64_t offered);

#endif

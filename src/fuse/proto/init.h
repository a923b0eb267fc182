/* SPDX-License-Identifier: MIT */
/* The first request, INIT, by which kernel and server agree on what they do. */
#ifndef FUSE_PROTO_INIT_H
#define FUSE_PROTO_INIT_H

#include "fuse/proto/policy.h"

#include <stddef.h>

/* What the kernel said. */
struct fuse_init {
        uint64_t unique;
        uint32_t minor;         /* of the protocol */
        uint32_t max_readahead; /* bytes */
        uint64_t offered;       /* features */
};

/* Reads INIT from FUSE_FD, as the first thing from it, and understands it. ENODEV: unmounted meanwhile.
 * EPROTO: with TEXT; what was sent is not INIT, or the kernel is older than Linux 4.20. */
int fuse_init_read(int fuse_fd, struct fuse_init *ret, struct err_text *text);

/* The same from DATA. */
int fuse_init_decode(const void *data, size_t len, struct fuse_init *ret, struct err_text *text);

/* Answers it; from then on requests come. FEATURES: of those offered. */
int fuse_init_reply(int fuse_fd, const struct fuse_init *init, uint64_t features);

#endif

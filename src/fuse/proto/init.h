/* SPDX-License-Identifier: MIT */
/* INIT, the first request: the kernel and the server agree on a protocol version and on features. */
#ifndef FUSE_PROTO_INIT_H
#define FUSE_PROTO_INIT_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* A decoded INIT. */
struct fuse_init {
        uint64_t unique;
        uint32_t minor;         /* of the protocol */
        uint32_t max_readahead; /* bytes */
        uint64_t offered;       /* features of the kernel */
};

/* Reads and decodes INIT, which must be the first request read from FUSE_FD. Errors, with TEXT: ENODEV
 * (unmounted), EPROTO (the request is not INIT, or the kernel is older than Linux 4.20), ... */
int fuse_init_read(int fuse_fd, struct fuse_init *ret, struct err_text *text);

/* Decodes INIT from DATA. */
int fuse_init_decode(const void *data, size_t len, struct fuse_init *ret, struct err_text *text);

/* Replies to INIT; the kernel sends other requests after that. FEATURES: a subset of those offered. */
int fuse_init_reply(int fuse_fd, const struct fuse_init *init, uint64_t features);

#endif

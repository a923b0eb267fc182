/* SPDX-License-Identifier: MIT */
/* Decodes the kernel's requests and calls the operations.
 *
 * The kernel is trusted, but not assumed to be free of bugs: lengths and string ends are checked, and a
 * request that does not match <linux/fuse.h> gets EIO.
 */
#ifndef FUSE_PROTO_CODEC_H
#define FUSE_PROTO_CODEC_H

#include "fuse/proto/conn.h"
#include "fuse/transport/transport.h"

/* Serves the request in DATA (see struct fuse_handler), any but INIT: calls at most one operation of
 * CONN->ops (FORGET: one for each inode), or replies itself. Any thread. */
void fuse_codec_request(struct fuse_conn *conn, struct fuse_channel *channel, const void *data, size_t len);

/* Returns the name of OPCODE for logs, such as "LOOKUP"; "?" if it is unknown here. */
const char *fuse_opcode_name(uint32_t opcode);

#endif
